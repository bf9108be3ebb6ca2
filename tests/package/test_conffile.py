"""The configuration that the package brings: `appliance init` replaces it, and dpkg must not have to ask about that."""

from __future__ import annotations

import hashlib

from tests.conftest import REPOSITORY


def test_the_file_never_changes() -> None:
    """Where a device's own differs from the package's, dpkg asks as soon as the package's has changed; and where nobody
    is there to answer, the upgrade ends. So what there is to say in it was said once."""
    brought = (REPOSITORY / "scripts/packaging/appliance.toml").read_bytes()
    assert hashlib.sha256(brought).hexdigest() == "1da51db23080f3931abfd6ff5346b349a9fe262c9f0ff1b7bc30ed8ab8e8694c"
