"""Networks that find objects in pictures, told apart by the shapes of their outputs.

A YOLO network answers for every cell of its grids, and the number of cells follows from the size of the picture. That
tells (1, 4 + classes, cells) from (1, cells, 5 + classes), and both from a list of finished boxes.
"""

from __future__ import annotations

from math import ceil

from engines import coco
from engines.engine import TensorSpec
from engines.manifest import Decoder, DecoderName
from engines.recognise.draft import Draft
from engines.recognise.dressed import DRESSED, detr, dressed, is_detr
from engines.recognise.hints import Hints
from engines.recognise.network import Network, name_classes
from engines.recognise.pictures import Picture, image_input

UNSUPPORTED_TASKS = ("semantic", "depth")
"""Of Ultralytics, with outputs that would pass for detections."""

NMS_IOU: dict[DecoderName, float | None] = {"yolo-v8": 0.7, "yolo-v5": 0.45, "yolo-end2end": None}
"""What the authors of these families use."""


def detector(network: Network, picture: Picture, hints: Hints) -> Draft | None:
    """None when no output looks like detections; Unrecognised when they do and something is missing."""
    exported = network.exported
    if exported.task in UNSUPPORTED_TASKS:
        raise network.unrecognised(
            f"made for the task {exported.task}, which cannot be decoded yet: export a detect or classify model"
        )
    if exported.task in DRESSED:
        return dressed(network, picture, hints)
    if is_detr(network):
        return detr(network, picture, hints)
    ranks = sorted(len(spec.shape) for spec in network.outputs)
    if ranks == [3, 3]:
        return _ssd(network, picture, hints)
    if ranks == [4]:
        return _fastestdet(network, picture, hints)
    if ranks and ranks[-1] == 5 and 3 not in ranks:
        raise network.unrecognised(
            "its outputs are raw grids: export it with the boxes decoded (YOLOv5: export.py; YOLOv7: --grid)"
        )
    if ranks.count(3) == 1 and set(ranks) <= {3, 5}:
        return _yolo(network, picture, hints)
    return None


YOLOV6_OR_YOLOX = (
    "YOLOv6 and YOLOX give an output of this shape, and it is taken for YOLOv6: of YOLOX, whose boxes and pictures are "
    "others, it would find nothing right. Look at a picture with `appliance predict`"
)


