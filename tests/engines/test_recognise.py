"""Recognition: from what exporters write, from names and shapes, and what is asked for when they do not tell."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engines import coco
from engines.engine import EngineError
from engines.manifest import AudioInput, ImageInput, Manifest
from engines.recognise import Hints, Unrecognised, examine, name_from, recognise
from tests import networks

THREE = "{0: 'person', 1: 'cat', 2: 'traffic light'}"


def exported(task: str = "detect", size: str = "[320, 320]", **more: str) -> dict[str, str]:
    """Metadata as Ultralytics 8.4 writes it."""
    return {
        "description": "Ultralytics YOLO11n model ",
        "author": "Ultralytics",
        "version": "8.4.190",
        "license": "AGPL-3.0 License (https://ultralytics.com/license)",
        "docs": "https://docs.ultralytics.com",
        "stride": "32",
        "task": task,
        "head": "Detect",
        "batch": "1",
        "imgsz": size,
        "names": THREE,
        "args": "{'data': None, 'batch': 1, 'quantize': None, 'nms': None, 'dynamic': False, 'opset': None}",
        "channels": "3",
        "end2end": "False",
    } | more


def network(
    tmp_path: Path,
    inputs: networks.Tensors,
    outputs: networks.Tensors,
    metadata: Mapping[str, str] | None = None,
    **more: Any,
) -> Path:
    return networks.answering(tmp_path / "model.onnx", inputs, outputs, metadata=metadata, **more)


def picture(manifest: Manifest) -> ImageInput:
    assert isinstance(manifest.input, ImageInput)
    return manifest.input


def sound(manifest: Manifest) -> AudioInput:
    assert isinstance(manifest.input, AudioInput)
    return manifest.input


# -- detectors --------------------------------------------------------------------------------------------------------

IMAGES_320 = {"images": [1, 3, 320, 320]}
YOLOS: dict[str, tuple[networks.Tensors, networks.Tensors, dict[str, str], str]] = {
    "v8, v9, 11, 12": (IMAGES_320, {"output0": [1, 7, 2100]}, exported(), "yolo-v8"),
    "v8 with large cells too": (IMAGES_320, {"output0": [1, 7, 2125]}, exported(), "yolo-v8"),
    "v8 with any size": (
        {"images": ["batch", 3, "height", "width"]},
        {"output0": ["batch", 7, "anchors"]},
        exported(),
        "yolo-v8",
    ),
    "v8 as wide as it is long": (
        {"images": [1, 3, 64, 64]},
        {"output0": [1, 7, 84]},
        exported(size="[64, 64]"),
        "yolo-v8",
    ),
    "v5 repository": (IMAGES_320, {"output0": [1, 6300, 8]}, {"names": THREE, "stride": "32"}, "yolo-v5"),
    "v5 before 2023, with raw grids too": (
        IMAGES_320,
        {"output": [1, 6300, 8], "a": [1, 3, 40, 40, 8], "b": [1, 3, 20, 20, 8]},
        {"names": "['person', 'cat', 'traffic light']", "stride": "32"},
        "yolo-v5",
    ),
    "v6": (IMAGES_320, {"outputs": [1, 2100, 8]}, {"names": THREE}, "yolo-v5"),
    "v5 with one class, which is as wide as a finished box": (
        IMAGES_320,
        {"output0": [1, 6300, 6]},
        {"names": "{0: 'person'}", "stride": "32"},
        "yolo-v5",
    ),
    "v10 before 8.4, which does not say so": (IMAGES_320, {"output0": [1, 300, 6]}, exported(), "yolo-end2end"),
    "26 end-to-end": (IMAGES_320, {"output0": [1, 300, 6]}, exported(end2end="True"), "yolo-end2end"),
    "26 end-to-end, very small": (
        {"images": [1, 3, 64, 64]},
        {"output0": [1, 84, 6]},
        exported(size="[64, 64]", end2end="True"),
        "yolo-end2end",
    ),
    "v8 with NMS in the graph": (
        IMAGES_320,
        {"output0": [1, 300, 6]},
        exported(args="{'nms': True, 'dynamic': False}"),
        "yolo-end2end",
    ),
}


@pytest.mark.parametrize("kind", YOLOS)
def test_a_yolo_network_is_recognised(kind: str, tmp_path: Path) -> None:
    inputs, outputs, metadata, decoder = YOLOS[kind]
    recognition = examine(network(tmp_path, inputs, outputs, metadata))
    manifest = recognition.manifest
    assert manifest.task == "detect"
    assert manifest.decoder.name == decoder
    assert not recognition.warnings
    assert manifest.labels == ("person", "cat", "traffic light")[: len(manifest.labels)]
    spec = picture(manifest)
    assert (spec.tensor, spec.fit, spec.channels, spec.layout, spec.dtype) == (
        "images",
        "letterbox",
        "rgb",
        "nchw",
        "float32",
    )
    assert spec.mean == (0.0, 0.0, 0.0)
    assert spec.scale == pytest.approx((1 / 255,) * 3)
    assert (manifest.decoder.nms_iou is None) == (decoder == "yolo-end2end")
    assert manifest.decoder.options.get("output") == ("output" if len(outputs) > 1 else None)


def test_the_picture_is_as_wide_and_high_as_the_input(tmp_path: Path) -> None:
    path = network(tmp_path, {"images": [1, 3, 256, 384]}, {"output0": [1, 7, 2016]}, exported(size="[256, 384]"))
    assert (picture(recognise(path)).width, picture(recognise(path)).height) == (384, 256)


def test_an_input_of_any_size_takes_the_exported_one_and_any_number_of_pictures(tmp_path: Path) -> None:
    path = network(
        tmp_path,
        {"images": ["batch", 3, "height", "width"]},
        {"output0": ["batch", 7, "anchors"]},
        exported(size="[192, 256]"),
    )
    spec = picture(recognise(path))
    assert (spec.width, spec.height, spec.batch) == (256, 192, None)
    spec = picture(recognise(path, hints=Hints(size=(640, 480))))
    assert (spec.width, spec.height) == (640, 480)


def test_a_fixed_batch_is_kept(tmp_path: Path) -> None:
    path = network(tmp_path, {"images": [4, 3, 320, 320]}, {"output0": [4, 7, 2100]}, exported())
    assert picture(recognise(path)).batch == 4


def test_half_precision_and_bytes_are_given_as_the_input_wants_them(tmp_path: Path) -> None:
    half = network(tmp_path, IMAGES_320, {"output0": [1, 7, 2100]}, exported(), dtype="float16")
    assert picture(recognise(half)).dtype == "float16"
    assert picture(recognise(half)).scale[0] == pytest.approx(1 / 255)
    raw = network(tmp_path, {"images": [1, 320, 320, 3]}, {"output0": [1, 7, 2100]}, exported(), dtype="uint8")
    spec = picture(recognise(raw))
    assert (spec.dtype, spec.layout, spec.mean, spec.scale) == ("uint8", "nhwc", (0, 0, 0), (1, 1, 1))
    assert (spec.width, spec.height) == (320, 320)


def test_eighty_classes_without_names_are_those_of_coco(tmp_path: Path) -> None:
    path = network(tmp_path, IMAGES_320, {"output": [1, 6300, 85]})
    assert recognise(path).labels == coco.LABELS


def test_classes_without_names_are_numbered_and_the_person_is_warned(tmp_path: Path) -> None:
    path = network(tmp_path, IMAGES_320, {"output": [1, 6300, 17]})
    recognition = examine(path)
    assert recognition.manifest.labels[:2] == ("class 0", "class 1")
    assert recognition.warnings == (
        f"{path}: no label names inside: its 12 classes are called class 0 to class 11; "
        "give --labels FILE with 12 lines to name them",
    )


def test_what_may_be_a_yolox_is_taken_for_a_yolov6_and_the_person_is_warned(tmp_path: Path) -> None:
    path = network(tmp_path, IMAGES_320, {"output": [1, 2100, 85]})
    recognition = examine(path)
    assert recognition.manifest.decoder.name == "yolo-v5"
    [warning] = recognition.warnings
    assert "YOLOX" in warning
    assert not examine(path, hints=Hints(decoder="yolo-v5")).warnings


def test_labels_that_are_given_go_first_and_must_fit(tmp_path: Path) -> None:
    path = network(tmp_path, IMAGES_320, {"output0": [1, 7, 2100]}, exported())
    assert recognise(path, hints=Hints(labels=("a", "b", "c"))).labels == ("a", "b", "c")
    plain = network(tmp_path, IMAGES_320, {"output0": [1, 7, 2100]})
    with pytest.raises(Unrecognised, match="3 classes, but --labels names 2: give 3 lines"):
        recognise(plain, hints=Hints(labels=("a", "b")))


def test_a_finished_box_needs_the_names_because_their_number_is_nowhere_else(tmp_path: Path) -> None:
    path = network(tmp_path, IMAGES_320, {"output0": [1, 300, 6]})
    with pytest.raises(Unrecognised, match="does not say how many there are: give --labels FILE"):
        recognise(path)
    assert recognise(path, hints=Hints(labels=("face",))).labels == ("face",)


def test_fastestdet_is_recognised_by_its_grid(tmp_path: Path) -> None:
    path = network(tmp_path, {"input.1": [1, 3, 352, 352]}, {"758": [1, 85, 22, 22]})
    manifest = recognise(path)
    spec = picture(manifest)
    assert (manifest.decoder.name, manifest.decoder.nms_iou, manifest.decoder.class_aware) == ("fastestdet", 0.45, True)
    assert (spec.fit, spec.channels) == ("stretch", "bgr")
    assert spec.scale[0] == pytest.approx(1 / 255)
    assert manifest.labels == coco.LABELS


@pytest.mark.parametrize(("width", "height", "boxes"), [(320, 240, 4420), (640, 480, 17640)])
def test_ultraface_is_recognised_by_its_number_of_boxes(tmp_path: Path, width: int, height: int, boxes: int) -> None:
    path = network(tmp_path, {"input": [1, 3, height, width]}, {"scores": [1, boxes, 2], "boxes": [1, boxes, 4]})
    manifest = recognise(path)
    spec = picture(manifest)
    assert (manifest.decoder.name, manifest.labels) == ("ssd", ("face",))
    assert manifest.decoder.options == {
        "boxes": "boxes",
        "scores": "scores",
        "normalised": True,
        "background": True,
    }
    assert (spec.fit, spec.channels, spec.mean, spec.scale) == ("stretch", "rgb", (127,) * 3, (1 / 128,) * 3)


def test_another_ssd_is_asked_for_what_shapes_do_not_tell(tmp_path: Path) -> None:
    path = network(tmp_path, {"x": [1, 3, 300, 300]}, {"b": [1, 100, 4], "s": [1, 100, 3]})
    with pytest.raises(Unrecognised, match=r"shares or pixels\? Give --boxes"):
        recognise(path)
    with pytest.raises(Unrecognised, match=r"give --scale, such as --scale 0\.\.1"):
        recognise(path, hints=Hints(boxes="pixels"))
    hints = Hints(boxes="pixels", scale="-1..1", labels=("cat", "dog"), channels="bgr")
    manifest = recognise(path, hints=hints)
    assert manifest.decoder.options == {"boxes": "b", "scores": "s", "normalised": False, "background": True}
    assert picture(manifest).mean == (127.5, 127.5, 127.5)
    all_columns = recognise(path, hints=Hints(boxes="normalised", scale="0..1", labels=("cat", "dog", "cow")))
    assert all_columns.decoder.options["background"] is False


def test_imagenet_values_follow_the_order_of_the_channels(tmp_path: Path) -> None:
    path = network(tmp_path, IMAGES_320, {"output": [1, 6300, 85]})
    rgb = picture(recognise(path, hints=Hints(scale="imagenet")))
    bgr = picture(recognise(path, hints=Hints(scale="imagenet", channels="bgr")))
    assert rgb.mean == (123.675, 116.28, 103.53)
    assert bgr.mean == tuple(reversed(rgb.mean))
    assert bgr.scale == tuple(reversed(rgb.scale))


# -- classifiers ------------------------------------------------------------------------------------------------------


def test_an_ultralytics_classifier_gives_probabilities_of_a_centre_crop(tmp_path: Path) -> None:
    path = network(
        tmp_path, {"images": [1, 3, 224, 224]}, {"output0": [1, 3]}, exported(task="classify", size="[224, 224]")
    )
    manifest = recognise(path)
    spec = picture(manifest)
    assert (manifest.task, manifest.labels) == ("classify", ("person", "cat", "traffic light"))
    assert spec.fit == "center-crop"
    assert spec.scale[0] == pytest.approx(1 / 255)
    assert manifest.decoder.options == {"activation": "none"}


def test_an_oblong_ultralytics_classifier_sees_the_whole_picture_and_a_foreign_one_its_middle(tmp_path: Path) -> None:
    shape = {"images": [1, 3, 224, 320]}
    theirs = network(tmp_path, shape, {"output0": [1, 3]}, exported(task="classify", size="[224, 320]"))
    spec = picture(recognise(theirs))
    assert (spec.width, spec.height, spec.fit) == (320, 224, "stretch-antialiased")
    assert picture(recognise(theirs, hints=Hints(fit="center-crop"))).fit == "center-crop"
    foreign = network(tmp_path, shape, {"output0": [1, 3]})
    assert picture(recognise(foreign, hints=Hints(scale="0..1"))).fit == "center-crop"


@pytest.mark.parametrize(("last", "activation"), [("Softmax", "none"), ("Sigmoid", "none"), ("Identity", "softmax")])
def test_the_last_operator_tells_whether_scores_are_raw(tmp_path: Path, last: str, activation: str) -> None:
    path = network(tmp_path, {"x": [1, 3, 224, 224]}, {"y": [1, 5]}, last=last)
    manifest = recognise(path, hints=Hints(scale="imagenet"))
    assert manifest.decoder.options == {"activation": activation}


def test_a_classifier_is_asked_what_values_it_takes(tmp_path: Path) -> None:
    path = network(tmp_path, {"x": [1, 3, 224, 224]}, {"y": [1, 5]})
    with pytest.raises(Unrecognised, match="give --scale, such as --scale imagenet"):
        recognise(path)
    yolov5 = network(tmp_path, {"x": [1, 3, 224, 224]}, {"y": [1, 3]}, {"names": THREE, "stride": "32"})
    assert picture(recognise(yolov5)).mean == (123.675, 116.28, 103.53)


def test_labels_are_read_in_the_forms_that_exporters_use(tmp_path: Path) -> None:
    forms = {
        "names": THREE,
        "labels": '["person", "cat", "traffic light"]',
        "classes": "person,cat,traffic light",
        "id2label": '{"0": "person", "1": "cat", "2": "traffic light"}',
    }
    for key, text in forms.items():
        path = network(tmp_path, {"x": [1, 3, 224, 224]}, {"y": [1, 3]}, {key: text})
        assert recognise(path, hints=Hints(scale="0..1")).labels == ("person", "cat", "traffic light"), key


# -- sound ------------------------------------------------------------------------------------------------------------

SILERO_IN: networks.Tensors = {"input": ["batch", "sequence"], "state": [2, "batch", 128], "sr": []}
SILERO_OUT: networks.Tensors = {"output": ["batch", 1], "stateN": ["a", "batch", "b"]}


def test_silero_vad_is_recognised_with_its_state_and_context(tmp_path: Path) -> None:
    manifest = recognise(network(tmp_path, SILERO_IN, SILERO_OUT, state={"stateN": "state"}))
    spec = sound(manifest)
    assert (manifest.task, manifest.labels, manifest.decoder.name) == ("vad", ("speech",), "vad")
    assert (spec.rate_hz, spec.samples, spec.hop, spec.context) == (16000, 512, 512, 64)
    assert (spec.state, spec.state_shapes) == ({"stateN": "state"}, {"state": (2, 1, 128)})
    assert spec.constants == {"sr": 16000}


def test_silero_vad_listens_at_8000_hz_when_asked_and_at_no_other_rate(tmp_path: Path) -> None:
    path = network(tmp_path, SILERO_IN, SILERO_OUT, state={"stateN": "state"})
    spec = sound(recognise(path, hints=Hints(rate_hz=8000)))
    assert (spec.samples, spec.context, spec.constants) == (256, 32, {"sr": 8000})
    with pytest.raises(Unrecognised, match="16000 or 8000 Hz: --rate 44100 cannot be"):
        recognise(path, hints=Hints(rate_hz=44100))


@pytest.mark.parametrize(("shape", "layout"), [([1, 16000], "bn"), ([16000], "n"), ([1, 1, 16000], "bcn")])
def test_a_sound_classifier_takes_samples_in_any_of_three_shapes(tmp_path: Path, shape: list[int], layout: str) -> None:
    path = network(tmp_path, {"audio": shape}, {"scores": [1, 3]}, {"names": THREE, "sample_rate": "16000"})
    manifest = recognise(path)
    spec = sound(manifest)
    assert (manifest.task, manifest.decoder.name) == ("audio-labels", "audio-labels")
    assert (spec.layout, spec.samples, spec.hop, spec.rate_hz) == (layout, 16000, 8000, 16000)


def test_a_sound_classifier_is_asked_for_rate_and_length(tmp_path: Path) -> None:
    path = network(tmp_path, {"audio": [1, "n"]}, {"scores": [1, 3]})
    with pytest.raises(Unrecognised, match=r"at what rate\? Give --rate HZ, such as --rate 16000"):
        recognise(path)
    with pytest.raises(Unrecognised, match="give --samples N"):
        recognise(path, hints=Hints(rate_hz=16000))
    assert sound(recognise(path, hints=Hints(rate_hz=16000, samples=8000))).samples == 8000


# -- what cannot be told ----------------------------------------------------------------------------------------------

UNKNOWN: dict[str, tuple[networks.Tensors, networks.Tensors, dict[str, str], str]] = {
    "semantic segmentation": (
        IMAGES_320,
        {"output0": [1, 39, 2100], "output1": [1, 32, 80, 80]},
        exported(task="semantic"),
        "made for the task semantic, which cannot be decoded yet",
    ),
    "masks without prototypes": (
        IMAGES_320,
        {"output0": [1, 39, 2100]},
        exported(task="segment"),
        "made for the task segment, but its outputs do not fit",
    ),
    "pose": (
        IMAGES_320,
        {"output0": [1, 56, 2100]},
        exported(task="pose"),
        "a pose model that does not say how many points it finds",
    ),
    "other labels than boxes": (
        IMAGES_320,
        {"output0": [1, 10, 2100]},
        exported(task="obb"),
        "it names 3 classes but answers for 5",
    ),
    "RT-DETR": (
        IMAGES_320,
        {"output0": [1, 300, 17]},
        exported(head="RTDETRDecoder"),
        "an RT-DETR whose output cannot be told",
    ),
    "DETR": (
        IMAGES_320,
        {"logits": [1, 100, 92], "pred_boxes": [1, 100, 4]},
        {},
        "the original DETR, which cannot be decoded",
    ),
    "raw grids": (
        IMAGES_320,
        {"a": [1, 3, 40, 40, 8], "b": [1, 3, 20, 20, 8], "c": [1, 3, 10, 10, 8]},
        {},
        "its outputs are raw grids: export it with the boxes decoded",
    ),
    "transposed": (IMAGES_320, {"output0": [1, 2100, 7]}, exported(), "boxes along the wrong axis"),
    "detections of another size": (
        IMAGES_320,
        {"output0": [1, 7, 999]},
        {},
        "its output fits no detector for pictures",
    ),
    "any size": (
        {"images": [1, 3, "h", "w"]},
        {"output0": [1, 7, "n"]},
        {"names": THREE},
        "it takes pictures of any size: give --size WxH, such as --size 640x640",
    ),
    "grey": ({"x": [1, 1, 40, 98]}, {"y": [1, 5]}, {}, "its input is not a colour picture"),
    "two inputs": (
        {"image": [1, 3, 320, 320], "scale": [1, 2]},
        {"y": [1, 5]},
        {},
        r"it has 2 inputs \(image, scale\)",
    ),
    "more names than classes": (
        {"x": [1, 3, 32, 32]},
        {"y": [1, 2]},
        exported(task="classify"),
        "it names 3 classes but answers for 2",
    ),
    "other numbers of rows than pictures": (
        {"x": [1, 3, 32, 32]},
        {"y": [5, 7]},
        {},
        "not a kind of model that is known here: x .* to y",
    ),
    "old Silero": (
        {"input": ["b", "n"], "sr": [], "h": [2, "b", 64], "c": [2, "b", 64]},
        {"output": ["b", 1], "hn": [2, "b", 64], "cn": [2, "b", 64]},
        {},
        "a Silero VAD of version 4 or before: get version 5",
    ),
    "no classes": ({"x": [1, 3, 32, 32]}, {"y": [1, 0]}, exported(task="classify", names=""), "answers for 0 classes"),
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_what_cannot_be_told_is_refused_with_what_is_missing(kind: str, tmp_path: Path) -> None:
    inputs, outputs, metadata, words = UNKNOWN[kind]
    path = network(tmp_path, inputs, outputs, metadata)
    with pytest.raises(Unrecognised, match=words) as caught:
        recognise(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("hints", "words"),
    [
        (Hints(task="vad"), "looks like a model for detect, not vad: leave --task out"),
        (Hints(decoder="ssd"), "decoder ssd does not fit images"),
        (Hints(decoder="yolo-v5"), "3 classes, but|it names 3 classes but answers for 2095|does not fit"),
        (Hints(size=(640, 640)), "it takes 320x320 only: leave --size out"),
    ],
)
def test_hints_that_contradict_the_file_are_refused(hints: Hints, words: str, tmp_path: Path) -> None:
    path = network(tmp_path, IMAGES_320, {"output0": [1, 7, 2100]}, exported())
    with pytest.raises(Unrecognised, match=words):
        recognise(path, hints=hints)


@pytest.mark.system
@pytest.mark.parametrize(
    "metadata",
    [
        {"names": "__import__('os').system('true')", "task": "detect"},
        {"names": "{" * 10_000},
        {"names": "{0: " * 2000},
        {"names": "{10000000000: 'x'}"},
        {"names": "[]", "imgsz": "[1]", "args": "7", "channels": "many", "sample_rate": "1e9"},
        {"names": "[" + "'x'," * 200_000 + "]"},
        {"imgsz": "[-5, 10]", "names": "{-1: 'x'}"},
        {"imgsz": "[true, 1e400]", "names": "null"},
    ],
)
def test_hostile_metadata_never_ends_the_process(tmp_path: Path, metadata: dict[str, str]) -> None:
    path = network(tmp_path, {"images": [1, 3, "h", "w"]}, {"output0": [1, 7, "n"]}, metadata)
    with pytest.raises(EngineError):
        recognise(path)


def test_a_label_always_fits_on_a_line(tmp_path: Path) -> None:
    names = {0: "two\nlines", 1: "", 2: "x" * 500}
    path = network(tmp_path, IMAGES_320, {"output0": [1, 7, 2100]}, exported(names=str(names)))
    assert recognise(path).labels == ("two lines", "class 1", "x" * 200)


# -- names, files, real models ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("YOLO11n (1).onnx", "yolo11n-1"),
        ("people.v2.onnx", "people.v2"),
        ("Gesichter_Größe.onnx", "gesichter_gr-e"),
        ("日本.onnx", "model"),
    ],
)
def test_a_name_comes_from_that_of_the_file(file: str, name: str) -> None:
    assert name_from(Path(file)) == name


def test_the_same_file_is_the_same_model_under_any_file_name(tmp_path: Path) -> None:
    path = network(tmp_path, IMAGES_320, {"output0": [1, 7, 2100]}, exported())
    first = recognise(path, name="people")
    assert recognise(path.rename(tmp_path / "other.onnx"), name="people").digest == first.digest


def test_weights_beside_the_network_belong_to_the_model(tmp_path: Path) -> None:
    path = networks.external(tmp_path / "external.onnx")
    (tmp_path / "bystander.bin").write_bytes(b"x")
    hints = Hints(rate_hz=1000)
    manifest = examine(path, hints=hints).manifest
    assert list(manifest.files) == ["weights.bin"]
    (tmp_path / "weights.bin").write_bytes(bytes(16))
    assert recognise(path, hints=hints).digest != manifest.digest


def test_weights_in_a_folder_are_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    path = networks.external(tmp_path / "external.onnx", location="weights/w.bin")
    with pytest.raises(Unrecognised, match=r"its weights are in weights/w\.bin: put them into the ONNX file itself"):
        recognise(path, hints=Hints(rate_hz=1000))


def test_the_shared_models_are_recognised_without_a_hint(data: Path) -> None:
    found = {}
    for name in ("FastestDet.onnx", "ultraface-slim-320.onnx", "silero_vad_16k_op15.onnx"):
        manifest = recognise(data / "models" / name)
        found[manifest.name] = (manifest.task, manifest.decoder.name, len(manifest.labels))
    assert found == {
        "fastestdet": ("detect", "fastestdet", 80),
        "ultraface-slim-320": ("detect", "ssd", 1),
        "silero_vad_16k_op15": ("vad", "vad", 1),
    }
