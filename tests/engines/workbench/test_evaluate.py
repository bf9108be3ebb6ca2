"""`evaluate` and `compare`: labelled folders are read, and models judged, as the formats and formulas say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.engine import Array, Tensors
from engines.manifest import DecoderName
from engines.model import Model
from engines.predictions import Detection, Keypoint, Label, Mask, Pose
from engines.workbench.agreement import compare, likeness
from engines.workbench.average_precision import Precision, average_precision
from engines.workbench.evaluate import NOTHING, evaluate, report
from engines.workbench.labelled import Labelled, TrueBox, read_labelled
from engines.workbench.work import WorkbenchError
from tests.engines import models
from tests.engines.models import Scripted

PNG = (".png",)
NAMES = ("cat", "dog")


def touch(path: Path, content: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


# -- reading ----------------------------------------------------------------------------------------------------------


def test_a_folder_for_each_class_is_read(tmp_path: Path) -> None:
    first, second = touch(tmp_path / "dog" / "1.png"), touch(tmp_path / "cat" / "deep" / "2.png")
    touch(tmp_path / "cat" / "notes.md")
    assert read_labelled(tmp_path, None, NAMES, PNG) == [Labelled(second, "cat"), Labelled(first, "dog")]


@pytest.mark.parametrize("apart", [True, False])
def test_yolo_text_files_are_read(tmp_path: Path, apart: bool) -> None:
    pictures, texts = (tmp_path / "images", tmp_path / "labels") if apart else (tmp_path, tmp_path)
    first, second = touch(pictures / "a.png"), touch(pictures / "b.png")
    touch(texts / "a.txt", "1 0.5 0.5 0.2 0.4\n\n")
    one, other = read_labelled(tmp_path, None, NAMES, PNG)
    assert (one.path, other.path, other.boxes) == (first, second, ())
    [box] = one.boxes
    assert box.label == "dog"
    assert box.in_pixels(100, 50) == pytest.approx((40, 15, 60, 35))


def test_a_class_file_goes_before_the_numbers_of_the_model(tmp_path: Path) -> None:
    touch(tmp_path / "a.png")
    touch(tmp_path / "a.txt", "0 0.5 0.5 1 1")
    touch(tmp_path / "classes.txt", "dog\ncat\n")
    [only] = read_labelled(tmp_path, "yolo", NAMES, PNG)
    assert only.boxes[0].label == "dog"


def lines(folder: Path, *given: str, decoder: DecoderName | None = "yolo-v8") -> list[Any]:
    """The boxes of one picture with these lines beside it, in pixels of 100 x 100, rounded."""
    touch(folder / "a.png")
    touch(folder / "a.txt", "\n".join(given))
    [only] = read_labelled(folder, "yolo", NAMES, PNG, decoder)
    return [tuple(round(side) for side in each.in_pixels(100, 100)) for each in only.boxes]


TURNED = "0 .1 .2 .9 .2 .9 .8 .1 .8"
OUTLINE = "0 .5 .5 .6 .5 .6 .6 .55 .7 .5 .6"
BOX = "0 .5 .5 .2 .4"


@pytest.mark.parametrize(
    ("given", "decoder", "boxes"),
    [
        ([BOX], "yolo-v8", [(40, 30, 60, 70)]),
        ([f"{BOX} .93"], "yolo-v8", [(40, 30, 60, 70)]),
        ([TURNED], "yolo-v8", [(10, 20, 90, 80)]),
        ([TURNED], "yolo-obb", [(10, 20, 90, 80)]),
        ([OUTLINE, TURNED, BOX], "yolo-v8", [(50, 50, 60, 70), (10, 20, 90, 80), (40, 30, 60, 70)]),
        ([OUTLINE], "yolo-seg", [(50, 50, 60, 70)]),
        ([BOX + " .5 .5" * 3], "yolo-pose", [(40, 30, 60, 70)]),
        ([BOX + " .5 .5 2" * 4], "yolo-pose", [(40, 30, 60, 70)]),
        ([BOX + " .5 .5 2" * 17], "yolo-v8", [(40, 30, 60, 70)]),  # no outline has as many numbers
    ],
)
def test_lines_of_any_length_become_upright_boxes(
    tmp_path: Path, given: list[str], decoder: DecoderName, boxes: list[Any]
) -> None:
    assert lines(tmp_path, *given, decoder=decoder) == boxes


@pytest.mark.parametrize(
    ("given", "decoder", "words"),
    [
        ([BOX + " .5 .5" * 3], "yolo-v8", "a.txt: line 1: 11 numbers, as in every such line, may be an outline or a"),
        ([OUTLINE, BOX + " .5 .5 2"], "yolo-v8", "line 2: expected five numbers"),
        ([BOX + " .5" * 5], "yolo-pose", "line 1: expected five numbers"),
        (["0 10 20 90 20 90 80 10 80"], "yolo-obb", "line 1: expected shares of the picture"),
        ([f"{BOX} person"], "yolo-v8", "line 1: expected five numbers"),
    ],
)
def test_lines_that_cannot_be_told_are_refused(
    tmp_path: Path, given: list[str], decoder: DecoderName, words: str
) -> None:
    with pytest.raises(WorkbenchError, match=words):
        lines(tmp_path, *given, decoder=decoder)


def test_a_class_file_may_begin_with_a_mark_and_end_with_empty_lines(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_bytes(b"\xef\xbb\xbfperson\r\ndog\r\n\r\n")
    touch(tmp_path / "a.png")
    touch(tmp_path / "a.txt", f"\ufeff{BOX}")
    [only] = read_labelled(tmp_path, "yolo", NAMES, PNG)
    assert only.boxes[0].label == "person"
    touch(tmp_path / "a.txt", "2 .5 .5 .2 .4")
    with pytest.raises(WorkbenchError, match="class 2, but there are 2 names"):
        read_labelled(tmp_path, "yolo", NAMES, PNG)


def test_a_class_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "a.png")
    (tmp_path / "classes.txt").write_bytes("käse\n".encode("latin-1"))
    with pytest.raises(WorkbenchError, match=r"classes\.txt: not UTF-8: save it in that encoding"):
        read_labelled(tmp_path, "yolo", NAMES, PNG)


@pytest.mark.parametrize("place", [".", "train"])
def test_names_that_only_a_data_yaml_knows_are_asked_for(tmp_path: Path, place: str) -> None:
    folder = tmp_path / place
    touch(tmp_path / "data.yaml", "names: [dog, cat]\n")
    touch(folder / "images" / "a.png")
    touch(folder / "labels" / "a.txt", BOX)
    with pytest.raises(WorkbenchError, match=r"data\.yaml: the names of its classes are not read; write them into .*"):
        read_labelled(folder, None, NAMES, PNG)
    touch(folder / "classes.txt", "dog\ncat\n")
    [only] = read_labelled(folder, None, NAMES, PNG)
    assert only.boxes[0].label == "dog"


def coco(folder: Path, **changes: Any) -> Path:
    touch(folder / "images" / "a.png")
    document = {
        "images": [{"id": 7, "file_name": "a.png", "width": 20, "height": 10}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 4]},
            {"id": 2, "image_id": 7, "category_id": 3, "bbox": [0, 0, 9, 9], "iscrowd": 1},
        ],
        "categories": [{"id": 3, "name": "cat"}],
    }
    return touch(folder / "annotations.json", json.dumps(document | changes))


@pytest.mark.parametrize("whole", [True, False])
def test_coco_json_is_read(tmp_path: Path, whole: bool) -> None:
    file = coco(tmp_path)
    [only] = read_labelled(tmp_path if whole else file, None, NAMES, PNG)
    assert only.boxes == (TrueBox("cat", (1, 2, 4, 6)), TrueBox("cat", (0, 0, 9, 9), crowd=True))


def test_a_yolo_export_of_label_studio_with_its_notes_is_yolo(tmp_path: Path) -> None:
    touch(tmp_path / "notes.json", '{"categories": [{"id": 0, "name": "dog"}], "info": {"year": 2026}}')
    touch(tmp_path / "classes.txt", "dog\ncat\n")
    touch(tmp_path / "images" / "a.png")
    touch(tmp_path / "labels" / "a.txt", BOX)
    [only] = read_labelled(tmp_path, None, NAMES, PNG)
    assert only.boxes[0].label == "dog"


@pytest.mark.parametrize("pictures", ["val2017", "images/val2017"])
def test_cocos_own_folders_are_read(tmp_path: Path, pictures: str) -> None:
    text = coco(tmp_path / "made").read_text()
    file = touch(tmp_path / "coco" / "annotations" / "instances_val2017.json", text)
    touch(file.with_name("captions_val2017.json"), '{"images": [], "annotations": [{"caption": "a cat"}]}')
    found = touch(tmp_path / "coco" / pictures / "a.png")
    [only] = read_labelled(tmp_path / "coco", None, NAMES, PNG)
    assert (only.path, only.boxes[0].label) == (found, "cat")
    assert read_labelled(file, None, NAMES, PNG) == [only]
    touch(file.with_name("instances_train2017.json"), text)
    with pytest.raises(WorkbenchError, match=r"several files \(.*\): name one of them, such as .*val2017.json"):
        read_labelled(tmp_path / "coco", None, NAMES, PNG)
    found.unlink()
    with pytest.raises(WorkbenchError, match=r"neither beside it nor in images/, val2017/ or images/val2017/"):
        read_labelled(file, None, NAMES, PNG)


def test_what_is_wrong_with_the_labels_is_said(tmp_path: Path) -> None:
    def refused(folder: Path, words: str, kind: Any = None) -> None:
        with pytest.raises(WorkbenchError, match=words):
            read_labelled(folder, kind, NAMES, PNG)

    refused(tmp_path / "nowhere", "no such folder")
    refused(tmp_path, "nothing labelled in it")
    refused(coco(tmp_path / "a", images=[]), "not annotations in COCO's format")
    missing = [{"id": 7, "file_name": "b.png"}]
    refused(coco(tmp_path / "b", images=missing), r"b\.png is neither beside it nor in images/")
    touch(tmp_path / "c" / "a.png")
    for text, words in {
        "1 2 3": "line 1: expected five numbers",
        "7 0.5 0.5 0.1 0.1": "class 7, but there are 2 names",
        "1 0.5 0.5 0.1 0.1\n1 320 200 50 50": "line 2: expected shares of the picture",
    }.items():
        touch(tmp_path / "c" / "a.txt", text)
        refused(tmp_path / "c", words)
    refused(tmp_path / "c", "no labelled sample in it; expected a folder for each class", "folders")


# -- judging ----------------------------------------------------------------------------------------------------------


def namer(*scores: list[float]) -> Model:
    """A classifier that answers with these scores, one row after the other."""
    rows = iter(scores)

    def answer(_: Tensors) -> dict[str, Array]:
        return {"y": np.array([next(rows)], np.float32)}

    of = models.manifest("classify", models.pictures(8, 8, fit="stretch"), ["cat", "dog", "cow"], name="classify")
    return models.model(of, Scripted({"x": (1, 3, 8, 8)}, {"y": (1, 3)}, answer), threshold=0.0)


def picture(label: str) -> tuple[Labelled, list[Array]]:
    return Labelled(Path(f"{label}.png"), label), [np.zeros((8, 8, 3), np.uint8)]


def test_accuracy_and_confusion_count_what_was_taken_for_what() -> None:
    with namer([0.9, 0.1, 0], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1]) as model:
        of = evaluate(model, [picture("cat"), picture("cat"), picture("dog"), picture("horse")])
    assert (of.samples, of.names, of.left_out) == (3, ("cat", "dog"), ("horse",))
    assert of.accuracy == pytest.approx(1 / 3)
    assert of.top5 == 1.0
    assert of.confusion == ((1, 1), (1, 0))
    told = report(of, "it 1", "folder")
    assert "Left out, because the model does not know them: horse." in told.text
    assert told.pictures["confusion.svg"].startswith(b"<svg")


def test_data_without_a_common_label_is_refused() -> None:
    with namer() as model, pytest.raises(WorkbenchError, match="the data has horse: no label in common"):
        evaluate(model, [picture("horse")])


def finder(rows: list[list[float]], **options: float) -> Model:
    """A detector that finds these boxes: left, top, right, bottom, score, class; `options`: of its decoder."""
    output = np.array([rows], np.float32)
    of = models.manifest("detect", models.pictures(64, 64, fit="stretch"), NAMES, name="yolo-end2end", options=options)
    return models.model(of, Scripted({"x": (1, 3, 64, 64)}, {"y": output.shape}, lambda _: {"y": output}))


def test_boxes_are_judged_in_pixels_of_the_picture() -> None:
    truth = (TrueBox("cat", (0, 0, 64, 64)), TrueBox("dog", (0.5, 0.5, 1, 1), relative=True))
    samples = [(Labelled(Path("a.png"), boxes=truth), [np.zeros((128, 128, 3), np.uint8)])]
    with finder([[0, 0, 32, 32, 0.9, 0], [32, 32, 64, 60, 0.8, 0]]) as model:
        of = evaluate(model, samples)
    assert of.precision is not None
    assert of.precision.by_class["cat"] == pytest.approx((1.0, 1.0))
    assert of.precision.by_class["dog"] == (0.0, 0.0)
    assert of.names == ("cat", "dog", NOTHING)
    assert of.confusion == ((1, 0, 0), (1, 0, 0), (0, 0, 0))


def confused(rows: list[list[float]], *truths: TrueBox, **options: float) -> tuple[tuple[str, ...], Any]:
    """Names and confusion of a picture of 64 x 64 in which these boxes are found and true."""
    with finder(rows, **options) as model:
        of = evaluate(model, [(Labelled(Path("a.png"), boxes=truths), [np.zeros((64, 64, 3), np.uint8)])])
    return of.names, of.confusion


def test_what_was_taken_for_something_that_the_data_has_not_is_named() -> None:
    names, confusion = confused([[0, 0, 32, 32, 0.9, 1]], TrueBox("cat", (0, 0, 32, 32)))
    assert names == ("cat", "dog", NOTHING)
    assert confusion == ((0, 1, 0), (0, 0, 0), (0, 0, 0))


def test_a_box_in_a_crowd_is_neither_right_nor_wrong() -> None:
    crowd, single = TrueBox("cat", (0, 0, 32, 64), crowd=True), TrueBox("cat", (40, 40, 60, 60))
    in_crowd, alone = [4, 4, 14, 14, 0.9, 0], [40, 4, 50, 14, 0.9, 0]
    assert confused([in_crowd], crowd, single) == (("cat", NOTHING), ((0, 1), (0, 0)))
    assert confused([in_crowd, alone], crowd, single) == (("cat", NOTHING), ((0, 1), (1, 0)))
    other = [4, 4, 14, 14, 0.9, 1]
    assert confused([other], crowd, single) == (("cat", "dog", NOTHING), ((0, 0, 1), (0, 0, 0), (0, 1, 0)))


def test_what_stands_beside_a_surer_box_is_reported_and_so_not_missed() -> None:
    sure, less, apart = [0, 0, 16, 20, 0.9, 0], [18, 0, 34, 20, 0.4, 0], [0, 40, 16, 60, 0.4, 0]
    truths = TrueBox("cat", (0, 0, 16, 20)), TrueBox("cat", (18, 0, 34, 20))
    assert confused([sure, less, apart], *truths, beside=0.75)[1] == ((2, 0), (0, 0))
    assert confused([sure, less, apart], *truths)[1] == ((1, 1), (0, 0))


def test_points_and_outlines_of_what_is_found_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Detection] = []

    def judge(pictures: list[tuple[Any, list[Detection]]]) -> Precision:
        kept.extend(each for _, found in pictures for each in found)
        return average_precision(pictures)

    monkeypatch.setattr("engines.workbench.evaluate.average_precision", judge)
    row = np.array([[[0, 0, 32, 32, 0.9, 0, 5, 5]]], np.float32)
    options = {"points": 1, "values": 2, "end2end": True}
    of = models.manifest("detect", models.pictures(64, 64, fit="stretch"), NAMES, name="yolo-pose", options=options)
    truth = TrueBox("cat", (0, 0, 32, 32))
    with models.model(of, Scripted({"x": (1, 3, 64, 64)}, {"y": row.shape}, lambda _: {"y": row})) as model:
        found = evaluate(model, [(Labelled(Path("a.png"), boxes=(truth,)), [np.zeros((64, 64, 3), np.uint8)])])
    assert found.precision is not None
    assert found.precision.map50 == 1.0
    assert [(each.box, each.pose) for each in kept] == [((0, 0, 32, 32), None)]


def test_boxes_for_a_namer_and_classes_for_a_finder_are_refused() -> None:
    with namer() as model, pytest.raises(WorkbenchError, match="names whole samples"):
        evaluate(model, [(Labelled(Path("a.png")), [])])
    with finder([[0, 0, 1, 1, 0.5, 0]]) as model, pytest.raises(WorkbenchError, match="finds boxes"):
        evaluate(model, [picture("cat")])


# -- comparing --------------------------------------------------------------------------------------------------------


def test_a_model_agrees_with_itself_and_half_with_one_that_finds_one_of_two() -> None:
    both = [[0, 0, 32, 32, 0.9, 0], [32, 32, 64, 64, 0.8, 1]]
    sample = [np.zeros((64, 64, 3), np.uint8)]
    with finder(both) as one, finder(both) as same, finder(both[:1]) as fewer:
        assert compare(one, same, sample).share == 1.0
        found = compare(one, fewer, sample)
    assert found.share == pytest.approx(2 / 3)
    assert found.least_like == [0]


@pytest.mark.parametrize(
    ("said", "also", "share"),
    [
        ([], [], 1.0),
        ([Label("a", 0, 0.9), Label("b", 1, 0.1)], [Label("a", 0, 0.7)], 1.0),
        ([Label("a", 0, 0.9)], [Label("b", 1, 0.7)], 0.0),
        ([Label("a", 0, 0.9)], [], 0.0),
        ([Detection("a", 0, 0.9, (0, 0, 9, 9))], [Detection("a", 0, 0.8, (0, 0, 9, 8))], 1.0),
        ([Detection("a", 0, 0.9, (0, 0, 9, 9))], [Detection("b", 1, 0.8, (0, 0, 9, 8))], 0.0),
        ([Detection("a", 0, 0.9, (0, 0, 9, 9))], [Detection("a", 0, 0.8, (5, 5, 14, 14))], 0.0),
    ],
)
def test_what_is_the_same_answer(said: Any, also: Any, share: float) -> None:
    assert likeness(said, also).share == share


def posed(*points: tuple[float, float], seen: float = 1.0) -> Detection:
    pose = Pose(tuple(Keypoint(x, y, seen) for x, y in points))
    return Detection("a", 0, 0.9, (0, 0, 100, 100), pose=pose)


def outlined(*parts: tuple[tuple[float, float], ...]) -> Detection:
    return Detection("a", 0, 0.9, (0, 0, 100, 100), mask=Mask(parts))


def turned(width: float, height: float, degrees: float) -> Detection:
    """Around (50, 50)."""
    angle = np.deg2rad(degrees)
    along, aside = (
        np.array([np.cos(angle), np.sin(angle)]) * width,
        np.array([-np.sin(angle), np.cos(angle)]) * height,
    )
    signs = ((1, 1), (1, -1), (-1, -1), (-1, 1))
    a, b, c, d = ((50 + (one * along + other * aside) / 2).tolist() for one, other in signs)
    return Detection("a", 0, 0.9, (0, 0, 100, 100), corners=((*a,), (*b,), (*c,), (*d,)))


LEFT, RIGHT = ((0, 0), (50, 0), (50, 100), (0, 100)), ((50, 0), (100, 0), (100, 100), (50, 100))
DRESSED: dict[str, tuple[Detection, Detection, float]] = {
    "points in place": (posed((10, 10), (80, 90)), posed((10, 10), (80, 90)), 1.0),
    "points a little off": (posed((10, 10), (80, 90)), posed((13, 10), (80, 85)), 1.0),
    "every point off": (posed((10, 10), (60, 10)), posed((10, 90), (60, 90)), 0.0),
    "one of four points off": (
        posed((10, 10), (20, 20), (30, 30), (40, 40)),
        posed((10, 10), (20, 20), (30, 30), (40, 99)),
        1.0,
    ),
    "points off that nobody sees": (posed((10, 10), seen=0.1), posed((90, 90), seen=0.1), 1.0),
    "other points": (posed((10, 10)), posed((10, 10), (20, 20)), 0.0),
    "the same mask": (outlined(LEFT), outlined(LEFT), 1.0),
    "the other half": (outlined(LEFT), outlined(RIGHT), 0.0),
    "a mask in parts": (outlined(LEFT, RIGHT), outlined(((0, 0), (100, 0), (100, 100), (0, 100))), 1.0),
    "the same turned box": (turned(120, 20, 45), turned(120, 20, 45), 1.0),
    "turned by half a turn": (turned(120, 20, 45), turned(120, 20, 225), 1.0),
    "turned the other way": (turned(120, 20, 45), turned(120, 20, -45), 0.0),
}


@pytest.mark.parametrize("case", DRESSED)
def test_the_same_box_with_other_points_mask_or_corners_is_another_answer(case: str) -> None:
    said, also, share = DRESSED[case]
    assert likeness([said], [also]).share == share


def test_models_with_other_labels_are_not_compared() -> None:
    with finder([[0, 0, 1, 1, 0.9, 0]]) as one, namer() as other:
        with pytest.raises(WorkbenchError, match="only one of them knows cow"):
            compare(one, other, [np.zeros((8, 8, 3), np.uint8)])
        with pytest.raises(WorkbenchError, match="no sample was given"):
            compare(one, one, [])
