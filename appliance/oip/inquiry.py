"""An inference on its way: what is asked, the answers it waits for, what came of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from appliance.oip import rows
from appliance.questions.question import Refused, Reply
from appliance.questions.tensors import Tensor

if TYPE_CHECKING:
    from appliance.service.room import Standing


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """An inference that somebody wants."""

    model: str
    version: str
    """Empty: whatever there is."""
    id: str
    """The caller's own; the answer repeats it."""
    inputs: tuple[Tensor, ...]
    outputs: tuple[str, ...]
    """Empty: all of them."""
    within_s: float | None
    """The caller's own deadline."""


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """What came of it."""

    model: str
    version: str
    id: str
    outputs: tuple[Tensor, ...]


class Inquiry:
    """Opened with `with`, at whose end what is left unanswered is called off. Wait, in one way or the other, then ask
    for what came of it."""

    def __init__(self, asked: Asked, standing: Standing, answers: Sequence[Future[Reply]], deadline_ns: int) -> None:
        self._asked = asked
        self._standing = standing
        self._answers = answers
        self._deadline_ns = deadline_ns

    def __enter__(self) -> Inquiry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in self._answers:
            each.cancel()

    def wait(self) -> None:
        """Blocks until all samples are answered, one is refused or the deadline has come."""
        wait(self._answers, self._left_s, FIRST_EXCEPTION)

    async def waited(self) -> None:
        """The same in an event loop, without a thread."""
        loop = asyncio.get_running_loop()
        over = asyncio.Event()

        def look(answer: Future[Reply]) -> None:
            if answer.cancelled() or answer.exception() is not None or all(each.done() for each in self._answers):
                with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits any more
                    loop.call_soon_threadsafe(over.set)

        for each in self._answers:
            each.add_done_callback(look)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(over.wait(), self._left_s)

    @property
    def _left_s(self) -> float:
        return max(0.0, (self._deadline_ns - time.monotonic_ns()) / 1e9)

    def answered(self) -> Answered:
        """What came of it; raises Refused, also for what is not there yet."""
        standing = self._standing
        done = [each for each in self._answers if each.done()]
        replies = [each.result() for each in done]
        if len(done) < len(self._answers):
            raise Refused("expired", f"{standing.name}: no answer in time")
        outputs = rows.together([reply.tensors for reply in replies], self._asked.outputs, standing)
        tensors = tuple(Tensor(name, array, {}) for name, array in outputs.items())
        return Answered(standing.name, standing.version, self._asked.id, tensors)
