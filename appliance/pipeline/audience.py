"""Whoever listens to a model at work: what it was given, and what it said."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from capture.samples import Sample
from engines.engine import EngineError
from engines.predictions import Answer


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """One sample and what became of it."""

    pipeline: str
    sample: Sample
    answer: Answer | EngineError
    digest: str
    """Of the model that answered."""
    threshold: float | None
    labels: Collection[str] | None

    @property
    def took_ms(self) -> float | None:
        """How long the answer took; None where there is none."""
        if isinstance(self.answer, EngineError):
            return None
        times = self.answer.times
        return times.prepare_ms + times.infer_ms + times.decode_ms


class Audience(Protocol):
    """Called on the model's thread; never blocks."""

    def hear(self, heard: Heard) -> None: ...
