"""What all verbs of the workbench share: how far they are, and how they say that something cannot be worked on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from engines.engine import EngineError

Tell: TypeAlias = Callable[[str, int, int], None]
"""Told the name of the step, how much of it is done, and of how much; called often."""


class WorkbenchError(EngineError):
    """A model or material that this cannot be done with; the message says why and what to give instead."""


def silent(step: str, done: int, of: int) -> None:
    """For callers who do not look."""
