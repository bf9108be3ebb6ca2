"""Waiting longer after every failure, never two devices in step."""

from __future__ import annotations

from random import Random


class Backoff:
    """Waiting times that double from `first_s` up to `longest_s`.

    Each is shortened by a random share of up to a half, so that a fleet whose broker died does not come back as one.
    """

    def __init__(self, first_s: float, longest_s: float, random: Random | None = None) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._random = random if random is not None else Random()  # noqa: S311  # spreads load, guards nothing
        self._next_s = first_s

    def next_s(self) -> float:
        """How long to wait now, in seconds."""
        wait_s = self._next_s
        self._next_s = min(2 * wait_s, self._longest_s)
        return wait_s * self._random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Things went well: begin again with the shortest wait."""
        self._next_s = self._first_s
