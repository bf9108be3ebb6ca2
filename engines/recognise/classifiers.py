"""Networks that name what a whole picture shows."""

from __future__ import annotations

from engines.manifest import Decoder, Fit
from engines.recognise.draft import Draft
from engines.recognise.hints import Hints, Scale
from engines.recognise.network import Network, name_classes, remaining_activation
from engines.recognise.pictures import Picture, image_input


def classifier(network: Network, picture: Picture, hints: Hints) -> Draft | None:
    """None when the output is not one row of scores for a picture."""
    if len(network.outputs) != 1 or len(network.outputs[0].shape) != 2:
        return None
    rows, count = network.outputs[0].shape
    if rows != picture.batch and hints.task != "classify":
        return None
    if count is None:
        raise network.unrecognised("it does not say how many classes there are: export it with fixed sizes")
    labels, warnings = name_classes(network, hints, count)
    return Draft(
        "classify",
        image_input(picture, hints, fit=_fit(network, picture), scale=_scale(network, picture, hints)),
        Decoder(
            name="classify",
            threshold=0.1 if hints.threshold is None else hints.threshold,
            max_detections=5,
            options={"activation": _activation(network)},
        ),
        labels,
        warnings,
    )


def _fit(network: Network, picture: Picture) -> Fit:
    """Ultralytics' `classify_transforms` crops the middle for a square input only; to any other it resizes both sides,
    whatever its comment says: torchvision's Resize takes a pair as height and width."""
    oblong = picture.width != picture.height
    return "stretch-antialiased" if oblong and network.exported.task == "classify" else "center-crop"


def _scale(network: Network, picture: Picture, hints: Hints) -> Scale:
    """Ultralytics trains on 0 to 1, the YOLOv5 repository as torchvision does; others must be asked."""
    if network.exported.task == "classify":
        return "0..1"
    if network.exported.yolov5:
        return "imagenet"
    if hints.scale is None and picture.spec.dtype.name != "uint8":
        raise network.unrecognised(
            "a classifier that does not say what values its input takes: give --scale, such as --scale imagenet"
        )
    return "0..1"


def _activation(network: Network) -> str:
    """Ultralytics exports probabilities; elsewhere the last operator tells."""
    if network.exported.task == "classify":
        return "none"
    return remaining_activation(network, network.outputs[0].name) or "softmax"
