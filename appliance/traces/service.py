"""The traces of a model service: of questions whose device records one."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future

from appliance.questions.question import Refused, Reply
from appliance.traces.collector import Collector, now_ns
from appliance.traces.identity import HEADER, of_header
from appliance.traces.spans import of_reply


class ServiceTraces:
    """Its methods are for any thread, and never block."""

    def __init__(self, collector: Collector) -> None:
        self.collector = collector

    def answered(self, user: Iterable[tuple[str, str]], question: str, model: str, answer: Future[Reply]) -> None:
        """A question has ended. `user`: the user properties that it came with. The device decides what is recorded;
        of that we record our share."""
        whose = next((of_header(value) for name, value in user if name == HEADER), None)
        if whose is None or not whose.sampled(self.collector.share):
            return
        at_ns = now_ns()
        error = answer.exception()
        if error is not None and not isinstance(error, Refused):
            return  # a bug, told elsewhere
        said = answer.result() if error is None else error
        spans = tuple(of_reply(whose, question, model, said, at_ns))  # a reply may be large: it is not kept
        self.collector.put(lambda: spans)
