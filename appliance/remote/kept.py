"""Samples that nobody could answer, kept until the service is back.

In memory, as JPEG: a picture of what a camera saw belongs on no disk that can be carried away, and a flash that is
written for every failed sample of a long outage wears out. What a restart loses so is a late answer, never an event.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from appliance.pipeline.compose import Seen
from appliance.remote.view import View

MOST_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class Kept:
    seen: Seen
    jpeg: bytes
    view: View
    """What the JPEG shows of the picture."""


class KeptSamples:
    """The newest ones, oldest first."""

    def __init__(self, most: int, most_bytes: int = MOST_BYTES) -> None:
        self.given_up = 0
        """Samples that gave way to newer ones, or that the service would not answer either."""
        self._most = most
        self._most_bytes = most_bytes
        self._kept: deque[Kept] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, kept: Kept) -> None:
        self._kept.append(kept)
        self._bytes += len(kept.jpeg)
        self._make_room()

    def put_back(self, kept: Kept) -> None:
        """It was taken, and could not be answered after all."""
        self._kept.appendleft(kept)
        self._bytes += len(kept.jpeg)
        self._make_room()

    def take(self) -> Kept | None:
        """The oldest."""
        if not self._kept:
            return None
        kept = self._kept.popleft()
        self._bytes -= len(kept.jpeg)
        return kept

    def _make_room(self) -> None:
        while self._kept and (len(self._kept) > self._most or self._bytes > self._most_bytes):
            self._bytes -= len(self._kept.popleft().jpeg)
            self.given_up += 1
