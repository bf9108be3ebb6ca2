"""Stages on either side of a real broker and a real service answer as they do all on the device."""

from __future__ import annotations

import json
import math
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.remote.asker import Asker
from appliance.remote.either import EitherSide
from appliance.remote.engine import RemoteStages
from appliance.remote.placing import StagePlacement, check_place, least_here
from appliance.remote.planned import planned_bytes
from appliance.remote.settings import Offload, Side
from capture.options import AudioOptions
from capture.wav import WavFile
from engines.bundle import Bundle
from engines.engine import Array, EngineError
from engines.model import Model
from engines.predictions import Answer, Detection, Segment
from tests.conftest import Broker
from tests.model_services import TOPICS, asking, scripted, settled
from tests.served_models import halved, serving, spoken_digits
from tests.uplinks import Listener
from tests.waiting import until

pytestmark = pytest.mark.system

PLACES: dict[str, dict[str, Side]] = {
    "LL": {},
    "LR": {"main-2": "remote"},
    "RL": {"main-1": "remote"},
    "RR": {"main-1": "remote", "main-2": "remote"},
}
RATE_HZ = 16_000


@dataclass
class World:
    """A broker, a service with two models, and a device that asks it."""

    tones: Bundle
    shapes: Bundle
    asker: Asker
    broker: Broker

    def placement(self, place: Any, offload: Offload = "frames", **more: Any) -> StagePlacement:
        given: dict[str, Any] = {"device": TOPICS.device, "offload": offload, "patience_s": 5.0} | more
        return StagePlacement(self.asker, place, **given)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if shutil.which("mosquitto") is None:
        pytest.skip("mosquitto is not installed: apt-get install mosquitto")
    folder = tmp_path_factory.mktemp("world")
    tones, shapes = halved("tones", "reducemean3", folder), halved("shapes", "averagepool14", folder)
    broker = Broker(folder)
    broker.start()
    try:
        with serving(broker.url, folder, tones, shapes), asking(broker.url) as asker:
            until(lambda: asker.standing("tones").usable and asker.standing("shapes").usable, 30)
            yield World(tones, shapes, asker, broker)
    finally:
        broker.kill()


