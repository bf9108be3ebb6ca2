"""Stages that may run on either side, with engines and an asker that do as they are told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.questions.announcement import ServedModel
from appliance.questions.codec import Payload
from appliance.questions.question import Question, Refused, Reply
from appliance.remote.open_questions import Take
from appliance.remote.placing import StagePlacement
from appliance.remote.services import Offer, Standing
from appliance.result import ModelId
from engines.bundle import Bundle
from engines.engine import Array, Engine, EngineError, Tensors
from engines.manifest import Manifest
from engines.model import Model
from engines.predictions import Answer
from tests import networks
from tests.engines import models
from tests.engines.models import Scripted

SOUND = np.linspace(-1, 1, 4, dtype=np.float32)


class Played:
    """An asker whose service squares, sums, refuses, or says nothing, on the asking thread."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.digest = manifest.digest
        self.there = True
        self.refusal: Refused | None = None
        self.silent = False
        self.asked: list[Question] = []
        self.came = threading.Event()

    def standing(self, model: str, version: str | None = None) -> Standing:
        if not self.there:
            return Standing(True, "no model service is there")
        served = ServedModel(model, True, self.manifest.version, self.digest)
        return Standing(True, "attic online", (Offer("attic", served, 0.0, 1 << 20),))

    def ask(self, question: Question, payload: Payload, take: Take) -> None:
        self.asked.append(question)
        self.came.set()
        if self.silent:
            return
        if self.refusal is not None:
            take(self.refusal)
            return
        tensors: dict[str, Array] = dict(question.tensors)
        if question.sound is not None:
            tensors["x"] = question.sound.reshape(1, -1)
        if question.first in (None, "square"):
            tensors["power"] = tensors["x"] ** 2
        if question.last == "judge":
            tensors["y"] = scores(tensors["power"])
        answered = {"square": "power", "judge": "y"}[question.last or "judge"]
        model = ModelId(self.manifest.name, self.manifest.version, self.digest)
        reply = Reply(question.id, model, None, {answered: tensors[answered]}, 0.0, 1.0, "attic", "onnxruntime")
        take(reply)


def scores(power: Array) -> Array:
    loud = power.mean(axis=1)
    return np.stack([1 - loud, loud], axis=1).astype(np.float32)


def square(given: Tensors) -> dict[str, Array]:
    return {"power": given["x"] ** 2}


def judge(given: Tensors) -> dict[str, Array]:
    return {"y": scores(given["power"])}


