"""YOLO networks whose boxes come with a mask, with points or turned; and the DETR family."""

from __future__ import annotations

from engines.engine import TensorSpec
from engines.manifest import Decoder, DecoderName, Scalar
from engines.recognise.draft import Draft
from engines.recognise.hints import Hints
from engines.recognise.network import Network, name_classes
from engines.recognise.pictures import Picture, image_input

DRESSED: dict[str, DecoderName] = {"segment": "yolo-seg", "pose": "yolo-pose", "obb": "yolo-obb"}
"""Task that Ultralytics writes into the file: how its boxes are read."""
NMS_IOU = 0.7
THRESHOLD = 0.25
DETR_OUTPUTS = {"logits", "pred_boxes"}
"""As transformers exports RT-DETR and D-FINE."""
DETR_THRESHOLD = 0.5


def dressed(network: Network, picture: Picture, hints: Hints) -> Draft:
    """A file of Ultralytics for one of the tasks of `DRESSED`; raises Unrecognised when its outputs do not fit."""
    task = str(network.exported.task)
    options: dict[str, Scalar] = {}
    [table, *others] = network.outputs
    if len(table.shape) != 3 or len(others) != (task == "segment"):
        raise _unfit(network, task)
    extras = 1
    if task == "segment":
        options |= {"output": table.name, "protos": others[0].name, "coefficients": _coefficients(network, others[0])}
        extras = int(options["coefficients"])
    elif task == "pose":
        if network.exported.points is None:
            raise network.unrecognised("a pose model that does not say how many points it finds: export it again")
        options |= dict(zip(("points", "values"), network.exported.points, strict=True))
        extras = network.exported.points[0] * network.exported.points[1]
    names = hints.labels or network.exported.names
    _, rows, columns = table.shape
    if columns == 6 + extras and (network.exported.suppressed or names is None or rows != 4 + len(names) + extras):
        if names is None:
            raise network.unrecognised("it gives class numbers and does not say how many there are: give --labels FILE")
        count, options["end2end"] = len(names), True
    elif rows is not None and rows > 4 + extras:
        count = rows - 4 - extras
    else:
        raise _unfit(network, task)
    labels, warnings = name_classes(network, hints, count)
    decoder = Decoder(
        name=DRESSED[task],
        threshold=THRESHOLD if hints.threshold is None else hints.threshold,
        nms_iou=None if options.get("end2end") else NMS_IOU,
        options=options,
    )
    return Draft("detect", image_input(picture, hints, fit="letterbox"), decoder, labels, warnings)


def _coefficients(network: Network, protos: TensorSpec) -> int:
    if len(protos.shape) != 4 or protos.shape[1] is None:
        raise _unfit(network, "segment")
    return protos.shape[1]


def _unfit(network: Network, task: str) -> Exception:
    return network.unrecognised(f"made for the task {task}, but its outputs do not fit: {network.signature()}")


def is_detr(network: Network) -> bool:
    """Exported by Ultralytics, or by transformers."""
    return network.exported.head == "RTDETRDecoder" or {spec.name for spec in network.outputs} == DETR_OUTPUTS


def detr(network: Network, picture: Picture, hints: Hints) -> Draft:
    """RT-DETR and D-FINE: the whole picture stretched, values 0 to 1; raises Unrecognised for what is not."""
    if network.exported.head == "RTDETRDecoder":
        return _detr_table(network, picture, hints)
    outputs = {spec.name: spec for spec in network.outputs}
    queries, columns = outputs["logits"].shape[1:3]
    if queries == 100:  # the first DETR: a softmax with a class for nothing, and pictures of any proportions
        raise network.unrecognised("the original DETR, which cannot be decoded: export RT-DETR, D-FINE or a YOLO model")
    if columns is None:
        raise network.unrecognised("it does not say how many classes there are: export it with fixed sizes")
    labels, warnings = name_classes(network, hints, columns)
    options: dict[str, Scalar] = {"boxes": "pred_boxes", "scores": "logits", "activation": "sigmoid"}
    return _detr_draft(picture, hints, options, labels, warnings)


def _detr_table(network: Network, picture: Picture, hints: Hints) -> Draft:
    names = hints.labels or network.exported.names
    columns = network.outputs[0].shape[-1] if len(network.outputs) == 1 else None
    if names is None or columns not in (6, 4 + len(names)):
        raise network.unrecognised(f"an RT-DETR whose output cannot be told: {network.signature()}; give --labels FILE")
    options: dict[str, Scalar] = {}
    if columns == 6 and len(names) != 2:
        options["selected"] = True
    elif columns == 6:
        raise network.unrecognised(
            "an RT-DETR of two classes, whose six columns may be scores or a score and a class: export it with "
            "transformers, which names its outputs"
        )
    labels, warnings = name_classes(network, hints, len(names))
    return _detr_draft(picture, hints, options, labels, warnings)


def _detr_draft(
    picture: Picture, hints: Hints, options: dict[str, Scalar], labels: tuple[str, ...], warnings: tuple[str, ...]
) -> Draft:
    decoder = Decoder(
        name="detr",
        threshold=DETR_THRESHOLD if hints.threshold is None else hints.threshold,
        max_detections=300,
        options=options,
    )
    return Draft("detect", image_input(picture, hints, fit="stretch"), decoder, labels, warnings)
