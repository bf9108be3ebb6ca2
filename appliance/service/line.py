"""What waits before one model: who is let in, who is next, and how long that will take."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass

from appliance.questions.question import Question, Refused, Reply
from appliance.service.pace import Pace
from appliance.service.turns import Turns

KEPT_FOR_OTHERS = 8
"""Questions that are prepared beyond those to be begun soon, of askers who have none there."""


@dataclass(frozen=True, slots=True)
class RoomLimits:
    """What a room takes on."""

    each: int = 256
    """Questions of one asker that may wait for one model."""
    most: int = 1024
    """Questions of all that may wait for one model."""
    waiting_bytes: int = 256 << 20
    """Their pictures, sounds and tensors."""
    run_s: float = 20.0
    """After so long a run is called off; after three times as long it hangs, and the process has to end."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A question that waits, and whoever waits for its answer."""

    question: Question
    answer: Future[Reply]
    asked_ns: int

    @property
    def size(self) -> int:
        """Bytes of its sample."""
        question = self.question
        arrays = [each for each in (question.picture, question.sound) if each is not None]
        return sum(array.nbytes for array in (*arrays, *question.tensors.values()))


class Line:
    """Pure: times are given. Not locked: its owner is."""

    def __init__(self, name: str, limits: RoomLimits) -> None:
        """`name`: of the model, for words."""
        self._name = name
        self._limits = limits
        self._turns: Turns[Asked] = Turns(limits.each, limits.most)
        self._bytes = 0
        self._pace = Pace()
        self._began_ns: int | None = None
        self._busy_ns = 0

    def join(self, asked: Asked) -> None:
        """Wait, if that has any prospect; raises Refused."""
        question, now_ns, size = asked.question, asked.asked_ns, asked.size
        if question.deadline_ns <= now_ns:
            raise Refused("expired", f"{self._name}: its deadline had passed when it came")
        wait_ns = self.wait_ns(question.device, now_ns)
        if now_ns + wait_ns + self._pace.least_ns(now_ns) > question.deadline_ns:
            raise Refused("busy", f"{self._name}: {wait_ns / 1e6:.0f} ms of work come before it")
        if self._bytes + size > self._limits.waiting_bytes or not self._turns.put(question.device, asked):
            raise Refused("busy", f"{self._name}: too many questions wait")
        self._bytes += size

    def wait_ns(self, asker: str, now_ns: int) -> int:
        """How long a question of this asker would wait, going by the last runs."""
        running_ns = 0 if self._began_ns is None else max(0, self._pace.least_ns(now_ns) - (now_ns - self._began_ns))
        return running_ns + self._turns.ahead(asker) * self._pace.usual_ns(now_ns)

    def usual_ns(self, now_ns: int) -> int:
        """What one question has taken lately, without the wait; 0 when nothing is known."""
        return self._pace.usual_ns(now_ns)

    def begin(self, most: int, now_ns: int) -> tuple[list[Asked], list[Asked]]:
        """The next batch, of different askers where there are, and those that cannot be in time any more. Whoever has
        given up waiting is in neither. A batch that is not empty is run until `end`."""
        batch: list[Asked] = []
        late: list[Asked] = []
        least_ns = self._pace.least_ns(now_ns)
        while len(batch) < most and (asked := self._turns.take()) is not None:
            self._bytes -= asked.size
            if asked.question.deadline_ns < now_ns + least_ns:
                late.append(asked)
            elif asked.answer.set_running_or_notify_cancel():
                batch.append(asked)
        if batch:
            self._began_ns = now_ns
        else:
            self._turns.release()
        return batch, late

    def note(self, run_ns: int, questions: int, now_ns: int) -> None:
        """A run that gave answers."""
        self._pace.note(run_ns, questions, now_ns)

    def end(self, now_ns: int) -> None:
        """The batch has been run."""
        assert self._began_ns is not None
        self._busy_ns += now_ns - self._began_ns
        self._began_ns = None
        self._turns.release()

    def leave(self) -> list[Asked]:
        """All who wait; nobody does any more."""
        self._bytes = 0
        return self._turns.take_all()

    def sated_by(self, most: int) -> frozenset[str] | None:
        """Askers from whom nothing more is wanted for now, and None when it is so for all, with batches of `most`."""
        waiting = len(self._turns)
        if waiting < 2 * most:
            return frozenset()
        return self._turns.askers if waiting < 2 * most + KEPT_FOR_OTHERS else None

    @property
    def began_ns(self) -> int | None:
        """When the run in progress began."""
        return self._began_ns

    def busy_ns(self, now_ns: int) -> int:
        """Time in which something ran, ever."""
        return self._busy_ns + (0 if self._began_ns is None else now_ns - self._began_ns)

    def __len__(self) -> int:
        return len(self._turns)
