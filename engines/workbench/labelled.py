"""Samples whose answer is known: COCO JSON, YOLO text files, or a folder for each class.

Formats: COCO's is described at cocodataset.org ("Data format": boxes are left, top, width, height in pixels), and what
it offers has `annotations/instances_val2017.json` beside the pictures in `val2017` or `images/val2017`; YOLO's is
a text file beside each picture, or in `labels` beside `images`, with lines of class number, centre and size as shares
of the picture, in the order of `classes.txt` where there is one. Of an outline, or the corners of a turned box, the
upright box around it counts; of a box with keypoints, the box.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from engines.manifest import DecoderName
from engines.workbench.work import WorkbenchError

Kind: TypeAlias = Literal["coco", "yolo", "folders"]
Box: TypeAlias = tuple[float, float, float, float]

CLASS_FILES = ("classes.txt", "labels.txt", "obj.names")


@dataclass(frozen=True, slots=True)
class TrueBox:
    """Where something is."""

    label: str
    box: Box
    """Left, top, right, bottom, in pixels; shares of the picture when `relative`."""
    relative: bool = False
    crowd: bool = False
    """Many of them in one box: whoever finds some is neither right nor wrong."""

    def in_pixels(self, width: int, height: int) -> Box:
        if not self.relative:
            return self.box
        left, top, right, bottom = self.box
        return left * width, top * height, right * width, bottom * height


@dataclass(frozen=True, slots=True)
class Labelled:
    """One file and what is true of it."""

    path: Path
    label: str | None = None
    """Of the whole file; None where boxes tell."""
    boxes: tuple[TrueBox, ...] = ()


def read_labelled(
    place: Path, kind: Kind | None, labels: Sequence[str], suffixes: Iterable[str], decoder: DecoderName | None = None
) -> list[Labelled]:
    """Every file of a labelled folder, by name. `kind`: None finds out.

    `labels`: the model's, which numbers in YOLO files mean where no class file says otherwise. `suffixes`: of the files
    that are samples. `decoder`: the model's, which tells keypoints from outlines. Raises WorkbenchError, whose message
    names the file and the fault.
    """
    endings = frozenset(suffixes)
    kind = kind or _kind(place, endings)
    found = {
        "coco": lambda: _coco(place),
        "yolo": lambda: _yolo(place, tuple(labels), endings, decoder),
        "folders": lambda: _folders(place, endings),
    }[kind]()
    if not found:
        raise WorkbenchError(f"{place}: no labelled sample in it; expected {_EXPECTED[kind]}")
    return found


_EXPECTED = {
    "coco": "a JSON file with images, annotations and categories, in it or in annotations/, and the pictures beside it "
    "or in images/",
    "yolo": "pictures with a .txt file beside each, or in labels/ beside images/",
    "folders": "a folder for each class, with the samples in it",
}


def _kind(place: Path, endings: frozenset[str]) -> Kind:
    if place.is_file() and place.suffix == ".json":
        return "coco"
    if not place.is_dir():
        raise WorkbenchError(f"{place}: no such folder")
    if len(_annotations(place)) == 1:
        return "coco"
    if (place / "labels").is_dir() or any(
        each.with_suffix(".txt").exists() for each in place.iterdir() if each.suffix.lower() in endings
    ):
        return "yolo"
    if _annotations(place) or _annotations(place / "annotations"):
        return "coco"
    if any(each.is_dir() for each in place.iterdir()):
        return "folders"
    raise WorkbenchError(f"{place}: nothing labelled in it; expected {'; or '.join(_EXPECTED.values())}")


def _folders(place: Path, endings: frozenset[str]) -> list[Labelled]:
    if not place.is_dir():
        raise WorkbenchError(f"{place}: not a folder; expected {_EXPECTED['folders']}")
    return [
        Labelled(path, folder.name)
        for folder in sorted(each for each in place.iterdir() if each.is_dir())
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in endings
    ]


# -- YOLO -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Line:
    """What one line of a text file says."""

    where: str
    """File and number of the line, for sentences."""
    numbers: tuple[float, ...]
    """Class number and what follows; at least five."""


def _yolo(place: Path, labels: tuple[str, ...], endings: frozenset[str], decoder: DecoderName | None) -> list[Labelled]:
    names = _class_names(place) or labels
    pictures = place / "images" if (place / "images").is_dir() else place
    lines: dict[Path, list[_Line]] = {}
    for path in sorted(each for each in pictures.rglob("*") if each.suffix.lower() in endings):
        beside = path.with_suffix(".txt")
        apart = (place / "labels" / path.relative_to(pictures)).with_suffix(".txt")
        text = apart if apart.exists() else beside
        # A picture without a file shows nothing that is labelled: that is how YOLO says so.
        lines[path] = _yolo_lines(text) if text.exists() else []
    outlined = _are_outlines([line for each in lines.values() for line in each if len(line.numbers) > 6], decoder)
    return [
        Labelled(path, boxes=tuple(_yolo_box(line, names, outlined) for line in each)) for path, each in lines.items()
    ]


def _class_names(place: Path) -> tuple[str, ...] | None:
    for name in CLASS_FILES:
        for file in (place / name, place / "labels" / name):
            if file.is_file():
                try:
                    text = file.read_text(encoding="utf-8-sig").rstrip()
                except UnicodeDecodeError as error:
                    raise WorkbenchError(f"{file}: not UTF-8: save it in that encoding") from error
                return tuple(each.strip() for each in text.split("\n")[:100_000]) if text else None
    for file in (place / "data.yaml", place.parent / "data.yaml"):
        if file.is_file():
            words = f"the names of its classes are not read; write them into {place / 'classes.txt'}, one a line"
            raise WorkbenchError(f"{file}: {words}")
    return None


_LINE = "expected five numbers: class, centre x, centre y, width, height; or a class and the corners of an outline"


def _yolo_lines(file: Path) -> list[_Line]:
    lines = []
    for number, line in enumerate(file.read_text(encoding="utf-8-sig", errors="replace").splitlines(), start=1):
        where = f"{file}: line {number}"
        try:
            numbers = tuple(float(word) for word in line.split())
        except ValueError as error:
            raise WorkbenchError(f"{where}: {_LINE}") from error
        if len(numbers) in range(1, 5):
            raise WorkbenchError(f"{where}: {_LINE}")
        if numbers:
            lines.append(_Line(where, numbers))
    return lines


def _are_outlines(long: Sequence[_Line], decoder: DecoderName | None) -> bool:
    """Whether lines of more than six numbers are outlines; else they are boxes with keypoints.

    Keypoints are as many in every line, two or three numbers each; corners are two numbers, four of a turned box, and
    of outlines as many as each needs.
    """
    counts = {len(line.numbers) for line in long}
    if decoder == "yolo-pose" or (len(counts) == 1 and min(counts) % 2 == 0):
        return False
    if decoder in ("yolo-seg", "yolo-obb") or len(counts) != 1 or counts == {9}:
        return True
    words = f"{min(counts)} numbers, as in every such line, may be an outline or a box with keypoints"
    raise WorkbenchError(
        f"{long[0].where}: {words}: keep the five of the box: class, centre x, centre y, width, height"
    )


def _yolo_box(line: _Line, names: Sequence[str], outlined: bool) -> TrueBox:
    kind, *rest = line.numbers
    if not kind.is_integer() or not 0 <= kind < len(names):
        raise WorkbenchError(f"{line.where}: class {kind:g}, but there are {len(names)} names of classes")
    corners = outlined and len(rest) > 5
    behind = len(rest) - 4
    fits = len(rest) % 2 == 0 if corners else behind < 2 or behind % 2 == 0 or behind % 3 == 0
    if not fits:
        raise WorkbenchError(f"{line.where}: {_LINE}")
    shares = rest if corners else rest[:4]
    if not all(-0.01 <= value <= 1.01 for value in shares):
        raise WorkbenchError(f"{line.where}: expected shares of the picture, 0 to 1, not pixels")
    return TrueBox(names[int(kind)], _around(shares) if corners else _of_centre(shares), relative=True)


def _around(corners: Sequence[float]) -> Box:
    across, down = corners[::2], corners[1::2]
    return min(across), min(down), max(across), max(down)


def _of_centre(shares: Sequence[float]) -> Box:
    x, y, width, height = shares
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


# -- COCO -------------------------------------------------------------------------------------------------------------


def _annotations(folder: Path) -> list[Path]:
    """JSON files in COCO's format by the words in them; of those of one data set the ones with boxes."""
    words = (b'"images"', b'"annotations"')
    found = []
    for file in sorted(folder.glob("*.json")):
        try:
            text = file.read_bytes()
        except OSError as error:
            raise WorkbenchError(f"{file}: cannot be read: {error.strerror}") from error
        if all(word in text for word in words):
            found.append(file)
    return [file for file in found if file.name.startswith("instances_")] or found


