"""When a new configuration has held, and when it is taken back. Plain numbers in, one word and a sentence out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.health import Health, answers
from appliance.sync.verdict import Verdict, Word

AWAY = ("stale", "offline")


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked of a new configuration."""

    patience_s: float
    hold_s: float


class Trial:
    """The same in every life of the process: what was good before a crash has to be shown anew."""

    def __init__(self, terms: Terms, faults_before: tuple[str, ...], now_s: float) -> None:
        self._terms = terms
        self._before = frozenset(faults_before)
        self._good_since_s: float | None = None
        self._bad_since_s = now_s

    def judge(self, faults: Mapping[str, str] | None, now_s: float) -> Verdict:
        """`faults`: what does not work now, and why; None: it is not in use yet."""
        bad = {"it": "was not put to use"} if faults is None else faults
        new = {name: why for name, why in bad.items() if name not in self._before}
        if not new:
            if self._good_since_s is None:
                self._good_since_s = now_s
            if now_s - self._good_since_s >= self._terms.hold_s:
                return Verdict(Word.GO_ON)
            return Verdict(Word.WAIT)
        if self._good_since_s is not None:
            self._good_since_s, self._bad_since_s = None, now_s
        if now_s - self._bad_since_s < self._terms.patience_s:
            return Verdict(Word.WAIT)
        words = "; ".join(f"{name} {why}".strip() for name, why in sorted(new.items()))
        return Verdict(Word.BACK, f"not well within {self._terms.patience_s:g} s: {words}")


def faults(now: Health) -> dict[str, str]:
    """What does not work, and why, by name: sources without news, pipelines without answers."""
    found = {f"{name}:": feed.reason or feed.status for name, feed in now.sources.items() if feed.status in AWAY}
    for name, pipeline in now.pipelines.items():
        if not pipeline.enabled:
            continue
        if not answers(pipeline) or (pipeline.results > 0 and pipeline.failed == pipeline.results):
            found[f"{name}:"] = pipeline.reason
        elif pipeline.complaints:
            found[f"{name}:"] = "; ".join(pipeline.complaints)
    return found
