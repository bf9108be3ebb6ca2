"""The thread `inquirer`: makes questions of samples, and hands them to the asker.

Encoding a picture takes some milliseconds, which neither the router, who has deadlines to keep, nor the asker, who has
answers to hear, can spare.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ulid import ULID

from appliance.mailbox import Mailbox
from appliance.questions.codec import Payload, encode_question
from appliance.questions.question import Question, Refused
from appliance.remote.open_questions import Outcome, Take
from appliance.remote.privacy import Withheld
from appliance.remote.services import Standing

IDLE_S = 0.25
MOST_WAITING = 1024
"""More than the routers of a device ever have open, so that none is dropped."""


class Asks(Protocol):
    """The asker, as far as it is needed here."""

    def ask(self, question: Question, payload: Payload, take: Take) -> None: ...

    def standing(self, model: str, version: str | None = None) -> Standing: ...


@dataclass(frozen=True, slots=True, eq=False)
class Inquiry:
    """What is to be asked of one picture."""

    jpeg: Callable[[], bytes]
    """Makes what leaves the device; raises Withheld when nothing may."""
    model: str
    threshold: float | None
    labels: tuple[str, ...] | None
    deadline_ns: int
    take: Callable[[Outcome, int], None]
    """Gets the outcome, exactly once, and the bytes of the question; on another thread."""
    trace: str | None = None
    """See Question."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """A picture that is to be kept as a JPEG."""

    jpeg: Callable[[], bytes]
    """Raises Withheld when nothing of it may leave: then there is nothing to keep."""
    take: Callable[[bytes], None]


class Inquirer:
    """`inquire`, `encode` and `standing` are for any thread; `run` is the body of the thread."""

    def __init__(self, asker: Asks, device: str) -> None:
        self._asker = asker
        self._device = device
        self._mailbox: Mailbox[Inquiry | Encoding] = Mailbox(MOST_WAITING)

    def inquire(self, inquiry: Inquiry) -> None:
        """Never blocks."""
        self._mailbox.put(inquiry)

    def encode(self, encoding: Encoding) -> None:
        """Never blocks."""
        self._mailbox.put(encoding)

    def standing(self, model: str) -> Standing:
        """Whether this model can be asked for now, and of whom."""
        return self._asker.standing(model)

    def run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            item = self._mailbox.take(IDLE_S)
            if isinstance(item, Inquiry):
                self._ask(item)
            elif item is not None:
                with contextlib.suppress(Withheld):
                    item.take(item.jpeg())

    def wake(self) -> None:
        """Make a waiting `run` end; what comes after is not asked."""
        self._mailbox.close()

    def _ask(self, inquiry: Inquiry) -> None:
        if time.monotonic_ns() >= inquiry.deadline_ns:
            inquiry.take(Refused("expired", "its time was over before it was sent"), 0)
            return
        try:
            jpeg = inquiry.jpeg()
        except Withheld as why:
            inquiry.take(Refused("malformed", str(why)), 0)
            return
        question = Question(
            id=str(ULID()),
            device=self._device,
            model=inquiry.model,
            version=None,
            first=None,
            last=None,
            picture=None,
            sound=None,
            tensors={},
            decode=True,
            threshold=inquiry.threshold,
            labels=inquiry.labels,
            deadline_ns=inquiry.deadline_ns,
            trace=inquiry.trace,
        )
        payload = encode_question(question, jpeg=jpeg)
        size = len(payload.body)
        self._asker.ask(question, payload, lambda outcome: inquiry.take(outcome, size))
