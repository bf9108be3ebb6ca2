"""The back end in this process: the same answers and the same tensors as the model itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from appliance.catalogue import Catalogue
from appliance.questions.question import Question, Refused, Reply
from appliance.service.backend import Local, Opened
from capture.options import VideoOptions
from capture.samples import Frame
from capture.shapes import Shapes
from engines.engine import Array, EngineError
from engines.model import Model
from engines.predictions import Answer
from tests.appliance.service.asking import asked
from tests.engines.models import bundle
from tests.engines.test_placing import judge, square, two_stages

SHIPPED = Catalogue.default().shipped


def _scene(number: int) -> Array:
    """One picture of the drawn scene, with shapes in it."""
    with Shapes("s", VideoOptions(width=320, height=192, realtime=False)) as scene:
        return next(frame.pixels for frame in scene if isinstance(frame, Frame) and frame.seq == number)


PICTURE = _scene(40)
TONE = np.sin(np.arange(8000, dtype=np.float32) * np.float32(0.3)) * np.float32(0.4)


@contextmanager
def local(name: str, batch: int | None = None) -> Iterator[tuple[Local, Opened]]:
    backend = Local(lambda: SHIPPED.find(name), lambda found: Model(found, engine="onnxruntime"), batch)
    try:
        yield backend, backend.open()
    finally:
        backend.close()


def reply_to(backend: Local, question: Question) -> Reply:
    [reply] = backend.run([question])
    assert isinstance(reply, Reply), reply
    return reply


@pytest.mark.parametrize(("name", "sample"), [("shapes", "picture"), ("tones", "sound")])
def test_the_service_says_what_the_model_says(name: str, sample: str) -> None:
    array = PICTURE if sample == "picture" else TONE
    with Model(SHIPPED.find(name), engine="onnxruntime") as model:
        [expected] = model.predict([array])
        assert isinstance(expected, Answer)
        assert expected.predictions
    with local(name) as (backend, opened):
        given: dict[str, Any] = {"sound": None, sample: array}
        reply = reply_to(backend, asked(model=name, **given))
        assert reply.answer is not None
        assert reply.answer.predictions == expected.predictions
        assert reply.model.digest == opened.manifest.digest
        assert reply.engine == opened.engine == "onnxruntime"


def test_thresholds_and_labels_count_for_their_own_question_only() -> None:
    question = asked(model="shapes", sound=None, picture=PICTURE)
    with local("shapes", batch=4) as (backend, _):
        everything = reply_to(backend, question)
        assert everything.answer is not None
        best = everything.answer.predictions[0]
        answers = backend.run(
            [question, replace(question, threshold=1.0), replace(question, labels=("nothing of the kind",))]
        )
    said = [reply.answer.predictions for reply in answers if isinstance(reply, Reply) and reply.answer is not None]
    assert said == [everything.answer.predictions, (), ()]
    assert best.score < 1.0  # type: ignore[union-attr]  # shapes gives detections


def test_output_tensors_are_those_of_the_network_and_stay_as_they_are() -> None:
    with local("tones") as (backend, opened):
        inputs = {opened.stages["main"].inputs[0].name: TONE[None, :]}
        from_sound = reply_to(backend, asked(sound=TONE, decode=False))
        kept = {name: array.copy() for name, array in from_sound.tensors.items()}
        from_tensors = reply_to(backend, asked(sound=None, tensors=inputs, decode=False))
        reply_to(backend, asked(decode=False))
    assert from_sound.tensors.keys() == {"scores"}
    for name, array in kept.items():
        np.testing.assert_array_equal(from_tensors.tensors[name], array)
        np.testing.assert_array_equal(from_sound.tensors[name], array)


def test_stages_run_alone_give_together_what_the_whole_gives() -> None:
    squaring, judging = square(), judge()
    links = [("square", squaring), ("judge", judging)]
    backend = Local(lambda: bundle(two_stages()), lambda found: Model(found, place=lambda *_: links), None)
    sound = np.array([0.1, 0.9, 0.2, 0.3], np.float32)
    with squaring, judging:
        assert list(backend.open().stages) == ["square", "judge"]
        whole = reply_to(backend, asked(sound=sound, decode=False))
        first = reply_to(backend, asked(sound=sound, last="square", decode=False))
        assert first.tensors.keys() == {"power"}
        rest = reply_to(backend, asked(sound=None, tensors=first.tensors, first="judge", decode=False))
        np.testing.assert_array_equal(rest.tensors["scores"], whole.tensors["scores"])
        [refused] = backend.run([asked(sound=None, tensors={"x": sound}, first="judge", decode=False)])
        assert isinstance(refused, Refused)
        backend.close()


def test_what_does_not_open_leaves_nothing_open() -> None:
    backend = Local(lambda: SHIPPED.find("no-such-model"), Model, None)
    with pytest.raises(EngineError):
        backend.open()
    backend.close()
