"""One thing that the doctor looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    state: Literal["ok", "note", "problem"]
    """`note`: absent, and only needed by some."""
    text: str
    fix: str = ""
    """What to type or change; empty when nothing is wrong."""
