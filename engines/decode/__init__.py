"""Decoders: outputs of a network to predictions. One file per family; they live with the model, not with an engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engines.decode.asked import Asked, Decoder, Shape, check_finite, misfit
from engines.decode.boxes import BoxDecoder
from engines.decode.detr import make_detr
from engines.decode.dressed import yolo_family
from engines.decode.fastestdet import FastestDet
from engines.decode.keywords import KeywordDecoder
from engines.decode.labels import LabelDecoder
from engines.decode.masks import Masks
from engines.decode.poses import Poses
from engines.decode.ssd import Ssd
from engines.decode.turned import suppress_turned, turn
from engines.decode.vad import VadDecoder
from engines.decode.yolo import YoloEnd2End, YoloV5, YoloV8
from engines.engine import EngineError, TensorSpec
from engines.manifest import DecoderName, Manifest

__all__ = ["Asked", "Decoder", "Shape", "check_finite", "make_decoder", "misfit"]

_BEST_LABELS = 5
"""So many labels of a picture are reported at most."""

_DECODERS: dict[DecoderName, Callable[[Manifest, str], Decoder]] = {
    "yolo-v5": lambda manifest, output: BoxDecoder(manifest, YoloV5(output, len(manifest.labels))),
    "yolo-v8": lambda manifest, output: BoxDecoder(manifest, YoloV8(output, len(manifest.labels))),
    "yolo-end2end": lambda manifest, output: BoxDecoder(manifest, YoloEnd2End(output, len(manifest.labels))),
    "yolo-seg": lambda manifest, output: BoxDecoder(manifest, yolo_family(manifest, output), Masks(manifest)),
    "yolo-pose": lambda manifest, output: BoxDecoder(manifest, yolo_family(manifest, output), Poses(manifest)),
    "yolo-obb": lambda manifest, output: BoxDecoder(manifest, yolo_family(manifest, output), turn, suppress_turned),
    "detr": lambda manifest, output: BoxDecoder(manifest, make_detr(manifest, output)),
    "ssd": lambda manifest, output: BoxDecoder(manifest, Ssd(manifest)),
    "fastestdet": lambda manifest, output: BoxDecoder(manifest, FastestDet(output, manifest)),
    "classify": lambda manifest, output: LabelDecoder(
        manifest, output, min(_BEST_LABELS, manifest.decoder.max_detections)
    ),
    "audio-labels": lambda manifest, output: LabelDecoder(manifest, output, manifest.decoder.max_detections),
    "keywords": KeywordDecoder,
    "vad": VadDecoder,
}


def make_decoder(manifest: Manifest, outputs: Sequence[TensorSpec]) -> Decoder:
    """The decoder that the manifest names; raises EngineError when a network with these outputs does not fit it."""
    found = {spec.name: spec for spec in outputs}
    output = _output(manifest, outputs)
    if manifest.decoder.name == "yolo-v8" and output in found and found[output].shape[-1] == 6:
        # The engine has chosen the best boxes already, see tensorrt/selection.py.
        decoder: Decoder = BoxDecoder(manifest, YoloEnd2End(output, len(manifest.labels), centred=True))
    else:
        decoder = _DECODERS[manifest.decoder.name](manifest, output)
    for name, shape in decoder.shapes.items():
        if name not in found:
            raise EngineError(
                f"{manifest.name}: decoder {manifest.decoder.name} reads output {name}, but the network has "
                f"{', '.join(found)}: name the right one in decoder.options"
            )
        one = found[name].shape if len(found[name].shape) == len(shape) else found[name].shape[1:]
        if wrong := misfit(name, one, shape):
            raise EngineError(f"{manifest.name}: decoder {manifest.decoder.name} does not fit the network: {wrong}")
    return decoder


def _output(manifest: Manifest, outputs: Sequence[TensorSpec]) -> str:
    """Name of the output that decoders of a single one read."""
    named = manifest.decoder.options.get("output")
    alone = "boxes" not in manifest.decoder.options  # decoders of boxes and scores name them both
    if named is None and len(outputs) > 1 and alone and manifest.decoder.name != "ssd":
        names = ", ".join(spec.name for spec in outputs)
        raise EngineError(
            f"{manifest.name}: the network has several outputs ({names}): name one in decoder.options.output"
        )
    return str(named) if named is not None else outputs[0].name