def broken(_given: Tensors) -> dict[str, Array]:
    raise EngineError("the engine is broken")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Two stages: the file of each only tells its inputs and outputs."""
    of = models.manifest(
        "audio-labels", models.sounds(4), ["quiet", "loud"], ["square", "judge"], name="audio-labels", threshold=0.0
    )
    first = networks.answering(tmp_path / "square.onnx", {"x": (1, 4)}, {"power": (1, 4)})
    second = networks.answering(tmp_path / "judge.onnx", {"power": (1, 4)}, {"y": (1, 2)})
    return models.bundle(of, first, second)


def engines(
    first: Callable[[Tensors], dict[str, Array]] = square, second: Callable[[Tensors], dict[str, Array]] = judge
) -> list[Scripted]:
    return [Scripted({"x": (1, 4)}, {"power": (1, 4)}, first), Scripted({"power": (1, 4)}, {"y": (1, 2)}, second)]


class Scene:
    """A model whose stages may run on both sides."""

    def __init__(self, bundle: Bundle, place: Any = "auto", here: Sequence[Scripted | None] | None = None) -> None:
        self.asker = Played(bundle.manifest)
        self.here = list(engines() if here is None else here)
        self.placement = StagePlacement(
            self.asker, place, device="dock-1", offload="frames", patience_s=0.3, allow=lambda size: self.why_not
        )
        self.why_not = ""
        waiting = list(self.here)

        def open_engine(path: Path) -> Engine:
            engine = waiting.pop(0)
            if engine is None:
                raise EngineError("there is no engine for it here")
            return engine

        self.model = Model(bundle, open_engine=open_engine, place=self.placement)

    def __enter__(self) -> Scene:
        self.model.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.model.__exit__(None, None, None)

    def answer(self) -> tuple[str, float]:
        """Side and score of `loud`; raises what the model says instead."""
        [answer] = self.model.predict([SOUND])
        if isinstance(answer, EngineError):
            raise answer
        assert isinstance(answer, Answer)
        [loud] = [each.score for each in answer.predictions if each.label == "loud"]  # type: ignore[union-attr]
        return self.placement.answered_by or "here", round(loud, 3)


LOUD = round(float((SOUND**2).mean()), 3)


def test_without_measurements_it_begins_here_and_then_tries_the_service(bundle: Bundle) -> None:
    with Scene(bundle) as scene:
        sides = {scene.answer() for _ in range(3)}
    assert sides == {("here", LOUD), ("attic", LOUD)}


def test_without_a_service_everything_runs_here(bundle: Bundle) -> None:
    with Scene(bundle) as scene:
        scene.asker.there = False
        assert [scene.answer() for _ in range(5)] == [("here", LOUD)] * 5
        assert scene.placement.reason == "no service with this model is there"
        assert not scene.asker.asked


def test_a_service_with_another_model_is_never_asked(bundle: Bundle) -> None:
    with Scene(bundle) as scene:
        scene.asker.digest = "sha256:" + "1" * 64
        assert [scene.answer() for _ in range(5)] == [("here", LOUD)] * 5
        assert not scene.asker.asked


def test_what_the_service_refuses_is_finished_here(bundle: Bundle) -> None:
    with Scene(bundle) as scene:
        scene.asker.refusal = Refused("busy", "40 wait")
        assert scene.answer() == ("here", LOUD)
        assert scene.placement.reason == "the service did not answer (tested at a model service: busy: 40 wait)"
        assert [scene.answer() for _ in range(4)] == [("here", LOUD)] * 4
        assert len(scene.asker.asked) == 1  # then it is left alone for a while


def test_what_the_service_does_not_answer_is_finished_here(bundle: Bundle) -> None:
    with Scene(bundle) as scene:
        for _ in range(3):
            scene.answer()
        scene.asker.silent = True
        assert [scene.answer() for _ in range(3)] == [("here", LOUD)] * 3


@pytest.mark.parametrize(("first", "second"), [(broken, judge), (square, broken)])
def test_a_stage_that_fails_here_is_asked_for(bundle: Bundle, first: Any, second: Any) -> None:
    with Scene(bundle, here=engines(first, second)) as scene:
        assert [scene.answer() for _ in range(3)] == [("attic", LOUD)] * 3
        if second is judge:
            assert "the engine is broken" in scene.placement.reason
    assert scene.asker.asked[0].first in (None, "judge")


def test_a_stage_that_has_no_engine_here_is_asked_for(bundle: Bundle) -> None:
    with Scene(bundle, here=[engines()[0], None]) as scene:
        assert [scene.answer() for _ in range(3)] == [("attic", LOUD)] * 3


def test_when_both_sides_fail_both_reasons_are_told(bundle: Bundle) -> None:
    with Scene(bundle, here=engines(square, broken)) as scene:
        scene.asker.refusal = Refused("draining", "it stops")
        with pytest.raises(
            EngineError, match="the engine is broken; and tested at a model service: draining: it stops"
        ):
            scene.answer()


def test_over_the_budget_nothing_is_asked(bundle: Bundle) -> None:
    with Scene(bundle) as scene:
        scene.why_not = "the device's bytes for this second are used up"
        assert [scene.answer() for _ in range(3)] == [("here", LOUD)] * 3
        assert not scene.asker.asked


def test_over_the_budget_a_fixed_stage_says_so(bundle: Bundle) -> None:
    with Scene(bundle, {"judge": "remote"}, [engines()[0]]) as scene:
        scene.why_not = "the device's bytes for this second are used up"
        with pytest.raises(EngineError, match="judge cannot be asked for: the device's bytes"):
            scene.answer()


def test_two_neighbours_at_the_service_are_one_question(bundle: Bundle) -> None:
    with Scene(bundle, {"square": "remote", "judge": "remote"}, []) as scene:
        assert scene.answer() == ("attic", LOUD)
        [asked] = scene.asker.asked
    assert (asked.first, asked.last, asked.decode, asked.version) == (None, "judge", False, "1")
    assert asked.sound is not None


def test_features_name_the_stage_they_are_for(bundle: Bundle) -> None:
    with Scene(bundle, {"judge": "remote"}, [engines()[0]]) as scene:
        assert scene.answer() == ("attic", LOUD)
        [asked] = scene.asker.asked
    assert (asked.first, asked.last) == ("judge", "judge")
    np.testing.assert_array_equal(asked.tensors["power"], SOUND.reshape(1, 4) ** 2)


@pytest.mark.system
def test_an_asker_that_says_nothing_does_not_hold_the_model_for_ever(bundle: Bundle) -> None:
    with Scene(bundle, {"judge": "remote"}, [engines()[0]]) as scene:
        scene.asker.silent = True
        with pytest.raises(EngineError, match="does not answer"):
            scene.answer()


def test_cancelling_ends_the_wait_for_the_service(bundle: Bundle) -> None:
    with Scene(bundle, here=[engines()[0], None]) as scene:
        scene.asker.silent = True

        def cancel() -> None:
            assert scene.asker.came.wait(5)
            scene.model.cancel()

        canceller = threading.Thread(target=cancel)
        canceller.start()
        with pytest.raises(EngineError, match="cancelled while a model service was asked"):
            scene.answer()
        canceller.join()


def test_samples_of_a_batch_are_asked_one_by_one_and_put_together(tmp_path: Path) -> None:
    of = models.manifest(
        "audio-labels",
        models.sounds(4, batch=None),
        ["quiet", "loud"],
        ["square", "judge"],
        name="audio-labels",
        threshold=0.0,
    )
    first = networks.answering(tmp_path / "square.onnx", {"x": ("n", 4)}, {"power": ("n", 4)})
    second = networks.answering(tmp_path / "judge.onnx", {"power": ("n", 4)}, {"y": ("n", 2)})
    here = Scripted({"x": (None, 4)}, {"power": (None, 4)}, square)
    with Scene(models.bundle(of, first, second), {"judge": "remote"}, [here]) as scene:
        answers = scene.model.predict([SOUND, 0 * SOUND, SOUND])
        assert len(scene.asker.asked) == 3
    found = [max(each.predictions, key=lambda p: p.score).label for each in answers]  # type: ignore[union-attr]
    assert found == ["loud", "quiet", "loud"]
    assert [each.tensors["power"].shape for each in scene.asker.asked] == [(1, 4)] * 3
