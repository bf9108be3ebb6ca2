"""A new version beside the active one: it is given what that one was given, and nobody hears what it says."""

from __future__ import annotations

import time
from collections.abc import Callable

from appliance.mailbox import Mailbox
from appliance.pipeline.audience import Heard
from appliance.sync.agreement import agreement
from appliance.sync.carrier import Stopped
from appliance.sync.verdict import Score, Terms, Verdict, Word, of_shadow
from capture.samples import AudioWindow
from engines.engine import EngineError
from engines.model import Model
from engines.predictions import Answer
from engines.stream import Stream

TICK_S = 0.25
WAITING = 4
"""Samples: pictures give way to newer ones, windows of sound are a few in a row."""
SHARE = 0.5
"""Of the time that it may run: the active version and everybody else have the rest."""


class Shadow:
    """`hear` is called on the active model's thread; `run` on the thread that opened the new one."""

    def __init__(
        self,
        terms: Terms,
        stopped: Callable[[], bool],
        differed: Callable[[Heard, Answer], None] = lambda _heard, _answer: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`differed`: told what was heard, and what the new version says otherwise; must be quick."""
        self.score = Score()
        self._differed = differed
        self._terms = terms
        self._stopped = stopped
        self._clock = clock
        self._mailbox: Mailbox[Heard] = Mailbox(WAITING)

    def hear(self, heard: Heard) -> None:
        """Never blocks."""
        if not isinstance(heard.answer, EngineError):
            self._mailbox.put(heard)

    def run(self, model: Model, tell: Callable[[Score], None]) -> Verdict:
        """Until there is a verdict; raises Stopped. Without samples it waits: nothing is known then, and its time
        begins with the first."""
        streams: dict[str, Stream] = {}
        began_s: float | None = None
        while True:
            if self._stopped():
                raise Stopped
            heard = self._mailbox.take(TICK_S)
            if heard is not None:
                began_s = self._clock() if began_s is None else began_s
                took_s = self._try(model, heard, streams.setdefault(heard.pipeline, model.new_stream()))
                time.sleep(took_s * (1 / SHARE - 1))
            self.score.seconds = 0.0 if began_s is None else self._clock() - began_s
            tell(self.score)
            verdict = of_shadow(self.score, self._terms)
            if verdict.word is not Word.WAIT:
                return verdict

    def _try(self, model: Model, heard: Heard, stream: Stream) -> float:
        """One sample; how long it took in seconds."""
        assert not isinstance(heard.answer, EngineError), "not put into the mailbox"
        sample = heard.sample
        if isinstance(sample, AudioWindow):
            stream.seek(sample.start)
        started_s = time.monotonic()
        [answer] = model.predict(
            [sample.samples if isinstance(sample, AudioWindow) else sample.pixels],
            streams=[stream],
            thresholds=[heard.threshold],
            labels=[heard.labels],
        )
        if isinstance(answer, EngineError):
            self.score.failed += 1
            self.score.last_failure = str(answer)
        else:
            self.score.took_ms.append(answer.times.prepare_ms + answer.times.infer_ms + answer.times.decode_ms)
            self.score.usual_ms.append(heard.took_ms or 0.0)
            share = agreement(heard.answer, answer)
            self.score.agreed.append(share)
            if share < 1.0:
                self._differed(heard, answer)
        return time.monotonic() - started_s
