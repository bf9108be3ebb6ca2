"""What exporters write into an ONNX file beside the network: names of classes, task, picture size.

Ultralytics (`yolo export`) writes Python literals under `names`, `task`, `imgsz`, `args`, `end2end`, …; the YOLOv5
repository before it only `names` and `stride`. Others write JSON under names of their own. None of it is trusted.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MOST_CHARACTERS = 4 << 20
_NAMES = ("names", "labels", "classes", "class_names", "id2label")
_RATES = ("rate_hz", "sample_rate", "sampling_rate", "samplerate")
_ABOUT = ("description", "author", "license", "version", "docs")


@dataclass(frozen=True, slots=True)
class Exported:
    """None: the file does not say."""

    names: tuple[str, ...] | None = None
    task: str | None = None
    head: str | None = None
    """Ultralytics' class of the last layer: `Detect`, `v10Detect`, `RTDETRDecoder`, …"""
    size: tuple[int, int] | None = None
    """Width and height."""
    suppressed: bool = False
    """Every object comes once: an end-to-end head, or non-maximum suppression in the network."""
    yolov5: bool = False
    """From the YOLOv5 repository."""
    channels: int | None = None
    rate_hz: int | None = None
    points: tuple[int, int] | None = None
    """Of a pose model: how many, and how many numbers each has."""
    about: tuple[tuple[str, str], ...] = ()


def read(metadata: Mapping[str, str]) -> Exported:
    """Understand what can be understood; the rest is as if it were not there."""
    size = _value(metadata.get("imgsz"))
    arguments = _value(metadata.get("args"))
    nms = isinstance(arguments, dict) and arguments.get("nms") is True
    return Exported(
        names=next((names for key in _NAMES if (names := _names(_value(metadata.get(key))))), None),
        task=metadata.get("task"),
        head=metadata.get("head"),
        size=(size[1], size[0]) if _is_size(size) else None,
        suppressed=nms or metadata.get("end2end") == "True",
        yolov5={"names", "stride"} <= set(metadata) and "task" not in metadata,
        channels=_integer(metadata.get("channels")),
        rate_hz=next((rate for key in _RATES if (rate := _integer(metadata.get(key)))), None),
        points=(points[0], points[1]) if _is_size(points := _value(metadata.get("kpt_shape"))) else None,
        about=tuple((key, metadata[key][:500]) for key in _ABOUT if metadata.get(key)),
    )


def _value(text: str | None) -> Any:
    """A JSON document, a Python literal, or the text itself."""
    if text is None or len(text) > _MOST_CHARACTERS:
        return None
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    return text


def _names(value: Any) -> tuple[str, ...] | None:
    """A list, a dictionary by number, or words between commas."""
    if isinstance(value, str):
        value = value.split(",") if value.strip() else None
    if isinstance(value, dict):
        numbered = {int(key): name for key, name in value.items() if str(key).isdecimal() and len(str(key)) < 7}
        if not numbered or max(numbered) > 100_000:
            return None
        value = [numbered.get(number, "") for number in range(max(numbered) + 1)]
    if not isinstance(value, list | tuple) or not value:
        return None
    return tuple(label(name, number) for number, name in enumerate(value))


def label(name: object, number: int) -> str:
    """A label that fits on one line; `class 7` for one without a name."""
    printable = "".join(character for character in " ".join(str(name).split()) if character.isprintable())
    return printable[:200].strip() or f"class {number}"


def _is_size(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(side, int) for side in value)


def _integer(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else None
