"""What a pipeline asks of a model, and what the model can do."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.config_pipeline import Pipeline
from appliance.pipeline import fit
from engines.manifest import AudioInput, Decoder, ImageInput, Manifest, Stage

STAGES = (Stage(name="main", file="model.onnx", digest="sha256:" + "0" * 64),)
LOOKS = Manifest(
    name="people",
    version="1",
    task="detect",
    labels=("person", "dog"),
    input=ImageInput(tensor="images", width=64, height=48, fit="stretch"),
    stages=STAGES,
    decoder=Decoder(name="yolo-v8", threshold=0.5),
)
HEARD = AudioInput(tensor="samples", rate_hz=16_000, samples=8000, hop=4000)
LISTENS = Manifest(
    name="tones",
    version="1",
    task="audio-labels",
    labels=("low", "high"),
    input=HEARD,
    stages=STAGES,
    decoder=Decoder(name="audio-labels", threshold=0.5),
)


SILERO = Manifest(
    name="silero-vad",
    version="1",
    task="vad",
    labels=("speech",),
    input=AudioInput(
        tensor="input",
        rate_hz=16_000,
        samples=512,
        hop=512,
        context=64,
        state={"stateN": "state"},
        state_shapes={"state": (2, 1, 128)},
    ),
    stages=STAGES,
    decoder=Decoder(name="vad", threshold=0.5),
)


def table(**keys: object) -> Pipeline:
    return Pipeline.model_validate({"name": "p", "source": "dock", "model": "m"} | keys)


def test_eyes_for_pictures_and_ears_for_sound_fit() -> None:
    assert fit.misfit(table(), False, LOOKS) is None
    assert fit.misfit(table(), True, LISTENS) is None


def test_a_model_of_sound_on_a_camera_is_told_with_the_way_out() -> None:
    assert fit.misfit(table(), False, LISTENS) == (
        "tones listens to sound and dock is a camera: give it a [[microphone]], or another model"
    )


def test_a_model_of_pictures_on_a_microphone_is_told_with_the_way_out() -> None:
    assert fit.misfit(table(), True, LOOKS) == (
        "people looks at pictures and dock is a microphone: give it a [[camera]], or another model"
    )


def test_a_label_that_the_model_never_says_is_told_with_the_nearest() -> None:
    words = fit.unknown_labels(table(labels=["person", "persn"]), LOOKS)
    assert words == 'labels: people never says "persn"; did you mean "person"?'
    assert fit.unknown_labels(table(labels=["zebra"]), LOOKS) == (
        'labels: people never says "zebra"; it knows person, dog'
    )


def test_known_labels_and_all_labels_are_fine() -> None:
    assert fit.unknown_labels(table(), LOOKS) is None
    assert fit.unknown_labels(table(labels=[]), LOOKS) is None
    assert fit.unknown_labels(table(labels=["dog"]), LOOKS) is None


def test_keys_for_the_other_kind_of_source_are_named() -> None:
    assert list(fit.idle_keys(table(motion={}, snapshot=True), hears=True)) == [
        "motion has no effect on sound: leave it out",
        "snapshot has no effect on sound: leave it out",
    ]
    assert list(fit.idle_keys(table(hop_s=0.2), hears=False)) == ["hop_s has no effect on pictures: leave it out"]
    assert list(fit.idle_keys(table(snapshot=False), hears=True)) == []


@pytest.mark.parametrize(("offload", "hears"), [("frames", True), ("features", False)])
def test_keys_about_whole_samples_do_nothing_where_only_stages_leave(offload: str, hears: bool) -> None:
    remote = {"offload": offload, "prefer": "remote", "keep": 5, "place": "auto"}
    words = list(fit.idle_keys(table(remote=remote), hears=hears))
    assert [each.split()[1] for each in words] == ["prefer", "keep"]
    assert list(fit.idle_keys(table(remote={"offload": "frames", "keep": 5}), hears=False)) == []


def test_a_second_opinion_of_the_same_model_is_none() -> None:
    unsure = {"offload": "frames", "unsure_between": [0.3, 0.6]}
    [words] = fit.idle_keys(table(remote=unsure), hears=False)
    assert "name a better one with model" in words
    assert list(fit.idle_keys(table(remote=unsure | {"model": "people-large"}), hears=False)) == []


@pytest.mark.parametrize("hop_s", [0.016, 0.033, 0.5])
@pytest.mark.parametrize("forgetful", [{}, {"state": {}, "state_shapes": {}}, {"context": 0}])
def test_a_model_with_a_memory_is_given_sound_at_its_own_step_only(hop_s: float, forgetful: dict[str, Any]) -> None:
    manifest = SILERO.model_copy(update={"input": SILERO.input.model_copy(update=forgetful)})
    assert fit.misfit(table(hop_s=hop_s), True, manifest) == (
        f"hop_s = {hop_s:g}: silero-vad remembers what it heard and must be given every 0.032 s: leave hop_s out"
    )


def test_a_model_that_hears_words_is_given_sound_at_its_own_step_only() -> None:
    """What it smooths, and when a word is over, is counted in its own steps."""
    words = LISTENS.model_copy(update={"decoder": Decoder(name="keywords", threshold=0.5)})
    assert "must be given every 0.25 s" in str(fit.misfit(table(hop_s=0.1), True, words))
    assert fit.misfit(table(hop_s=0.25), True, words) is None


def test_its_own_step_written_out_is_fine_and_so_is_any_step_of_a_model_without_memory() -> None:
    assert fit.misfit(table(hop_s=0.032), True, SILERO) is None
    assert fit.misfit(table(hop_s=0.1), True, LISTENS) is None
    assert fit.hop(table(hop_s=0.1), HEARD) == 1600
    assert fit.hop(table(), HEARD) == 4000
