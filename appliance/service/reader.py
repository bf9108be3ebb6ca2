"""Reads questions and puts them to their models: what takes time for one device takes it from nobody's connection."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING

from appliance.questions import codec
from appliance.questions.question import Question, Refused, Reply
from appliance.service.door import Door, Sealed
from appliance.service.outgoing import Answer, Outgoing
from appliance.service.room import Room
from appliance.thread_name import name_thread

if TYPE_CHECKING:
    from appliance.traces.service import ServiceTraces

IDLE_S = 0.5


class Reader:
    """`run` is the body of the threads `reader <n>`, which share one of these."""

    def __init__(
        self,
        door: Door,
        room: Room,
        outgoing: Outgoing,
        limits: codec.QuestionLimits,
        traces: ServiceTraces | None = None,
    ) -> None:
        self._door = door
        self._room = room
        self._outgoing = outgoing
        self._limits = limits
        self._traces = traces

    def run(self, stopping: threading.Event) -> None:
        """Body of a thread: until `stopping`."""
        name_thread(threading.current_thread().name)
        while not stopping.is_set():
            sealed = self._door.take(IDLE_S)
            if sealed is not None:
                self.read(sealed)

    def read(self, sealed: Sealed) -> None:
        """Put it to its model; the answer, or the refusal, goes out by itself."""
        now_ns = time.monotonic_ns()
        sender = sealed.sender
        try:
            if now_ns >= sealed.deadline_ns:
                raise Refused("expired", f"{sealed.model}: its turn came too late")
            question = self._opened(sealed)
        except Refused as refused:
            self._door.refuse_unasked(sender, sealed.model, refused, now_ns)
            return
        finally:
            self._door.done(sealed)

        def answered(answer: Future[Reply]) -> None:
            error = answer.exception()
            if self._traces is not None:
                self._traces.answered(sealed.incoming.user, sender.question, sealed.model, answer)
            if isinstance(error, Refused):
                self._door.refuse(sender, error, time.monotonic_ns())
                return
            self._door.answered(sender)
            self._outgoing.put(Answer(sender, answer.result(), sealed.deadline_ns))

        self._room.ask(question).add_done_callback(answered)

    def _opened(self, sealed: Sealed) -> Question:
        """Raises Refused."""
        question = codec.decode_question(
            sealed.incoming.payload,
            sealed.header_bytes,
            model=sealed.model,
            device=sealed.sender.device,
            deadline_ns=sealed.deadline_ns,
            limits=self._limits,
        )
        if question.id != sealed.sender.question:
            raise Refused("malformed", "the id in the question and its correlation data differ")
        return question
