"""How often something is done for each of many, at most."""

from __future__ import annotations

MOST_REMEMBERED = 10_000


class Allowance:
    """A bucket for each name that fills at `per_s` and holds one second's worth. Pure; not locked: its owner is."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._buckets: dict[str, tuple[float, int]] = {}
        """What was in it, and when."""

    def take(self, name: str, now_ns: int) -> bool:
        """Whether it may be done once more for this name, now."""
        most = max(1.0, self._per_s)
        held, since_ns = self._buckets.get(name, (most, now_ns))
        held = min(most, held + (now_ns - since_ns) / 1e9 * self._per_s)
        allowed = held >= 1
        if len(self._buckets) >= MOST_REMEMBERED and name not in self._buckets:
            self._forget(now_ns)
        self._buckets[name] = (held - 1 if allowed else held, now_ns)
        return allowed

    def _forget(self, now_ns: int) -> None:
        """Those who were silent long enough to have a full bucket; failing that, everybody."""
        second_ago_ns = now_ns - 1_000_000_000
        self._buckets = {name: bucket for name, bucket in self._buckets.items() if bucket[1] > second_ago_ns}
        if len(self._buckets) >= MOST_REMEMBERED:
            self._buckets.clear()
