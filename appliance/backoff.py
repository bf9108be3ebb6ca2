"""How long to wait before the next try."""

from __future__ import annotations

import random


class Backoff:
    """Doubles from `first_s` to `most_s`, with jitter so that a fleet does not knock in step."""

    def __init__(self, first_s: float, most_s: float, jitter: float = 0.3) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._jitter = jitter
        self._next_s = first_s

    def next_s(self) -> float:
        """Seconds to wait now; longer the next time. Never above `most_s`."""
        wait = self._next_s
        self._next_s = min(self._next_s * 2, self._most_s)
        return min(self._most_s, wait * (1 + random.uniform(-self._jitter, self._jitter)))  # noqa: S311  # not a secret

    def reset(self) -> None:
        """The last try worked."""
        self._next_s = self._first_s
