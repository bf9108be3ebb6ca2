"""The thread that makes questions of samples."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from appliance.questions.codec import Payload, decode_question
from appliance.questions.question import Question, Refused
from appliance.remote.inquirer import Encoding, Inquirer, Inquiry
from appliance.remote.open_questions import Outcome, Take
from appliance.remote.pictures import Viewer
from appliance.remote.privacy import Withheld
from appliance.remote.services import Standing
from capture.samples import Frame, Stamp
from tests.arrays import picture
from tests.waiting import until


class Asked:
    """Keeps what it is asked, and refuses it."""

    def __init__(self) -> None:
        self.questions: list[tuple[Question, Payload]] = []

    def ask(self, question: Question, payload: Payload, take: Take) -> None:
        self.questions.append((question, payload))
        take(Refused("busy"))

    def standing(self, model: str, version: str | None = None) -> Standing:
        return Standing(True, model)


@contextmanager
def at_work(asker: Asked) -> Iterator[Inquirer]:
    inquirer, stopping = Inquirer(asker, "dock-1"), threading.Event()
    thread = threading.Thread(target=inquirer.run, args=(stopping,))
    thread.start()
    try:
        yield inquirer
    finally:
        stopping.set()
        inquirer.wake()
        thread.join(5)
    assert not thread.is_alive()


def inquiry(jpeg: Callable[[], bytes], taken: list[tuple[Outcome, int]], within_s: float = 5.0) -> Inquiry:
    deadline_ns = time.monotonic_ns() + int(within_s * 1e9)
    return Inquiry(jpeg, "people", 0.4, ("person",), deadline_ns, lambda outcome, size: taken.append((outcome, size)))


def frame() -> Frame:
    stamp = Stamp.now()
    return Frame("dock", 0, stamp, picture(64, 48), ready_ns=stamp.mono_ns)


def test_a_picture_becomes_a_question_that_the_service_can_read() -> None:
    asker, viewer, seen = Asked(), Viewer("frames"), frame()
    taken: list[tuple[Outcome, int]] = []
    with at_work(asker) as inquirer:
        inquirer.inquire(inquiry(lambda: viewer.encode(seen, viewer.view(seen)), taken))
        until(lambda: taken)
    [(question, payload)] = asker.questions
    assert taken[0][1] == len(payload.body)
    read = decode_question(
        payload.body, payload.header_bytes, model="people", device="dock-1", deadline_ns=question.deadline_ns
    )
    assert (read.id, read.threshold, read.labels, read.decode) == (question.id, 0.4, ("person",), True)
    assert read.picture is not None
    assert read.picture.shape == (48, 64, 3)


def test_what_may_not_leave_is_refused_here_and_never_asked() -> None:
    def withheld() -> bytes:
        raise Withheld("a privacy mask is not painted")

    asker = Asked()
    taken: list[tuple[Outcome, int]] = []
    with at_work(asker) as inquirer:
        inquirer.encode(Encoding(withheld, lambda jpeg: taken.append((Refused("failed"), len(jpeg)))))
        inquirer.inquire(inquiry(withheld, taken))
        until(lambda: taken)
    [(outcome, size)] = taken
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.words, size) == ("malformed", "a privacy mask is not painted", 0)
    assert asker.questions == []


def test_a_question_whose_time_is_over_costs_no_encoding() -> None:
    encoded: list[bool] = []

    def jpeg() -> bytes:
        encoded.append(True)
        return b""

    asker = Asked()
    taken: list[tuple[Outcome, int]] = []
    with at_work(asker) as inquirer:
        inquirer.inquire(inquiry(jpeg, taken, within_s=-0.001))
        until(lambda: taken)
    assert isinstance(taken[0][0], Refused)
    assert taken[0][0].code == "expired"
    assert encoded == []
