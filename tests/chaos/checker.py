"""Compares what was accepted with what was received. Fed with lines as they are written; knows nothing of processes."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TypeAlias

Identity: TypeAlias = tuple[str, str, int]
"""Stream, epoch, seq."""


@dataclass(frozen=True, slots=True)
class Report:
    """The account of one run."""

    accepted: int
    received: int
    lost: int
    """Accepted and never received."""
    duplicates: int
    out_of_order: int
    """First occurrences that came after a later one of their stream."""
    conflicts: int
    """Identities that were given to, or came with, two different contents."""
    unidentified: int
    """Messages without an identity."""
    announced: int
    """Documents that gap records declare as dropped."""

    @property
    def duplicate_share(self) -> float:
        return self.duplicates / max(1, self.accepted)

    def as_dict(self) -> dict[str, float]:
        return asdict(self) | {"duplicate_share": round(self.duplicate_share, 4)}


class Account:
    """Every event twice: when the outbox accepted it, when a subscriber got it."""

    def __init__(self) -> None:
        self._given: dict[Identity, str] = {}
        self._came: dict[Identity, str] = {}
        self._newest: dict[str, tuple[int, int]] = {}
        self._epochs: dict[str, int] = {}
        self._counts: Counter[str] = Counter()

    def accept(self, line: str) -> None:
        """`stream epoch seq number`, as the generator writes it."""
        stream, epoch, seq, number = line.split()
        identity = (stream, epoch, int(seq))
        self._counts["conflicts"] += self._given.setdefault(identity, number) != number
        self._counts["conflicts"] += self._came.get(identity, number) != number

    def receive(self, line: str) -> None:
        """`stream epoch seq number`, `gap stream epoch seq first last count` or `other topic`, from the receiver."""
        words = line.split()
        if words[0] == "other":
            self._counts["unidentified"] += words[1] != "subscribed"
            return
        is_gap = words[0] == "gap"
        stream, epoch, seq = words[is_gap : is_gap + 3]
        content = " ".join(words[is_gap + 3 :])
        identity = (stream, epoch, int(seq))
        self._counts["received"] += 1
        if identity in self._came:
            self._counts["duplicates"] += 1
            self._counts["conflicts"] += self._came[identity] != content
            return
        self._came[identity] = content
        self._counts["conflicts"] += self._given.get(identity, content) != content
        self._counts["announced"] += int(words[-1]) if is_gap else 0
        position = (self._epochs.setdefault(epoch, len(self._epochs)), int(seq))
        self._counts["out_of_order"] += position < self._newest.get(stream, (0, 0))
        self._newest[stream] = max(position, self._newest.get(stream, (0, 0)))

    @property
    def missing(self) -> set[Identity]:
        """Accepted and not received so far."""
        return self._given.keys() - self._came.keys()

    def report(self) -> Report:
        return Report(
            accepted=len(self._given),
            received=self._counts["received"],
            lost=len(self.missing),
            duplicates=self._counts["duplicates"],
            out_of_order=self._counts["out_of_order"],
            conflicts=self._counts["conflicts"],
            unidentified=self._counts["unidentified"],
            announced=self._counts["announced"],
        )
