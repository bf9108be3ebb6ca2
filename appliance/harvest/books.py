"""What a device has kept of a pipeline so far: the number of the last sample, and what is left of the day. Pure."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone


@dataclass(frozen=True, slots=True)
class Books:
    """Written before the sample is: a kill in between costs a number, and never gives one twice."""

    series: str
    number: int = 0
    day: str = ""
    samples: int = 0
    """Of that day."""
    bytes: int = 0

    @classmethod
    def begin(cls, number: int = 0) -> Books:
        """A new series, in a folder whose highest number is this."""
        return cls(secrets.token_hex(8), number)

    def spent(self, size: int, unix_s: float) -> Books:
        """After one more sample of so many bytes. Any other day is a new one: the clock may be set back."""
        books = self.of_day(unix_s)
        return replace(books, number=books.number + 1, samples=books.samples + 1, bytes=books.bytes + size)

    def left(self, unix_s: float, samples: int, size: int) -> tuple[int, int]:
        """Samples and bytes that this day may still have of so many."""
        books = self.of_day(unix_s)
        return max(0, samples - books.samples), max(0, size - books.bytes)

    def of_day(self, unix_s: float) -> Books:
        """As they are on this day: nothing of it is spent when it is a new one."""
        day = _day(unix_s)
        return self if day == self.day else replace(self, day=day, samples=0, bytes=0)


def _day(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, timezone.utc).date().isoformat()


def to_json(books: Books) -> bytes:
    return json.dumps(asdict(books)).encode()


def from_json(text: bytes) -> Books | None:
    """None when this is no such document."""
    try:
        raw = json.loads(text)
        books = Books(**raw)
        whole = all(isinstance(each, int) and each >= 0 for each in (books.number, books.samples, books.bytes))
        return books if whole and len(bytes.fromhex(books.series)) == 8 and isinstance(books.day, str) else None
    except (ValueError, TypeError):
        return None