def cells(width: int, height: int) -> set[int]:
    """How many boxes a network without anchors may give: grids of 8, 16, 32 and perhaps 64 pixels."""
    three = sum((width // step) * (height // step) for step in (8, 16, 32))
    return {three, three + (width // 64) * (height // 64)}


def _yolo(network: Network, picture: Picture, hints: Hints) -> Draft:
    output = next(spec for spec in network.outputs if len(spec.shape) == 3)
    given = hints.decoder if hints.decoder in NMS_IOU else None
    family = given or _yolo_family(network, picture, hints, output)
    options: dict[str, str | bool] = {"output": output.name} if len(network.outputs) > 1 else {}
    _, rows, columns = output.shape
    warnings: tuple[str, ...] = ()
    if family == "yolo-end2end":
        labels = _labels_without_count(network, hints)
    else:
        values = rows if family == "yolo-v8" else columns
        count = (values or 0) - (4 if family == "yolo-v8" else 5)
        if count < 1:
            raise network.unrecognised(f"its output does not fit {family}: {network.signature()}")
        labels, warnings = name_classes(network, hints, count, usual=coco.LABELS)
        alike = family == "yolo-v5" and rows in cells(picture.width, picture.height)
        if alike and given is None and network.exported.names is None:
            warnings += (f"{network.path}: {YOLOV6_OR_YOLOX}",)
    return Draft(
        "detect",
        image_input(picture, hints, fit="letterbox"),
        _decoder(hints, family, threshold=0.25, nms_iou=NMS_IOU[family], options=options),
        labels,
        warnings,
    )


def _yolo_family(network: Network, picture: Picture, hints: Hints, output: TensorSpec) -> DecoderName:
    _, rows, columns = output.shape
    grid = cells(picture.width, picture.height)
    anchored = grid | {3 * number for number in grid}
    named = hints.labels or network.exported.names
    if columns == 6 and (network.exported.suppressed or (rows is not None and rows not in anchored)):
        return "yolo-end2end"
    if named is not None and rows == 4 + len(named) and columns != 5 + len(named):
        return "yolo-v8"
    if named is not None and columns == 5 + len(named):
        return "yolo-v5"
    if columns in (5, 4 + len(named or ())) and rows in grid:
        raise network.unrecognised("boxes along the wrong axis: export it with output (1, 4 + classes, boxes)")
    if rows is not None and rows > 4 and (columns in grid or columns is None):
        return "yolo-v8"
    if columns is not None and columns > 5 and (rows in anchored or rows is None):
        return "yolo-v5"
    raise network.unrecognised(
        f"its output fits no detector for pictures of {picture.width}x{picture.height}: {network.signature()}; "
        "give --decoder if you know it, and --labels"
    )


def _labels_without_count(network: Network, hints: Hints) -> tuple[str, ...]:
    """An end-to-end output gives class numbers; how many there are can only be told by names."""
    names = hints.labels or network.exported.names
    if names is None:
        raise network.unrecognised(
            "it gives class numbers and does not say how many there are: give --labels FILE with a line for each"
        )
    return name_classes(network, hints, len(names))[0]


def _fastestdet(network: Network, picture: Picture, hints: Hints) -> Draft | None:
    """FastestDet: objectness, four box terms and the classes of every cell of 16 by 16 pixels; pictures are BGR."""
    _, values, rows, columns = network.outputs[0].shape
    if values is None or values < 6 or rows is None or columns is None:
        return None
    if (rows * 16, columns * 16) != (picture.height, picture.width):
        return None
    labels, warnings = name_classes(network, hints, values - 5, usual=coco.LABELS)
    return Draft(
        "detect",
        image_input(picture, hints, fit="stretch", channels="bgr"),
        _decoder(hints, "fastestdet", threshold=0.65, nms_iou=0.45),
        labels,
        warnings,
    )


def _ssd(network: Network, picture: Picture, hints: Hints) -> Draft | None:
    boxes, scores = sorted(network.outputs, key=lambda spec: (spec.shape[2] != 4, "box" not in spec.name.lower()))
    if boxes.shape[2] != 4 or boxes.shape[1] != scores.shape[1]:
        return None
    columns = scores.shape[2]
    if columns is None:
        raise network.unrecognised(f"{scores.name} does not say how many classes there are: export it with fixed sizes")
    names: dict[str, str | bool] = {"boxes": boxes.name, "scores": scores.name}
    if columns == 2 and scores.shape[1] == ultraface_boxes(picture.width, picture.height):
        return _ultraface(network, picture, hints, names)
    return _any_ssd(network, picture, hints, names, columns)


def ultraface_boxes(width: int, height: int) -> int:
    """How many boxes an UltraFace network of this size gives: 4420 at 320x240, 17640 at 640x480."""
    kinds = {8: 3, 16: 2, 32: 2, 64: 3}
    return sum(ceil(width / step) * ceil(height / step) * count for step, count in kinds.items())


def _ultraface(network: Network, picture: Picture, hints: Hints, names: dict[str, str | bool]) -> Draft:
    usual = image_input(picture, hints, fit="stretch", scale="0..1")
    if hints.scale is None and usual.dtype != "uint8":
        usual = usual.model_copy(update={"mean": (127.0,) * 3, "scale": (1 / 128,) * 3})
    labels = name_classes(network, hints, 1)[0] if hints.labels else ("face",)
    options = names | {"normalised": True, "background": True}
    return Draft("detect", usual, _decoder(hints, "ssd", threshold=0.7, nms_iou=0.3, options=options), labels)


def _any_ssd(network: Network, picture: Picture, hints: Hints, names: dict[str, str | bool], columns: int) -> Draft:
    """Shapes do not tell what values go in, nor what the corners are: asked for, rather than guessed."""
    if hints.boxes is None:
        raise network.unrecognised("boxes and scores, but are the corners shares or pixels? Give --boxes")
    if hints.scale is None and picture.spec.dtype.name != "uint8":
        raise network.unrecognised("it does not say what values its input takes: give --scale, such as --scale 0..1")
    given = hints.labels or network.exported.names
    background = given is not None and len(given) == columns - 1
    labels, warnings = name_classes(network, hints, columns - background)
    options = names | {"normalised": hints.boxes == "normalised", "background": background}
    return Draft(
        "detect",
        image_input(picture, hints, fit="stretch"),
        _decoder(hints, "ssd", threshold=0.5, nms_iou=0.45, options=options),
        labels,
        warnings,
    )


def _decoder(
    hints: Hints,
    name: DecoderName,
    *,
    threshold: float,
    nms_iou: float | None,
    options: dict[str, str | bool] | None = None,
) -> Decoder:
    chosen = hints.threshold if hints.threshold is not None else threshold
    return Decoder(name=name, threshold=chosen, nms_iou=nms_iou, options=dict(options or {}))
