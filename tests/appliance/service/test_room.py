"""A room of models: fair, in time, and never brought down by one question."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from appliance.questions.question import Question, Refused, Reply
from appliance.service import clerk as clerk_module
from appliance.service.line import RoomLimits
from appliance.service.room import Room
from appliance.threads import Broken
from engines.engine import EngineError, EngineLost
from tests.appliance.service.asking import Obedient, asked, refusal
from tests.waiting import until


@contextmanager
def room_of(backend: Obedient, **limits: Any) -> Iterator[Room]:
    with Room({"tones": lambda: backend}, limits=RoomLimits(**limits), service="gpu-1") as room:
        room.load("tones")
        yield room
        backend.going.set()


@contextmanager
def held(backend: Obedient, room: Room) -> Iterator[Any]:
    """Within the block the model is busy with one question, whose answer is given."""
    backend.going.clear()
    first = room.ask(asked("somebody", within_s=30))
    until(lambda: backend.runs)
    yield first
    backend.going.set()


def test_a_question_is_answered_by_the_model_and_signed_by_the_service() -> None:
    backend = Obedient()
    with room_of(backend) as room:
        question = asked()
        reply = room.ask(question).result(5)
        assert (reply.id, reply.service, reply.engine) == (question.id, "gpu-1", "obedient")
        assert reply.queue_ms >= 0
        [standing] = room.models()
        assert (standing.ready, standing.fault, standing.version) == (True, None, "1")


def test_one_loud_device_does_not_keep_the_others_waiting() -> None:
    backend = Obedient()
    with room_of(backend) as room:
        with held(backend, room):
            loud = [room.ask(asked("loud", within_s=30)) for _ in range(20)]
            quiet = room.ask(asked("quiet", within_s=30))
        quiet.result(5)
        for answer in loud:
            answer.result(5)
    assert [questions[0].device for questions in backend.runs].index("quiet") == 2


def test_a_batch_takes_one_of_each_device_first() -> None:
    backend = Obedient(most=4)
    with room_of(backend) as room:
        with held(backend, room):
            answers = [room.ask(asked(device, within_s=30)) for device in ("a", "a", "a", "b", "c", "c")]
        for answer in answers:
            answer.result(5)
    assert [[question.device for question in run] for run in backend.runs[1:]] == [["a", "b", "c", "a"], ["c", "a"]]


def test_too_many_of_one_device_and_too_many_of_all_are_refused() -> None:
    backend = Obedient()
    with room_of(backend, each=2, most=3) as room, held(backend, room):
        answers = [room.ask(asked("loud", within_s=30)) for _ in range(3)]
        assert refusal(answers[2]).code == "busy"
        room.ask(asked("quiet", within_s=30))
        assert refusal(room.ask(asked("calm", within_s=30))).code == "busy"
        assert [standing.waiting for standing in room.models()] == [3]


def test_more_bytes_than_may_wait_are_refused() -> None:
    backend = Obedient()
    with room_of(backend, waiting_bytes=40_000) as room, held(backend, room):
        room.ask(asked("a", within_s=30))
        assert refusal(room.ask(asked("b", within_s=30))).code == "busy"


def test_what_cannot_be_in_time_is_refused_at_once_and_never_begun() -> None:
    backend = Obedient()
    backend.seconds = 0.1
    with room_of(backend) as room:
        room.ask(asked()).result(5)
        waiting = [room.ask(asked(str(number), within_s=30)) for number in range(5)]
        hopeless = room.ask(asked("late", within_s=0.2))
        assert hopeless.done()
        assert refusal(hopeless).code == "busy"
        for answer in waiting:
            answer.result(5)
    assert all(question.device != "late" for run in backend.runs for question in run)


def test_a_question_whose_turn_comes_too_late_is_not_begun() -> None:
    backend = Obedient()
    with room_of(backend) as room:
        with held(backend, room):
            late = room.ask(asked("late", within_s=0.05))
            over = threading.Event()
            over.wait(0.06)
        assert refusal(late).code == "expired"
    assert all(question.device != "late" for run in backend.runs for question in run)


def test_an_answer_after_the_deadline_is_none() -> None:
    backend = Obedient()
    with room_of(backend) as room:
        backend.seconds = 0.1
        assert refusal(room.ask(asked(within_s=0.05))).code == "expired"


def test_whoever_gives_up_waiting_takes_no_turn() -> None:
    backend = Obedient()
    with room_of(backend) as room:
        with held(backend, room):
            given_up, patient = room.ask(asked("a", within_s=30)), room.ask(asked("b", within_s=30))
            assert given_up.cancel()
        patient.result(5)
    assert [questions[0].device for questions in backend.runs] == ["somebody", "b"]


def test_one_bad_question_of_a_batch_costs_the_others_nothing() -> None:
    backend = Obedient(most=4)
    backend.fault = lambda questions: EngineError("NaN") if any(each.device == "bad" for each in questions) else None
    with room_of(backend) as room:
        with held(backend, room):
            good, bad = room.ask(asked("good", within_s=30)), room.ask(asked("bad", within_s=30))
        assert isinstance(good.result(5), Reply)
        assert refusal(bad).code == "failed"


def test_a_bug_that_a_question_brings_out_does_not_end_the_service() -> None:
    backend = Obedient()
    backend.fault = lambda questions: KeyError("what?") if questions[0].device == "bad" else None
    with room_of(backend) as room:
        assert "internal error" in refusal(room.ask(asked("bad"))).words
        room.ask(asked("good")).result(5)
        room.check()


def test_a_model_that_fails_again_and_again_is_opened_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clerk_module, "RETRY_FIRST_S", 0.01)
    backend = Obedient()
    backend.fault = lambda questions: EngineError("out of memory")
    with room_of(backend) as room:
        for _ in range(clerk_module.FAILURES_TO_REOPEN):
            refusal(room.ask(asked()))
        backend.fault = lambda questions: None
        until(lambda: backend.opened == 2 and room.models()[0].ready)
        room.ask(asked()).result(5)


def test_a_model_that_does_not_open_says_why_and_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clerk_module, "RETRY_FIRST_S", 0.01)
    backend = Obedient()
    backend.refuses_to_open = "model.onnx: damaged"
    with Room({"tones": lambda: backend}) as room:
        with pytest.raises(Refused, match="damaged"):
            room.load("tones")
        assert refusal(room.ask(asked())).words == "tones: model.onnx: damaged"
        backend.refuses_to_open = None
        until(lambda: room.models()[0].ready)
        room.ask(asked()).result(5)


def test_a_run_that_takes_too_long_is_called_off() -> None:
    backend = Obedient()
    with room_of(backend, run_s=0.05) as room:
        backend.going.clear()
        answer = room.ask(asked(within_s=30))

        def called_off() -> bool:
            room.check()
            return answer.done()

        until(called_off)
        assert refusal(answer).words == "called off"
        backend.going.set()
        room.ask(asked()).result(5)


def test_an_engine_that_hangs_ends_the_process() -> None:
    backend = Obedient()
    with room_of(backend, run_s=0.02) as room, held(backend, room):
        backend.cancel = lambda: None  # type: ignore[method-assign]  # it does not react

        def broken() -> bool:
            try:
                room.check()
            except Broken as error:
                return "hangs" in str(error)
            return False

        until(broken)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_device_that_is_lost_ends_the_process_and_refuses_what_waits() -> None:
    backend = Obedient()
    with room_of(backend) as room:
        with held(backend, room):
            waiting = room.ask(asked("b", within_s=30))
            backend.fault = lambda questions: EngineLost("the GPU is gone")
        assert refusal(waiting).code == "failed"

        def broken() -> bool:
            try:
                room.check()
            except Broken as error:
                return "ended unexpectedly" in str(error)
            return False

        until(broken)


def test_draining_answers_what_waits_and_refuses_what_comes() -> None:
    backend = Obedient()
    with room_of(backend) as room:
        with held(backend, room) as first:
            waiting = room.ask(asked("b", within_s=30))
            room.drain()
            assert refusal(room.ask(asked("c"))).code == "draining"
        first.result(5)
        waiting.result(5)
        until(lambda: room.idle)
        room.check()


def test_closing_refuses_what_waits_rather_than_leaving_it() -> None:
    backend = Obedient()
    with Room({"tones": lambda: backend}) as room:
        room.load("tones")
        backend.going.clear()
        first = room.ask(asked("a", within_s=30))
        until(lambda: backend.runs)
        waiting = room.ask(asked("b", within_s=30))
        threading.Timer(0.1, backend.going.set).start()
    first.result(5)
    assert refusal(waiting).code == "draining"


def test_a_model_is_unloaded_after_its_last_answer_and_loaded_again() -> None:
    backend = Obedient()
    with room_of(backend) as room:
        room.ask(asked()).result(5)
        room.unload("tones")
        assert refusal(room.ask(asked())).code == "failed"
        assert not room.models()[0].ready
        room.check()
        room.load("tones")
        room.ask(asked()).result(5)
        assert backend.opened == 2


def test_a_model_that_nobody_has_is_refused() -> None:
    with room_of(Obedient()) as room:
        assert refusal(room.ask(asked(model="cats"))).code == "unknown-model"
        for act in (room.load, room.unload):
            with pytest.raises(Refused):
                act("cats")


MISFITS: dict[str, tuple[dict[str, Any], str, str]] = {
    "another version": ({"version": "7"}, "unknown-model", "version 1 is here"),
    "a picture": ({"sound": None, "picture": np.zeros((4, 4, 3), np.uint8)}, "malformed", "hears"),
    "no sound at all": ({"sound": np.zeros(0, np.float32)}, "malformed", "windows of 8000"),
    "too long a sound": ({"sound": np.zeros(8001, np.float32)}, "malformed", "windows of 8000"),
    "a sound with NaN": ({"sound": np.array([np.nan], np.float32)}, "malformed", "no numbers"),
    "nothing": ({"sound": None, "decode": False}, "malformed", "takes the tensors sound"),
    "a stage it has not": ({"last": "head"}, "malformed", "no stage head"),
    "tensors to be decoded": (
        {"sound": None, "tensors": {"sound": np.zeros((1, 8000), np.float32)}},
        "malformed",
        "decode false",
    ),
    "a tensor of another name": (
        {"sound": None, "decode": False, "tensors": {"x": np.zeros((1, 8000), np.float32)}},
        "malformed",
        "given: x",
    ),
    "a tensor of another type": (
        {"sound": None, "decode": False, "tensors": {"sound": np.zeros((1, 8000), np.float64)}},
        "malformed",
        "float32",
    ),
    "a tensor of another shape": (
        {"sound": None, "decode": False, "tensors": {"sound": np.zeros((1, 8001), np.float32)}},
        "malformed",
        r"\[1, 8000\]",
    ),
    "a tensor of fewer axes": (
        {"sound": None, "decode": False, "tensors": {"sound": np.zeros(8000, np.float32)}},
        "malformed",
        r"\[1, 8000\]",
    ),
    "a tensor with infinities": (
        {"sound": None, "decode": False, "tensors": {"sound": np.full((1, 8000), np.inf, np.float32)}},
        "malformed",
        "no numbers",
    ),
    "a deadline that has passed": ({"deadline_ns": 1}, "expired", "had passed"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_a_question_that_does_not_fit_takes_nobodys_turn(name: str) -> None:
    changes, code, words = MISFITS[name]
    backend = Obedient()
    with room_of(backend) as room:
        with pytest.raises(Refused, match=words) as refused:
            room.ask(asked(**changes)).result(5)
        assert refused.value.code == code
    assert backend.runs == []


def test_figures_tell_what_was_asked_answered_and_refused() -> None:
    backend = Obedient(most=2)
    with room_of(backend) as room:
        with held(backend, room):
            pair = [room.ask(asked(device, within_s=30)) for device in ("a", "b")]
        for answer in pair:
            answer.result(5)
        refusal(room.ask(asked(version="9")))
        figures = room.models()[0].figures
    assert (figures.requests, figures.answered.count) == (4, 3)
    assert dict(figures.refused) == {"unknown-model": 1}
    assert {size: runs.count for size, runs in figures.runs.items()} == {1: 1, 2: 1}
    assert (figures.inferences, figures.executions) == (3, 2)
    assert figures.answered.ns >= figures.queue.ns > 0
    assert figures.last_unix_ms > 0


def test_many_threads_may_ask_at_once_and_each_gets_its_own_answer() -> None:
    backend = Obedient(most=8)
    answers: dict[str, Reply] = {}

    def ask_often(room: Room, device: str) -> None:
        for _ in range(50):
            question: Question = asked(device, within_s=30)
            answers[question.id] = room.ask(question).result(30)

    with room_of(backend) as room:
        threads = [threading.Thread(target=ask_often, args=(room, f"device {n}")) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert len(answers) == 400
    assert all(reply.id == question for question, reply in answers.items())


def test_a_question_that_was_refused_is_forgotten_with_its_picture() -> None:
    """Not when the garbage collector comes by: that takes hundreds of megabytes of pictures."""
    gc.disable()
    try:
        with room_of(Obedient()) as room:
            picture = np.zeros((4, 4, 3), np.uint8)
            seen = weakref.ref(picture)
            answer = room.ask(asked(sound=None, picture=picture))
            assert refusal(answer).code == "malformed"
            del picture
            assert seen() is None
    finally:
        gc.enable()


def test_a_model_that_is_loaded_and_unloaded_is_never_taken_for_broken() -> None:
    backend, stopping = Obedient(), threading.Event()
    wrong: list[str] = []

    def watch() -> None:
        while not stopping.wait(0.0001):
            try:
                room.check()
            except Broken as broken:
                wrong.append(str(broken))

    with Room({"tones": lambda: backend}, eager=False) as room:
        watcher = threading.Thread(target=watch)
        watcher.start()
        for _ in range(50):
            room.load("tones")
            room.unload("tones")
        stopping.set()
        watcher.join()
    assert wrong == []