def _coco_file(place: Path) -> Path:
    if place.is_file():
        return place
    found = _annotations(place) or _annotations(place / "annotations")
    if not found:
        raise WorkbenchError(f"{place}: no JSON file of annotations; expected {_EXPECTED['coco']}")
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise WorkbenchError(f"{place}: annotations in several files ({names}): name one of them, such as {found[-1]}")
    return found[0]


def _coco(place: Path) -> list[Labelled]:
    file = _coco_file(place)
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        names = {each["id"]: str(each["name"]) for each in document["categories"]}
        boxes: dict[Any, list[TrueBox]] = {each["id"]: [] for each in document["images"]}
        for each in document["annotations"]:
            left, top, width, height = (float(value) for value in each["bbox"])
            box = TrueBox(
                names[each["category_id"]],
                (left, top, left + width, top + height),
                crowd=bool(each.get("iscrowd", 0)),
            )
            boxes[each["image_id"]].append(box)
        files = {each["id"]: str(each["file_name"]) for each in document["images"]}
    except OSError as error:
        raise WorkbenchError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        words = f"{type(error).__name__}: {error}"
        raise WorkbenchError(f"{file}: not annotations in COCO's format ({words})") from error
    return [Labelled(_picture(file, name), boxes=tuple(boxes[number])) for number, name in files.items()]


def _picture(file: Path, name: str) -> Path:
    part = file.stem.partition("_")[2]  # of the data set: `val2017` of `instances_val2017`
    folders = ("", "images", part, f"images/{part}")
    places = [root / folder / name for root in (file.parent, file.parent.parent) for folder in folders]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        further = f", {part}/ or images/{part}/" if part else ""
        raise WorkbenchError(f"{file}: picture {name} is neither beside it nor in images/{further}")
    return found
