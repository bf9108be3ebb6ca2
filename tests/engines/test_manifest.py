"""The manifest: what it accepts, what it refuses, and the digest that names a model."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from engines.manifest import Manifest

PEOPLE: dict[str, Any] = {
    "schema": 1,
    "name": "people",
    "version": "1",
    "task": "detect",
    "labels": ["person"],
    "input": {"kind": "image", "tensor": "images", "width": 320, "height": 320, "fit": "letterbox"},
    "stages": [{"name": "main", "file": "people.onnx", "digest": "sha256:" + "0" * 64}],
    "decoder": {"name": "yolo-v8", "threshold": 0.25, "nms_iou": 0.7},
}
SPEECH: dict[str, Any] = {
    "kind": "audio",
    "tensor": "input",
    "rate_hz": 16000,
    "samples": 512,
    "hop": 512,
    "context": 64,
    "state": {"stateN": "state"},
    "state_shapes": {"state": [2, 1, 128]},
    "constants": {"sr": 16000},
}


def _people(**changes: Any) -> dict[str, Any]:
    return PEOPLE | changes


def test_a_manifest_survives_writing_and_reading() -> None:
    manifest = Manifest.model_validate(PEOPLE)
    assert Manifest.model_validate_json(manifest.canonical()) == manifest


def test_the_digest_does_not_depend_on_how_the_file_was_written() -> None:
    manifest = Manifest.model_validate(PEOPLE)
    shuffled = dict(reversed(list(manifest.model_dump(mode="json", by_alias=True).items())))
    again = Manifest.model_validate_json(json.dumps(shuffled, indent=7, ensure_ascii=True))
    assert again.digest == manifest.digest
    assert manifest.digest.startswith("sha256:")


@pytest.mark.parametrize(
    "change",
    [
        {"name": "folk"},
        {"version": "2"},
        {"labels": ["human"]},
        {"stages": [{"name": "main", "file": "people.onnx", "digest": "sha256:" + "1" * 64}]},
        {"decoder": {"name": "yolo-v8", "threshold": 0.26, "nms_iou": 0.7}},
        {"files": {"golden/1.npz": "sha256:" + "0" * 64}},
    ],
)
def test_every_change_makes_another_model(change: dict[str, Any]) -> None:
    assert Manifest.model_validate(_people(**change)).digest != Manifest.model_validate(PEOPLE).digest


def test_options_keep_their_types() -> None:
    options = {"background": True, "count": 1, "share": 1.5, "boxes": "out"}
    decoder = {"name": "ssd", "threshold": 0.5, "options": options}
    read = Manifest.model_validate_json(Manifest.model_validate(_people(decoder=decoder)).canonical())
    assert {key: type(value) for key, value in read.decoder.options.items()} == {
        "background": bool,
        "count": int,
        "share": float,
        "boxes": str,
    }


def test_a_streaming_model_names_its_state() -> None:
    vad = _people(task="vad", labels=["speech"], input=SPEECH, decoder={"name": "vad", "threshold": 0.5})
    assert Manifest.model_validate(vad).input.kind == "audio"
    with pytest.raises(ValidationError, match="state_shapes must name exactly the inputs that state carries"):
        Manifest.model_validate(vad | {"input": SPEECH | {"state_shapes": {}}})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "People"}, "name"),
        ({"name": "../people"}, "name"),
        ({"name": "people\n"}, "name"),
        ({"version": ""}, "version"),
        ({"labels": []}, "labels"),
        ({"labels": ["two\nlines"]}, "labels"),
        ({"schema": 2}, "schema"),
        ({"author": "me"}, "author"),
        ({"task": "vad"}, "task vad needs an input of kind audio, not image"),
        ({"task": "classify"}, "task classify cannot use decoder yolo-v8: expected classify"),
        ({"decoder": {"name": "yolo-v8", "threshold": float("nan")}}, "threshold"),
        ({"decoder": {"name": "yolo-v8", "threshold": 1.5}}, "threshold"),
        ({"decoder": {"name": "ssd", "threshold": 0.5, "options": {"activation": "tanh"}}}, "activation 'tanh'"),
        ({"decoder": {"name": "ssd", "threshold": 0.5, "options": {"beside": "near"}}}, "beside 'near'"),
        ({"decoder": {"name": "ssd", "threshold": 0.5, "options": {"beside": 1.5}}}, "beside 1.5"),
        ({"files": {"bundle.json": "sha256:" + "0" * 64}}, "bundle.json cannot be a stage"),
        ({"files": {"people.onnx": "sha256:" + "0" * 64}}, "two stages or files have the same name"),
        ({"input": PEOPLE["input"] | {"width": 0}}, "width"),
        ({"input": PEOPLE["input"] | {"width": 100_000}}, "width"),
    ],
)
def test_what_is_wrong_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Manifest.model_validate(_people(**change))


@pytest.mark.parametrize(
    "file", ["../people.onnx", "/etc/passwd", "weights/a.bin", "golden/../a", "golden/golden/a", ".hidden", "", "a\n"]
)
def test_a_file_is_inside_the_bundle_and_plain_to_see(file: str) -> None:
    with pytest.raises(ValidationError):
        Manifest.model_validate(_people(files={file: "sha256:" + "0" * 64}))
