"""What a pipeline asks of a model, and what the model can do."""

from __future__ import annotations

from appliance.config import Pipeline
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
LISTENS = Manifest(
    name="tones",
    version="1",
    task="audio-labels",
    labels=("low", "high"),
    input=AudioInput(tensor="samples", rate_hz=16_000, samples=8000, hop=4000),
    stages=STAGES,
    decoder=Decoder(name="audio-labels", threshold=0.5),
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
