"""The trained detector as a bundle: ONNX, golden input and outputs, model card."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch

from digits.evaluate import BESIDE
from digits.ink import DIGITS, Picture
from digits.network import Detector, Exported
from digits.scene import PAD, SIDE
from engines.bundle import Bundle, write_bundle
from engines.digest import of_bytes
from engines.manifest import Decoder, ImageInput, Manifest, Stage
from engines.onnxrt import OnnxEngine
from engines.pictures import Pictures

OPSET = 17
INPUT = ImageInput(
    tensor="picture",
    width=SIDE,
    height=SIDE,
    fit="letterbox",
    channels="bgr",
    scale=(1 / 255,) * 3,
    pad=PAD,
    batch=None,
)
NMS_IOU = 0.2
"""Digits hardly overlap, and a part of one that is taken for another does: 0.45 left two for many large ones."""


def network(detector: Detector, side: int = SIDE) -> bytes:
    """ONNX, with any number of pictures at once."""
    packed = io.BytesIO()
    torch.onnx.export(
        Exported(detector, side, side).eval(),
        (torch.zeros(1, 3, side, side),),
        packed,
        input_names=["picture"],
        output_names=["digits"],
        dynamic_axes={"picture": {0: "batch"}, "digits": {0: "batch"}},
        opset_version=OPSET,
        dynamo=False,
    )
    made = onnx.load_from_string(packed.getvalue())
    onnx.checker.check_model(made, full_check=True)
    made.graph.name = "digits"
    return bytes(made.SerializeToString(deterministic=True))


def bundle(
    folder: Path, onnx_bytes: bytes, picture: Picture, *, threshold: float, card: str, about: dict[str, str]
) -> Bundle:
    """Write the bundle into `folder`, which does not exist; `picture` is the golden input, uint8 BGR."""
    inputs = Pictures(INPUT, rows=1)
    inputs.put(0, picture)
    golden = {name: np.array(value) for name, value in inputs.tensors(1).items()}
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        sources = {"model.onnx": place / "model.onnx", "MODEL_CARD.md": place / "MODEL_CARD.md"}
        sources["model.onnx"].write_bytes(onnx_bytes)
        sources["MODEL_CARD.md"].write_text(card)
        with OnnxEngine(sources["model.onnx"]) as engine:
            expected = {key: np.array(value) for key, value in engine.run(golden).items()}
        for name, arrays in (("input", golden), ("output", expected)):
            sources[f"golden/{name}.npz"] = place / f"{name}.npz"
            np.savez_compressed(place / f"{name}.npz", **arrays)  # type: ignore[arg-type]  # names, not options
        digests = {file: of_bytes(path.read_bytes()) for file, path in sources.items()}
        stage = Stage(name="main", file="model.onnx", digest=digests.pop("model.onnx"))
        return write_bundle(folder, _manifest(stage, digests, threshold, about), sources)


def _manifest(stage: Stage, files: dict[str, str], threshold: float, about: dict[str, str]) -> Manifest:
    return Manifest(
        name="digits",
        version="1",
        task="detect",
        labels=tuple(DIGITS),
        input=INPUT,
        stages=(stage,),
        decoder=Decoder(
            name="yolo-v8",
            threshold=threshold,
            nms_iou=NMS_IOU,
            class_aware=False,
            max_detections=100,
            options={"beside": BESIDE},
        ),
        files=files,
        about=about,
    )