def melody() -> list[Array]:
    """Half seconds of tones, chirps and noise, in steps of a tenth of a second."""
    random = np.random.default_rng(5)
    t = np.arange(4 * RATE_HZ) / RATE_HZ
    pitch = np.repeat([0.0, 440.0, 1000.0, 0.0, 2500.0, 700.0, 0.0, 3200.0], len(t) // 8)
    sound = 0.4 * np.sin(2 * np.pi * np.cumsum(pitch) / RATE_HZ) * (pitch > 0) + random.normal(0, 0.01, len(t))
    return [sound[at : at + 8000].astype(np.float32) for at in range(0, len(sound) - 8000, 1600)]


def picture(seed: int) -> Array:
    """Squares of red, green or blue on grey."""
    random = np.random.default_rng(seed)
    pixels = np.full((240, 400, 3), 40, np.uint8)
    for left in (60, 250):
        top = int(random.integers(40, 120))
        pixels[top : top + 60, left : left + 60] = np.roll([255, 0, 0], random.integers(3))
    return pixels


def labels(bundle: Bundle, samples: Sequence[Array], placement: StagePlacement | None) -> list[tuple[str, ...]]:
    with Model(bundle, engine="onnxruntime", place=placement) as model:
        stream = model.new_stream()
        answers = [model.predict([each], streams=[stream])[0] for each in samples]
    assert all(isinstance(each, Answer) for each in answers), answers
    return [tuple(found.label for found in each.predictions) for each in answers]  # type: ignore[union-attr]


@pytest.mark.parametrize("place", PLACES)
def test_all_placements_of_a_model_of_sound_give_the_same_labels(world: World, place: str) -> None:
    samples = melody()
    alone = labels(world.tones, samples, None)
    assert len(set(alone)) > 2  # the labels do tell something
    placement = world.placement(PLACES[place])
    before = settled(world.asker).sent
    assert labels(world.tones, samples, placement) == alone
    until(lambda: world.asker.figures().sent - before == (0 if place == "LL" else len(samples)))
    assert placement.answered_by == (None if place.endswith("L") else "attic")


def test_features_of_pictures_give_the_same_boxes(world: World) -> None:
    samples = [picture(seed) for seed in range(6)]
    placement = world.placement({"main-2": "remote"}, offload="features")
    with (
        Model(world.shapes, engine="onnxruntime") as here,
        Model(world.shapes, engine="onnxruntime", place=placement) as shared,
    ):
        for sample in samples:
            [expected], [found] = here.predict([sample]), shared.predict([sample])
            assert isinstance(expected, Answer)
            assert isinstance(found, Answer)
            assert len(boxes(expected)) == 2
            np.testing.assert_allclose(boxes(found), boxes(expected), atol=1.0)
            assert [each.label for each in found.predictions] == [each.label for each in expected.predictions]


def boxes(answer: Answer) -> list[tuple[float, ...]]:
    return [each.box for each in answer.predictions if isinstance(each, Detection)]


@pytest.mark.parametrize("place", ["LR", "RL", "RR"])
def test_the_bytes_of_a_question_are_as_planned(world: World, place: str) -> None:
    check_bytes(world.broker, world.asker, world.tones, world.placement(PLACES[place]), melody())


def check_bytes(
    broker: Broker, asker: Asker, bundle: Bundle, placement: StagePlacement, samples: Sequence[Array]
) -> None:
    """What is published for these samples is what was planned, less what deflating saved."""
    before = settled(asker)
    with (
        Listener(broker.port, f"model-service/{bundle.manifest.name}/infer/+") as listener,
        Model(bundle, engine="onnxruntime", place=placement) as model,
    ):
        [engine] = [each for _, each in model.stages if isinstance(each, RemoteStages)]
        planned = planned_bytes(engine.errand, engine.inputs, TOPICS)
        for sample in samples:
            model.predict([sample])
        until(lambda: len(listener.messages) == len(samples))
        after = settled(asker)
        assert after.sent - before.sent == len(samples)
        measured = after.sent_bytes - before.sent_bytes
        saved = [deflated_away(bytes(each.payload)) for each in listener.messages]
    assert measured <= planned * len(samples)
    assert measured == pytest.approx(planned * len(samples) - sum(saved), abs=24 * len(samples))  # `"deflate":true`


def deflated_away(payload: bytes) -> int:
    """Bytes that deflating saved in this question."""
    document, _ = json.JSONDecoder().raw_decode(payload.decode("latin-1"))
    [tensor] = document["inputs"]
    width: int = {"INT16": 2, "FP16": 2, "FP32": 4}[tensor["datatype"]]
    return width * math.prod(map(int, tensor["shape"])) - int(tensor["parameters"]["binary_data_size"])


def test_automatic_placement_gives_the_same_labels_and_tries_both_sides(world: World) -> None:
    samples = melody()
    placement = world.placement("auto")
    before = settled(world.asker).sent
    with Model(world.tones, engine="onnxruntime", place=placement) as model:
        [(_, either)] = model.stages
        assert isinstance(either, EitherSide)
        found = [model.predict([each])[0] for each in samples]
    expected = labels(world.tones, samples, None)
    assert [tuple(p.label for p in each.predictions) for each in found] == expected  # type: ignore[union-attr]
    until(lambda: world.asker.figures().sent > before)


def test_with_features_only_the_first_stage_stays_on_the_device(world: World) -> None:
    samples = melody()
    with (
        Listener(world.broker.port, "model-service/tones/infer/+") as listener,
        Model(world.tones, engine="onnxruntime", place=world.placement("auto", offload="features")) as model,
    ):
        assert [name for name, _ in model.stages] == ["main-1", "main-2"]
        for sample in samples:
            model.predict([sample])
        until(lambda: listener.messages)
    asked = [json.JSONDecoder().raw_decode(bytes(m.payload).decode("latin-1"))[0] for m in listener.messages]
    assert {each["parameters"]["first"] for each in asked} == {"main-2"}


def test_a_service_that_is_gone_costs_a_measured_model_nothing(world: World) -> None:
    asked_as = "tones-of-nobody"
    with Model(world.tones, engine="onnxruntime", place=world.placement("auto", asked_as=asked_as)) as model:
        answers = [model.predict([each])[0] for each in melody()]
    assert all(isinstance(each, Answer) for each in answers)


def test_a_fixed_stage_without_a_service_says_what_is_missing(world: World) -> None:
    placement = world.placement(PLACES["LR"], asked_as="tones-of-nobody")
    with Model(world.tones, engine="onnxruntime", place=placement) as model:
        [answer] = model.predict(melody()[:1])
    assert isinstance(answer, EngineError)
    assert "attic has no tones-of-nobody" in str(answer)


def test_stages_are_not_shared_with_another_model_of_the_same_name(world: World) -> None:
    """The shapes at the service under the name of the tones: another digest."""
    placement = world.placement(PLACES["LR"], asked_as="shapes")
    with Model(world.tones, engine="onnxruntime", place=placement) as model:
        [answer] = model.predict(melody()[:1])
    assert isinstance(answer, EngineError)
    assert "install the same bundle on both" in str(answer)


def test_a_run_that_waits_for_the_service_can_be_cancelled(world: World) -> None:
    with scripted(world.broker.port, lambda service, message: None, "silent", "mute") as service:
        service.announce(manifest=world.tones.manifest, asked_as="mute")
        until(lambda: world.asker.standing("mute").usable)
        with Model(world.tones, engine="onnxruntime", place=world.placement(PLACES["LR"], asked_as="mute")) as model:

            def cancel() -> None:
                service.questions.get(timeout=5)
                model.cancel()

            canceller = threading.Thread(target=cancel)
            canceller.start()
            began_s = time.monotonic()
            [answer] = model.predict(melody()[:1])
            canceller.join()
        service.announce("offline", manifest=world.tones.manifest, asked_as="mute")
    assert isinstance(answer, EngineError)
    assert "cancelled" in str(answer)
    assert time.monotonic() - began_s < 4  # its patience is 5 s


WRONG_PLACES: list[tuple[str, dict[str, Side], Offload, str]] = [
    ("tones", {"encoder": "remote"}, "frames", "tones has no stage encoder; it has main-1, main-2"),
    ("tones", {"main-1": "remote"}, "features", "it takes the sound itself"),
    ("tones", {"main-2": "remote"}, "crops", "lets nothing leave that a stage made"),
    ("tones", {"main-2": "remote"}, "never", "lets nothing leave that a stage made"),
    ("shapes", {"main-1": "remote"}, "frames", "it takes the picture itself"),
]


@pytest.mark.parametrize(("name", "place", "offload", "words"), WRONG_PLACES)
def test_a_place_that_cannot_be_is_refused_when_the_model_is_opened(
    world: World, name: str, place: dict[str, Side], offload: Offload, words: str
) -> None:
    bundle: Bundle = getattr(world, name)
    with pytest.raises(EngineError, match=words):
        Model(bundle, engine="onnxruntime", place=world.placement(place, offload)).__enter__()


def test_what_must_stay_on_the_device_is_said_for_every_setting(world: World) -> None:
    kept: dict[Offload, tuple[int, int]] = {"never": (2, 2), "crops": (2, 2), "features": (1, 1), "frames": (0, 1)}
    for offload, (sound, pictures) in kept.items():
        assert least_here(world.tones.manifest, offload) == sound
        assert least_here(world.shapes.manifest, offload) == pictures
        check_place(world.tones.manifest, "auto", offload)


# Spoken digits: goal 5 of the model service.


DIGITS: dict[str, dict[str, Side]] = {
    "LL": {},
    "LR": {"recogniser": "remote"},
    "RL": {"spectrogram": "remote"},
    "RR": {"spectrogram": "remote", "recogniser": "remote"},
}


def test_spoken_digits_are_heard_alike_under_all_placements(broker: Broker, tmp_path: Path, data: Path) -> None:
    bundle = spoken_digits()
    windows = said("4071", data)
    with serving(broker.url, tmp_path, bundle), asking(broker.url) as asker:
        until(lambda: asker.standing("spoken-digits").usable, 30)
        heard: dict[str, list[Any]] = {}
        for name, place in DIGITS.items():
            placement = StagePlacement(asker, place, device="dock-1", offload="frames", patience_s=5.0)
            heard[name] = words(bundle, windows, placement)
            if place:
                check_bytes(broker, asker, bundle, placement, windows[:20])
    assert [label for label, _, _ in heard["LL"]] == list(said_words("4071"))
    assert heard["LR"] == heard["RL"] == heard["RR"] == heard["LL"]


def said_words(digits: str) -> Iterator[str]:
    names = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    return (names[int(digit)] for digit in digits)


def said(digits: str, data: Path) -> list[Array]:
    """Recordings one behind the other with pauses, in the windows of the model."""
    pause = np.zeros(12_000, np.float32)
    sound = [pause]
    for digit in digits:
        options = AudioOptions(rate_hz=RATE_HZ, realtime=False)
        with WavFile(digit, str(data / "speech_digits" / f"{digit}_george_3.wav"), options) as source:
            sound += [block.samples for block in source] + [pause]
    whole = np.concatenate(sound) + np.random.default_rng(0).normal(0, 1e-3, sum(map(len, sound))).astype(np.float32)
    return [whole[at : at + 16_000] for at in range(0, len(whole) - 16_000, 1_600)]


def words(bundle: Bundle, windows: Sequence[Array], placement: StagePlacement) -> list[Any]:
    """Every word that was heard, with its start and its end."""
    found: list[Any] = []
    with Model(bundle, engine="onnxruntime", place=placement) as model:
        stream = model.new_stream()
        for window in windows:
            [answer] = model.predict([window], streams=[stream])
            assert isinstance(answer, Answer), answer
            found += [(e.label, e.start_s, e.end_s) for e in answer.predictions if isinstance(e, Segment)]
        found += [(e.label, e.start_s, e.end_s) for e in model.finish(stream)]
    return found
