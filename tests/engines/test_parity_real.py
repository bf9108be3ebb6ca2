"""Real models on real videos, pictures and speech, against plain decoders that share nothing with ours."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]  # it ships no types
import pytest

from engines.manifest import AudioInput, Manifest
from engines.model import Model
from engines.predictions import Label, Segment
from engines.recognise import recognise
from tests.engines import references
from tests.engines.models import bundle, manifest, only, pictures, sounds

pytestmark = [pytest.mark.data, pytest.mark.system]

COCO = 80
EVERY = 20
"""One frame in so many is looked at: the plain decoders take their time."""
LEAST = 0.35
"""Lower than the models' own, so that there is more to compare."""


def session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def frames(path: Path) -> Iterator[Any]:
    video = cv2.VideoCapture(str(path))
    assert video.isOpened(), path
    number = 0
    while True:
        there, frame = video.read()
        if not there:
            break
        if number % EVERY == 0:
            yield frame
        number += 1
    assert number > 100


def fastestdet_by_hand() -> Manifest:
    spec = pictures(352, 352, tensor="input.1", fit="stretch", channels="bgr")
    labels = [f"class {number}" for number in range(COCO)]
    return manifest("detect", spec, labels, name="fastestdet", nms_iou=0.45, threshold=0.65)


def plain_fastestdet(network: ort.InferenceSession, frame: Any) -> list[references.Found]:
    tensor = cv2.resize(frame, (352, 352)).transpose(2, 0, 1)[np.newaxis] / np.float32(255)
    [output] = network.run(None, {network.get_inputs()[0].name: tensor.astype(np.float32)})
    return references.fastestdet(np.asarray(output), frame.shape[1], frame.shape[0], LEAST)


@pytest.mark.parametrize("clip", ["car-detection.mp4", "bottle-detection.mp4"])
@pytest.mark.parametrize("described", ["recognised", "by hand"])
def test_fastestdet_on_a_real_video_finds_what_a_plain_decoder_finds(data: Path, clip: str, described: str) -> None:
    path = data / "models" / "FastestDet.onnx"
    of = recognise(path) if described == "recognised" else fastestdet_by_hand()
    network = session(path)
    total = 0
    with Model(bundle(of, path), engine="onnxruntime", threads=1) as model:
        for frame in frames(data / "video" / clip):
            answer = only(model.predict([frame], thresholds=[LEAST]))
            ours = [(each.class_id, each.score, each.box) for each in answer.predictions]
            overlap, difference = references.match(ours, plain_fastestdet(network, frame))
            assert overlap >= 0.99
            assert difference <= 1e-3
            total += len(ours)
    assert total > 25, "too little was found to compare anything"


@pytest.mark.parametrize("name", ["faces_26.jpg", "fd_0.jpg", "fd_1.jpg", "fd_3.jpg"])
@pytest.mark.parametrize("threshold", [0.7, 0.3])
def test_ultraface_on_real_pictures_finds_what_a_plain_decoder_finds(data: Path, name: str, threshold: float) -> None:
    path = data / "models" / "ultraface-slim-320.onnx"
    frame = cv2.imread(str(data / "images" / name))
    assert frame is not None
    rgb = cv2.resize(frame, (320, 240))[:, :, ::-1].astype(np.float32)
    network = session(path)
    scores, boxes = (
        np.asarray(output)
        for output in network.run(
            None, {network.get_inputs()[0].name: ((rgb - 127) / 128).transpose(2, 0, 1)[np.newaxis]}
        )
    )
    expected = references.ultraface(scores, boxes, frame.shape[1], frame.shape[0], threshold)
    with Model(bundle(recognise(path), path), engine="onnxruntime", threads=1) as model:
        answer = only(model.predict([frame], thresholds=[threshold]))
    ours = [(each.class_id, each.score, each.box) for each in answer.predictions]
    overlap, difference = references.match(ours, expected)
    assert overlap >= 0.99
    assert difference <= 1e-3
    assert len(ours) > (10 if name == "faces_26.jpg" else -1)


# -- speech -----------------------------------------------------------------------------------------------------------


def speech(data: Path) -> Any:
    with wave.open(str(data / "speech.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    return samples.astype(np.float32) / np.float32(32768)


def plain_probabilities(path: Path, samples: Any) -> list[float]:
    """Silero's network window by window, as its authors feed it."""
    network = session(path)
    state, context = np.zeros((2, 1, 128), np.float32), np.zeros(64, np.float32)
    found = []
    for start in range(0, len(samples), 512):
        window = np.zeros(512, np.float32)
        window[: len(samples[start : start + 512])] = samples[start : start + 512]
        given = {"input": np.concatenate((context, window))[np.newaxis], "state": state, "sr": np.array(16_000)}
        probability, state = network.run(None, given)
        context = window[-64:]
        found.append(float(np.asarray(probability)[0, 0]))
    return found


def silero_by_hand() -> Manifest:
    spec: AudioInput = sounds(
        512,
        tensor="input",
        context=64,
        batch=None,
        state={"stateN": "state"},
        state_shapes={"state": (2, 1, 128)},
        constants={"sr": 16_000},
    )
    return manifest("vad", spec, ["speech"], name="vad", options={"output": "output"})


@pytest.mark.parametrize("described", ["recognised", "by hand"])
def test_silero_hears_the_same_utterances_as_its_offline_reference(data: Path, described: str) -> None:
    path = data / "models" / "silero_vad_16k_op15.onnx"
    of = recognise(path) if described == "recognised" else silero_by_hand()
    samples = speech(data)
    probabilities = plain_probabilities(path, samples)
    expected = references.speech_segments(probabilities, len(samples))
    assert len(expected) > 5

    heard: list[Segment] = []
    scores: list[float] = []
    with Model(bundle(of, path), engine="onnxruntime", threads=1) as model:
        stream = model.new_stream()
        for start in range(0, len(samples), 512):
            answer = only(model.predict([samples[start : start + 512]], [stream]))
            [label] = [each for each in answer.predictions if isinstance(each, Label)]
            scores.append(label.score if label.label == "speech" else 1 - label.score)
            heard += [each for each in answer.predictions if isinstance(each, Segment)]
        heard += model.finish(stream)

    np.testing.assert_allclose(scores, probabilities, atol=1e-4)
    ours = [(round(each.start_s * 16_000), round(each.end_s * 16_000)) for each in heard]
    assert ours == expected
