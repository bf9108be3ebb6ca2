"""Samples whose answer is known: COCO JSON, YOLO text files, or a folder for each class.

Formats: COCO's is described at cocodataset.org ("Data format": boxes are left, top, width, height in pixels); YOLO's is
a text file beside each picture, or in `labels` beside `images`, with lines of class number, centre and size as shares
of the picture, in the order of `classes.txt` where there is one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

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


def read_labelled(place: Path, kind: Kind | None, labels: Sequence[str], suffixes: Iterable[str]) -> list[Labelled]:
    """Every file of a labelled folder, by name. `kind`: None finds out.

    `labels`: the model's, which numbers in YOLO files mean where no class file says otherwise. `suffixes`: of the files
    that are samples. Raises WorkbenchError, whose message names the file and the fault.
    """
    endings = frozenset(suffixes)
    kind = kind or _kind(place, endings)
    found = {"coco": _coco, "yolo": _yolo, "folders": _folders}[kind](place, tuple(labels), endings)
    if not found:
        raise WorkbenchError(f"{place}: no labelled sample in it; expected {_EXPECTED[kind]}")
    return found


_EXPECTED = {
    "coco": "a JSON file with images, annotations and categories, and the pictures beside it or in images/",
    "yolo": "pictures with a .txt file beside each, or in labels/ beside images/",
    "folders": "a folder for each class, with the samples in it",
}


def _kind(place: Path, endings: frozenset[str]) -> Kind:
    if place.is_file() and place.suffix == ".json":
        return "coco"
    if not place.is_dir():
        raise WorkbenchError(f"{place}: no such folder")
    if len(list(place.glob("*.json"))) == 1:
        return "coco"
    if (place / "labels").is_dir() or any(
        each.with_suffix(".txt").exists() for each in place.iterdir() if each.suffix.lower() in endings
    ):
        return "yolo"
    if any(each.is_dir() for each in place.iterdir()):
        return "folders"
    raise WorkbenchError(f"{place}: nothing labelled in it; expected {'; or '.join(_EXPECTED.values())}")


def _folders(place: Path, labels: tuple[str, ...], endings: frozenset[str]) -> list[Labelled]:
    if not place.is_dir():
        raise WorkbenchError(f"{place}: not a folder; expected {_EXPECTED['folders']}")
    return [
        Labelled(path, folder.name)
        for folder in sorted(each for each in place.iterdir() if each.is_dir())
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in endings
    ]


# -- YOLO -------------------------------------------------------------------------------------------------------------


def _yolo(place: Path, labels: tuple[str, ...], endings: frozenset[str]) -> list[Labelled]:
    names = _class_names(place) or labels
    pictures = place / "images" if (place / "images").is_dir() else place
    found = []
    for path in sorted(each for each in pictures.rglob("*") if each.suffix.lower() in endings):
        beside = path.with_suffix(".txt")
        apart = (place / "labels" / path.relative_to(pictures)).with_suffix(".txt")
        text = apart if apart.exists() else beside
        # A picture without a file shows nothing that is labelled: that is how YOLO says so.
        boxes = _yolo_boxes(text, names) if text.exists() else ()
        found.append(Labelled(path, boxes=boxes))
    return found


def _class_names(place: Path) -> tuple[str, ...] | None:
    for name in CLASS_FILES:
        for folder in (place, place / "labels"):
            if (folder / name).is_file():
                return tuple((folder / name).read_text(encoding="utf-8").split("\n")[:100_000])
    return None


def _yolo_boxes(file: Path, names: Sequence[str]) -> tuple[TrueBox, ...]:
    boxes = []
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            kind, x, y, width, height = (float(word) for word in line.split()[:5])
        except ValueError as error:
            words = "expected five numbers: class, centre x, centre y, width, height"
            raise WorkbenchError(f"{file}: line {number}: {words}") from error
        if not kind.is_integer() or not 0 <= kind < len(names):
            raise WorkbenchError(f"{file}: line {number}: class {kind:g}, but there are {len(names)} names of classes")
        if not all(-0.01 <= value <= 1.01 for value in (x, y, width, height)):
            raise WorkbenchError(f"{file}: line {number}: expected shares of the picture, 0 to 1, not pixels")
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        boxes.append(TrueBox(names[int(kind)].strip(), box, relative=True))
    return tuple(boxes)


# -- COCO -------------------------------------------------------------------------------------------------------------


def _coco(place: Path, labels: tuple[str, ...], endings: frozenset[str]) -> list[Labelled]:
    file = place if place.is_file() else next(iter(sorted(place.glob("*.json"))), None)
    if file is None:
        raise WorkbenchError(f"{place}: no JSON file; expected {_EXPECTED['coco']}")
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
    places = [file.parent / name, file.parent / "images" / name, file.parent.parent / "images" / name]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise WorkbenchError(f"{file}: picture {name} is neither beside it nor in images/")
    return found
