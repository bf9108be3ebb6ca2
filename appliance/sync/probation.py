"""The first minutes of a version as the active one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from appliance.pipeline.audience import Heard
from appliance.sync.verdict import Score
from engines.engine import EngineError

MOST_KEPT = 2000
"""Times of the newest answers."""


class Probation:
    """`hear` is called on the model's thread, `score` by the one that decides."""

    def __init__(self, digest: str, usual_ms: list[float], clock: Callable[[], float] = time.monotonic) -> None:
        """`digest`: of the version on probation; what another one says does not count. `usual_ms`: of the version
        before."""
        self._digest = digest
        self._lock = threading.Lock()
        self._score = Score(usual_ms=usual_ms)
        self._clock = clock
        self._began_s: float | None = None
        """With the first answer: a night in which nothing was asked proves nothing."""

    def hear(self, heard: Heard) -> None:
        """Never blocks."""
        if heard.digest != self._digest:
            return
        with self._lock:
            self._began_s = self._clock() if self._began_s is None else self._began_s
            took_ms = heard.took_ms
            if isinstance(heard.answer, EngineError):
                self._score.failed += 1
                self._score.last_failure = str(heard.answer)
            elif took_ms is not None:
                self._score.took_ms.append(took_ms)
                del self._score.took_ms[:-MOST_KEPT]

    def score(self) -> Score:
        """As it is now."""
        with self._lock:
            now = self._score
            seconds = 0.0 if self._began_s is None else self._clock() - self._began_s
            return Score(seconds, now.failed, list(now.took_ms), now.usual_ms, [], now.last_failure)
