"""Models that name many sounds at once, in frames, beside embeddings: as YAMNet is exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.engine import EngineError
from engines.model import Model
from engines.predictions import Label
from engines.recognise import Hints, Unrecognised, recognise
from tests import networks
from tests.engines import models
from tests.engines.models import Scripted, only

LABELS = ("speech", "dog", "siren", "rain", "music")
OUTPUTS: networks.Tensors = {"scores": [3, 5], "embeddings": [3, 16], "spectrogram": [9, 64]}


def test_the_scores_are_told_by_the_labels_and_averaged_over_frames(tmp_path: Path) -> None:
    path = networks.answering(tmp_path / "events.onnx", {"waveform": ["n"]}, OUTPUTS, last="Sigmoid")
    of = recognise(path, hints=Hints(labels=LABELS, rate_hz=16_000, samples=15_600))
    assert of.task == "audio-labels"
    assert of.decoder.options == {"activation": "none", "output": "scores", "frames": True}
    with Model(models.bundle(of, path), threshold=0.0) as model:
        answer = only(model.predict([np.zeros(15_600, np.float32)]))
    assert {each.score for each in answer.predictions if isinstance(each, Label)} == {0.5}


def test_without_labels_it_is_asked_which_output_has_the_scores(tmp_path: Path) -> None:
    path = networks.answering(tmp_path / "events.onnx", {"waveform": ["n"]}, OUTPUTS, last="Sigmoid")
    with pytest.raises(Unrecognised, match=r"which of its outputs \(scores, embeddings, spectrogram\) are the scores"):
        recognise(path, hints=Hints(rate_hz=16_000, samples=15_600))


def frames(*rows: list[float]) -> Model:
    of = models.manifest(
        "audio-labels",
        models.sounds(8, layout="n"),
        LABELS,
        name="audio-labels",
        threshold=0.3,
        options={"frames": True},
    )
    output = np.array(rows, np.float32).reshape(-1, 5)
    return models.model(of, Scripted({"x": (8,)}, {"y": (None, 5)}, lambda _: {"y": output}))


def test_several_sounds_at_once_are_all_told_by_their_mean() -> None:
    with frames([1, 0.5, 0, 0, 0], [0.6, 0.5, 0.4, 0, 0]) as model:
        answer = only(model.predict([np.zeros(8, np.float32)]))
    said = [(each.label, each.score) for each in answer.predictions if isinstance(each, Label)]
    assert said == [("speech", pytest.approx(0.8)), ("dog", 0.5)]


def test_no_frame_at_all_is_an_error() -> None:
    with frames() as model:
        [answer] = model.predict([np.zeros(8, np.float32)])
    assert isinstance(answer, EngineError)
    assert "has no frame" in str(answer)
