"""What one model of a room has done so far: for statistics, metrics and announcements."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from appliance.questions.question import Code, Refused, Reply


@dataclass(frozen=True, slots=True)
class Sum:
    """How often, and how long altogether."""

    count: int = 0
    ns: int = 0

    def plus(self, ns: int) -> Sum:
        return Sum(self.count + 1, self.ns + ns)


NOTHING = Sum()


@dataclass(frozen=True, slots=True)
class Figures:
    """Since the room was opened."""

    requests: int = 0
    """Questions that came, refused ones among them."""
    answered: Sum = NOTHING
    """Questions with an answer, and the time from asking to answer."""
    failed: Sum = NOTHING
    """Questions that waited or ran and got none, whatever the reason."""
    refused: Mapping[Code, int] = field(default_factory=dict)
    """Questions without an answer by reason, those that never waited among them."""
    queue: Sum = NOTHING
    """From asking to the start of the run, of the answered."""
    prepare: Sum = NOTHING
    infer: Sum = NOTHING
    decode: Sum = NOTHING
    """Shares of the answered questions in their runs."""
    runs: Mapping[int, Sum] = field(default_factory=dict)
    """By number of questions in the run."""
    last_unix_ms: int = 0
    """When the last run ended; 0: there was none."""

    @property
    def inferences(self) -> int:
        """Questions that were run."""
        return sum(size * runs.count for size, runs in self.runs.items())

    @property
    def executions(self) -> int:
        """Runs, of any number of questions."""
        return sum(runs.count for runs in self.runs.values())


class Tally:
    """Counts; not locked: its owner is."""

    def __init__(self) -> None:
        self._requests = 0
        self._sums = dict.fromkeys(("answered", "failed", "queue", "prepare", "infer", "decode"), NOTHING)
        self._refused: dict[Code, int] = {}
        self._runs: dict[int, Sum] = {}
        self._last_unix_ms = 0

    def asked(self) -> None:
        self._requests += 1

    def refused(self, code: Code) -> None:
        """Without having waited."""
        self._refused[code] = self._refused.get(code, 0) + 1

    def failed(self, refusal: Refused, spent_ns: int) -> None:
        """After having waited, and perhaps run."""
        self.refused(refusal.code)
        self._add("failed", spent_ns)

    def answered(self, reply: Reply, spent_ns: int) -> None:
        self._add("answered", spent_ns)
        self._add("queue", int(reply.queue_ms * 1e6))
        if reply.answer is None:
            self._add("infer", int(reply.infer_ms * 1e6))
            return
        times = reply.answer.times
        for name, ms in (("prepare", times.prepare_ms), ("infer", times.infer_ms), ("decode", times.decode_ms)):
            self._add(name, int(ms * 1e6))

    def ran(self, questions: Sequence[object], run_ns: int) -> None:
        size = len(questions)
        self._runs[size] = self._runs.get(size, NOTHING).plus(run_ns)
        self._last_unix_ms = time.time_ns() // 1_000_000

    def _add(self, name: str, ns: int) -> None:
        self._sums[name] = self._sums[name].plus(ns)

    def figures(self) -> Figures:
        """As they are now; a copy."""
        return Figures(
            requests=self._requests,
            refused=dict(self._refused),
            runs=dict(self._runs),
            last_unix_ms=self._last_unix_ms,
            **self._sums,
        )
