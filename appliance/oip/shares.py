"""So much of something for all callers, shared so that nobody takes the part of whoever comes next."""

from __future__ import annotations

import threading
from collections import Counter


class Shares:
    """Everybody may hold as much as is then still free, and never more than `each`.

    One caller alone comes to a half, two to a third each, and of n callers who take all they get, each has an (n+1)th;
    as much is free for the next. (Dynamic thresholds: Choudhury, Hahne, IEEE/ACM Trans. on Networking 6, 1998.)
    From any thread. Nothing is remembered of callers who hold nothing.
    """

    def __init__(self, most: int, each: int | None = None) -> None:
        self._most = most
        self._each = most if each is None else each
        self._held: Counter[str] = Counter()
        self._all = 0
        self._lock = threading.Lock()

    def take(self, caller: str, amount: int = 1) -> bool:
        """False, and nothing is taken, when it would be more than this caller's share."""
        with self._lock:
            own = self._held[caller] + amount
            if own > min(self._each, self._most - self._all - amount):
                if not self._held[caller]:
                    del self._held[caller]
                return False
            self._held[caller] = own
            self._all += amount
            return True

    def give_back(self, caller: str, amount: int = 1) -> None:
        """Of what was taken."""
        with self._lock:
            self._held[caller] -= amount
            if not self._held[caller]:
                del self._held[caller]
            self._all -= amount

    @property
    def held(self) -> int:
        """By all."""
        return self._all

    @property
    def callers(self) -> int:
        """Who hold something."""
        return len(self._held)
