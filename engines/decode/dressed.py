"""YOLO networks that say more of a box than its class: which numbers those are."""

from __future__ import annotations

from engines.decode.yolo import YoloEnd2End, YoloV8
from engines.engine import EngineError
from engines.manifest import Manifest


def yolo_family(manifest: Manifest, output: str) -> YoloV8 | YoloEnd2End:
    """How boxes and what comes with them stand in the output; raises EngineError when an option is missing."""
    name, classes, extras = manifest.decoder.name, len(manifest.labels), count_of_extras(manifest)
    if manifest.decoder.options.get("end2end", False):
        return YoloEnd2End(output, classes, extras, centred=name == "yolo-obb")
    return YoloV8(output, classes, extras)


def count_of_extras(manifest: Manifest) -> int:
    """Numbers of each box beyond box and classes."""
    if manifest.decoder.name == "yolo-seg":
        return option(manifest, "coefficients")
    if manifest.decoder.name == "yolo-pose":
        return option(manifest, "points") * option(manifest, "values")
    return 1


def option(manifest: Manifest, name: str) -> int:
    """A whole number among the decoder's options; raises EngineError."""
    value = manifest.decoder.options.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise EngineError(
            f"{manifest.name}: decoder {manifest.decoder.name} needs option {name}, a whole number; it is {value!r}"
        )
    return value
