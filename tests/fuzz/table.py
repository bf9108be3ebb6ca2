"""Every parser of foreign bytes, by name."""

from __future__ import annotations

from tests.fuzz import files, messages, pages, protocol, registry
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    **messages.TARGETS,
    **files.TARGETS,
    **protocol.TARGETS,
    **registry.TARGETS,
    **pages.TARGETS,
}
