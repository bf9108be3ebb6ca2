"""A model whose stages are run by somebody else, one or several at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from engines.bundle import Bundle
from engines.chain import Link
from engines.engine import Array, EngineError, Tensors
from engines.manifest import AudioInput, Decoder, Manifest, Stage
from engines.model import Model, OpenHere
from tests.engines.models import Scripted, bundle, only

NOTHING = "sha256:" + "0" * 64


def two_stages() -> Manifest:
    return Manifest(
        name="loudness",
        version="1",
        task="audio-labels",
        labels=("quiet", "loud"),
        input=AudioInput(tensor="sound", rate_hz=1000, samples=4, hop=4),
        stages=(
            Stage(name="square", file="a.onnx", digest=NOTHING),
            Stage(name="judge", file="b.onnx", digest=NOTHING),
        ),
        decoder=Decoder(name="audio-labels", threshold=0.5),
    )


def square() -> Scripted:
    return Scripted({"sound": (1, 4)}, {"power": (1, 4)}, lambda given: {"power": given["sound"] ** 2})


def judge() -> Scripted:
    return Scripted({"power": (1, 4)}, {"scores": (1, 2)}, lambda given: {"scores": _scores(given["power"])})


def both() -> Scripted:
    return Scripted({"sound": (1, 4)}, {"scores": (1, 2)}, lambda given: {"scores": _scores(given["sound"] ** 2)})


def _scores(power: Array) -> Array:
    loud = np.float32(power.mean())
    return np.array([[1 - loud, loud]], np.float32)


def test_engines_from_elsewhere_answer_like_those_here() -> None:
    here, elsewhere = square(), judge()
    opened: list[str] = []

    def place(given: Bundle, open_here: OpenHere) -> Sequence[Link]:
        opened.append(given.manifest.name)
        return [("square", open_here("square")), ("judge", elsewhere.__enter__())]

    with Model(bundle(two_stages()), open_engine=lambda path: here, place=place) as model:
        answer = only(model.predict([np.ones(4, np.float32)]))
    assert [(each.label, each.score) for each in answer.predictions] == [("loud", 1.0)]
    assert opened == ["loudness"]
    assert not here.open  # what `open_here` opened ends with the model


def test_one_engine_may_run_several_stages() -> None:
    whole = both().__enter__()
    with Model(bundle(two_stages()), place=lambda bundle, here: [("square and judge", whole)]) as model:
        answer = only(model.predict([np.zeros(4, np.float32)]))
    assert [each.label for each in answer.predictions] == ["quiet"]
    assert len(whole.given) == 1


def test_an_engine_that_returns_something_else_is_named_after_its_stages() -> None:
    def wrong(given: Tensors) -> dict[str, Array]:
        return {"power": given["sound"]}

    whole = Scripted({"sound": (1, 4)}, {"scores": (1, 2)}, wrong).__enter__()
    with Model(bundle(two_stages()), place=lambda bundle, here: [("square and judge", whole)]) as model:
        (answer,) = model.predict([np.zeros(4, np.float32)])
    assert isinstance(answer, EngineError)
    assert "stage square and judge returned power, expected scores" in str(answer)


def test_stages_that_do_not_fit_are_refused_when_the_model_is_opened() -> None:
    alone = judge().__enter__()
    model = Model(bundle(two_stages()), place=lambda bundle, here: [("judge", alone)])
    with pytest.raises(EngineError, match="needs input power"):
        model.__enter__()
