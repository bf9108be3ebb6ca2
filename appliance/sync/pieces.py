"""What is said on MQTT about a piece of a file: a question in JSON, and an answer that is the bytes themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

PIECE_BYTES = 64 << 10
"""Most in one message: small enough that results on the same broker wait for milliseconds only."""
MOST_QUESTION_BYTES = 1024
TOTAL, MISSING = "total", "missing"
"""User properties of an answer: bytes of the whole file, or that there is none."""


class Asked(BaseModel):
    """Payload of a question; its correlation data comes back with the answer."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    path: str = Field(max_length=512)
    offset: int = Field(ge=0, lt=1 << 53)
    most: int = Field(ge=0, le=PIECE_BYTES)

    @classmethod
    def read(cls, payload: bytes) -> Asked | None:
        """None for what is not a question."""
        try:
            return cls.model_validate_json(payload) if len(payload) <= MOST_QUESTION_BYTES else None
        except ValidationError:
            return None


@dataclass(frozen=True, slots=True)
class Said:
    """What the properties of an answer say."""

    total: int | None
    """None: there is no such file."""

    @classmethod
    def read(cls, user: Iterable[tuple[str, str]]) -> Said | None:
        """None for what is not an answer."""
        found = dict(user)
        if MISSING in found:
            return cls(None)
        total = found.get(TOTAL, "")
        return cls(int(total)) if total.isascii() and total.isdecimal() and len(total) < 16 else None
