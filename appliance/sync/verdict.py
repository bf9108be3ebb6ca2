"""When a new version may go on, and when it has to go back. Plain numbers in, one word and a sentence out."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

LEAST_ANSWERS = 20
"""Fewer say nothing about times and shares."""
MOST_FAILED = 0.05
"""Share of failed answers."""
FAILED_LEAST = 3
"""Fewer may be the machine's fault; so many of the first answers, and all of them, are enough."""
SLACK_MS = 5.0
"""A model of a millisecond may take a few more: that is the machine."""


class Word(Enum):
    """What is to be done."""

    WAIT = "wait"
    GO_ON = "go on"
    BACK = "back"


@dataclass(frozen=True, slots=True)
class Verdict:
    """And why."""

    word: Word
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked of a new version."""

    shadow_s: float
    shadow_samples: int
    agreement: float
    slower: float
    probation_s: float


@dataclass(slots=True)
class Score:
    """What is known of a version so far."""

    seconds: float = 0.0
    failed: int = 0
    took_ms: list[float] = field(default_factory=list)
    usual_ms: list[float] = field(default_factory=list)
    """Of the version before, or of the one beside which it runs."""
    agreed: list[float] = field(default_factory=list)
    last_failure: str = ""

    @property
    def answers(self) -> int:
        return len(self.took_ms)


def of_shadow(score: Score, terms: Terms) -> Verdict:
    """Beside the active version."""
    if (back := _failing(score) or _slow(score, terms.slower)) is not None:
        return back
    enough = score.answers >= terms.shadow_samples or (score.seconds >= terms.shadow_s and score.answers > 0)
    if not enough:
        return Verdict(Word.WAIT)
    share = sum(score.agreed) / len(score.agreed) if score.agreed else 0.0
    if share < terms.agreement:
        return Verdict(
            Word.BACK,
            f"it says something else: {share:.0%} agreement with the active version over {score.answers} samples, "
            f"{terms.agreement:.0%} are asked for",
        )
    return Verdict(Word.GO_ON, f"{share:.0%} agreement over {score.answers} samples")


def of_probation(score: Score, terms: Terms, fault: str | None) -> Verdict:
    """As the active version. `fault`: why it has no engine, where it has none."""
    if fault is not None:
        return Verdict(Word.BACK, f"it does not run: {fault}")
    if (back := _failing(score) or _slow(score, terms.slower)) is not None:
        return back
    if score.seconds >= terms.probation_s and score.answers > 0:
        return Verdict(Word.GO_ON, f"{score.answers} answers in {score.seconds:.0f} s, {score.failed} failed")
    return Verdict(Word.WAIT)


def _failing(score: Score) -> Verdict | None:
    total = score.answers + score.failed
    if score.failed < FAILED_LEAST:
        return None
    if score.answers == 0 or (total >= LEAST_ANSWERS and score.failed / total > MOST_FAILED):
        return Verdict(Word.BACK, f"{score.failed} of {total} answers failed: {score.last_failure}")
    return None


def _slow(score: Score, slower: float) -> Verdict | None:
    if min(score.answers, len(score.usual_ms)) < LEAST_ANSWERS:
        return None
    took, usual = p95(score.took_ms), p95(score.usual_ms)
    if took <= slower * usual + SLACK_MS:
        return None
    return Verdict(Word.BACK, f"too slow: {took:.1f} ms for 95 of 100 answers, {usual:.1f} ms before")


def p95(values: list[float]) -> float:
    """What 95 of 100 do not exceed."""
    return sorted(values)[int(len(values) * 0.95)]
