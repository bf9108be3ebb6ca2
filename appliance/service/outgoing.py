"""Answers on their way from the models' threads to the broker."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from appliance.questions.question import Refused, Reply

MOST_REFUSALS = 2000


@dataclass(frozen=True, slots=True)
class Sender:
    """Who asked, as the broker vouches for it, and where the answer goes."""

    device: str
    question: str
    """Id, which is the correlation data."""
    response_topic: str

    @property
    def key(self) -> tuple[str, str]:
        return self.device, self.question


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What is said to a question."""

    sender: Sender
    said: Reply | Refused
    deadline_ns: int
    """After which nobody wants it; of a refusal, the moment it was made."""


class Outgoing:
    """Replies are as many as questions were let in; refusals beyond MOST_REFUSALS give way, oldest first."""

    def __init__(self, ready: threading.Condition) -> None:
        """`ready` is notified when there is something to send."""
        self.dropped = 0
        self._ready = ready
        self._replies: deque[Answer] = deque()
        self._refusals: deque[Answer] = deque(maxlen=MOST_REFUSALS)

    def put(self, answer: Answer) -> None:
        """From any thread; never blocks."""
        with self._ready:
            if isinstance(answer.said, Reply):
                self._replies.append(answer)
            else:
                self.dropped += len(self._refusals) == MOST_REFUSALS
                self._refusals.append(answer)
            self._ready.notify_all()

    def reply(self) -> Answer | None:
        """The oldest that is an answer."""
        with self._ready:
            return self._replies.popleft() if self._replies else None

    def refusals(self, most: int) -> list[Answer]:
        """The oldest refusals."""
        with self._ready:
            return [self._refusals.popleft() for _ in range(min(most, len(self._refusals)))]

    @property
    def has_replies(self) -> bool:
        return bool(self._replies)

    def __len__(self) -> int:
        return len(self._replies) + len(self._refusals)
