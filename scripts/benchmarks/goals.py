"""Figures, and the goals they are held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Verdict: TypeAlias = Literal["met", "not met", "not measured", "-"]
"""`-`: a figure without a goal, to compare with."""

GOALS: Mapping[str, str] = {
    "C1": "CPU time per picture, capture left out, against the bare engine",
    "C2": "preparation, decoding and glue against Ultralytics, with the same boxes",
    "C3": "the whole loop with H.264 capture, CPU time against the bare engine",
    "C4": "several cameras on one engine: throughput, age, fairness, memory",
    "C5": "from the picture handed over to the subscriber's callback, one camera, QoS 1",
    "C6": "from the end of the inference to the subscriber's callback",
    "C7": "what publishing and storing cost the engine's thread",
    "C8": "the outbox: durable, and how fast",
    "C9": "sound: a 100 ms step of streaming log-mel and keyword network",
    "C10": "the cost of being idle",
    "C11": "the options chosen for the engine are never a loss",
    "C12": "cold start and memory",
    "C14": "the live page: unwatched, watched, and with five viewers",
    "C15": "what the stage times in every result cost",
    "C16": "the recorder: what keeping clips costs the answers",
    "C17": "a model on its way: what fetching costs the answers",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number."""

    goal: str
    """Key of GOALS."""
    what: str
    value: float | None
    """None: it could not be measured; `why` says why."""
    unit: str = ""
    most: float | None = None
    """The goal: not more than this."""
    least: float | None = None
    """The goal: not less than this."""
    why: str = ""
    details: Mapping[str, float] = field(default_factory=dict)
    """Numbers that explain it."""

    @property
    def verdict(self) -> Verdict:
        if self.value is None:
            return "not measured"
        if self.most is None and self.least is None:
            return "-"
        too_much = self.most is not None and self.value > self.most
        too_little = self.least is not None and self.value < self.least
        return "not met" if too_much or too_little else "met"

    @property
    def bound(self) -> str:
        """The goal in words: `<= 1.04`."""
        words = [f"<= {_number(self.most)}"] if self.most is not None else []
        words += [f">= {_number(self.least)}"] if self.least is not None else []
        return " and ".join(words)

    @property
    def shown(self) -> str:
        """The number with its unit, rounded for people."""
        return "-" if self.value is None else f"{_number(self.value)} {self.unit}".strip()


def missing(goal: str, what: str, why: str) -> Figure:
    """A figure that could not be measured here."""
    return Figure(goal, what, None, why=why)


def _number(value: float) -> str:
    """Three significant places, all digits before the point."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.3f}"[:5].rstrip(".")
