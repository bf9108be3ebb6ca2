#!/usr/bin/env python
"""Writes what Ultralytics says about a few pictures, for tests/engines/test_parity_ultralytics.py.

    pip install ultralytics onnx onnxruntime      # in an environment of its own; the appliance does not need them
    python scripts/train/make_parity_fixtures.py tests/engines/fixtures/parity

Every family of YOLO is built from Ultralytics' own description of it, very narrow, with random weights (seed 0) that
are made lively (see `liven`), and exported to ONNX. Then Ultralytics answers for three pictures of different
proportions with that ONNX file. Kept are the network's output and Ultralytics' answer, not the network: the tests
decode the one and expect the other. No trained weights and no pictures of anybody are involved.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SIZE, CROP = 160, 64
"""Side of the input of detectors and of classifiers."""
CONFIDENCE, IOU = 0.25, 0.45
NAMES = tuple(f"kind {number}" for number in range(8))
SEED = 0
CANDIDATES = 150
"""So many boxes of the three pictures together shall reach the confidence, duplicates included."""
SPREAD = 1.5
"""Standard deviation of the class logits."""


@dataclass(frozen=True)
class Family:
    """A kind of network, as Ultralytics and as our manifest name it."""

    description: str
    """Ultralytics' file that describes it."""
    decoder: str
    width: float = 0.0625
    """Share of the channels that are left."""
    end_to_end: bool = False
    """Exported with the head that reports every object once."""


FAMILIES = {
    "yolov5u": Family("v5/yolov5.yaml", "yolo-v8"),
    "yolov8": Family("v8/yolov8.yaml", "yolo-v8"),
    "yolov9t": Family("v9/yolov9t.yaml", "yolo-v8", width=0.25),
    "yolov10-end2end": Family("v10/yolov10n.yaml", "yolo-end2end", end_to_end=True),
    "yolo11": Family("11/yolo11.yaml", "yolo-v8"),
    "yolo26": Family("26/yolo26.yaml", "yolo-v8"),
    "yolo26-end2end": Family("26/yolo26.yaml", "yolo-end2end", end_to_end=True),
    "yolo11-cls": Family("11/yolo11-cls.yaml", "classify"),
    "yolo11-seg": Family("11/yolo11-seg.yaml", "yolo-seg"),
    "yolo26-seg-end2end": Family("26/yolo26-seg.yaml", "yolo-seg", end_to_end=True),
    "yolo11-pose": Family("11/yolo11-pose.yaml", "yolo-pose"),
    "yolo26-pose-end2end": Family("26/yolo26-pose.yaml", "yolo-pose", end_to_end=True),
    "yolo11-obb": Family("11/yolo11-obb.yaml", "yolo-obb"),
    "yolo26-obb-end2end": Family("26/yolo26-obb.yaml", "yolo-obb", end_to_end=True),
    "rtdetr": Family("rt-detr/rtdetr-l.yaml", "detr", width=1.0),
}

DRESSED = ("yolo-seg", "yolo-pose", "yolo-obb")
"""Decoders whose boxes come with more."""
TASKS = {"classify": "classify", "yolo-seg": "segment", "yolo-pose": "pose", "yolo-obb": "obb"}
"""Of Ultralytics, by decoder; all others detect."""
PROTOTYPES, POINTS = 8, 5
"""Of segmenters, and of pose models: as few as show that the number is read from the file."""


def frames() -> list[Any]:
    """Three synthetic pictures, uint8 BGR: landscape, upright with odd sides, smaller than the input."""
    random = np.random.default_rng(SEED)
    made = []
    for height, width in ((240, 320), (301, 171), (97, 161)):
        y, x = np.mgrid[0:height, 0:width]
        picture = np.stack([x * 90 // width, y * 80 // height, (x + y) * 70 // (height + width)], axis=2) + 40
        for number in range(9):
            centre_x, centre_y = random.integers(0, width), random.integers(0, height)
            radius = random.integers(8, max(12, height // 4))
            round_one = (x - centre_x) ** 2 + (y - centre_y) ** 2 < radius**2
            square_one = (abs(x - centre_x) < radius) & (abs(y - centre_y) < radius // 2)
            picture[round_one if number % 2 else square_one] = random.integers(0, 256, 3)
        made.append(picture.astype(np.uint8))
    return made


def export(name: str, folder: Path) -> Path:
    """The ONNX file of a narrow, random, lively network of this family."""
    import torch
    import yaml
    from ultralytics import RTDETR, YOLO
    from ultralytics import cfg as ultralytics_cfg

    family = FAMILIES[name]
    described = Path(ultralytics_cfg.__file__).parent / "models" / family.description
    description = yaml.safe_load(described.read_text())
    description.pop("scales", None)
    description |= {"nc": len(NAMES), "depth_multiple": 0.33, "width_multiple": family.width}
    if family.decoder == "yolo-seg":
        description["head"][-1][-1][1] = PROTOTYPES
    if family.decoder == "yolo-pose":
        description["kpt_shape"] = [POINTS, 3]
    narrow = folder / "narrow.yaml"  # no number in its name, which Ultralytics would take for a size
    narrow.write_text(yaml.safe_dump(description))

    torch.manual_seed(SEED)
    model = RTDETR(str(narrow)) if family.decoder == "detr" else YOLO(str(narrow))
    model.model.names = dict(enumerate(NAMES))
    size = CROP if family.decoder == "classify" else SIZE
    liven(model.model, size)
    model.overrides["model"] = name
    exported = model.export(format="onnx", imgsz=size, device="cpu", **({"nms": False} if family.end_to_end else {}))
    return Path(exported).rename(folder / f"{name}.onnx")


def liven(network: Any, size: int) -> None:
    """Random weights say nothing about anything: make them react to what is in the picture.

    The statistics of the normalisation layers are taken from our pictures. The class heads are scaled so that their
    scores differ from place to place, and shifted so that some tens of boxes reach the confidence; the box heads are
    shifted towards small boxes.
    """
    import torch

    batch = torch.from_numpy(np.concatenate([letterboxed(frame, size) for frame in frames()]))
    network.eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
            module.reset_running_stats()
            module.train()
    with torch.no_grad():
        network(batch)
        network.eval()
        head = network.model[-1]
        if hasattr(head, "linear"):
            head.linear.weight.mul_(5)
            return
        if hasattr(head, "dec_score_head"):
            temper(network, [head.dec_score_head[-1]], batch, candidates=60)
            return
        for name in ("cv2", "one2one_cv2"):
            for layers in getattr(head, name, None) or ():
                sides = layers[-1].bias.view(4, -1)
                sides.copy_(-0.7 * torch.arange(sides.shape[1]).float().expand_as(sides) if sides.shape[1] > 1 else 1.5)
        for name in ("cv3", "one2one_cv3"):
            last = [layers[-1] for layers in getattr(head, name, None) or ()]
            if last:
                temper(network, last, batch)


def temper(network: Any, last: list[Any], batch: Any, candidates: int = CANDIDATES) -> None:
    """Scale and shift one class head, of which these are the last layers."""
    for layer in last:
        layer.bias.fill_(0)
        layer.weight.mul_(SPREAD / float(np.std(logits_of(network, [layer], batch))))
    logits = logits_of(network, last, batch)
    best = np.sort(np.concatenate([each.max(axis=1 if each.ndim == 4 else -1).ravel() for each in logits]))
    for layer in last:
        layer.bias.fill_(float(np.log(CONFIDENCE / (1 - CONFIDENCE)) - best[-candidates]))


def logits_of(network: Any, layers: list[Any], batch: Any) -> list[Any]:
    """What these layers put out."""
    caught: list[Any] = []
    hooks = [layer.register_forward_hook(lambda _, __, output: caught.append(output.numpy())) for layer in layers]
    network(batch)
    for hook in hooks:
        hook.remove()
    return caught


def letterboxed(frame: Any, size: int) -> Any:
    """What the network will get to see of a picture; random networks see great differences in small ones."""
    from ultralytics.data.augment import LetterBox

    square = LetterBox((size, size))(image=frame)
    return (square[:, :, ::-1].transpose(2, 0, 1)[np.newaxis] / 255).astype(np.float32)


def peer(path: Path, task: str) -> Any:
    """Ultralytics with this ONNX file."""
    from ultralytics import RTDETR, YOLO

    return RTDETR(str(path)) if task == "rtdetr" else YOLO(str(path), task=task)


def found_by(model: Any, frame: Any) -> tuple[Any, Any, Any]:
    """Boxes in pixels of the picture, scores and classes, as Ultralytics reports them."""
    [result] = model.predict(frame, imgsz=SIZE, conf=CONFIDENCE, iou=IOU, device="cpu", verbose=False)
    boxes = result.boxes
    return boxes.xyxy.numpy(), boxes.conf.numpy(), boxes.cls.numpy().astype(np.int64)


def dressed_by(model: Any, frame: Any) -> dict[str, Any]:
    """What comes with each box as Ultralytics reports it: masks at the size of the input, points, turned boxes."""
    [result] = model.predict(frame, imgsz=SIZE, conf=CONFIDENCE, iou=IOU, device="cpu", verbose=False)
    if result.obb is not None:
        turned = result.obb
        return {
            "corners": turned.xyxyxyxy.numpy(),
            "scores": turned.conf.numpy(),
            "classes": turned.cls.numpy().astype(np.int64),
        }
    boxes = result.boxes
    said = {
        "boxes": boxes.xyxy.numpy(),
        "scores": boxes.conf.numpy(),
        "classes": boxes.cls.numpy().astype(np.int64),
    }
    if result.keypoints is not None:
        said["points"] = result.keypoints.data.numpy()
    if result.masks is not None:
        said["masks"] = np.packbits(result.masks.data.numpy().astype(bool), axis=2)
    return said


def classes_by(model: Any, frame: Any) -> tuple[Any, Any]:
    """The five best classes and their probabilities, as Ultralytics reports them."""
    [result] = model.predict(frame, imgsz=CROP, device="cpu", verbose=False)
    return np.array(result.probs.top5), result.probs.top5conf.numpy()


def input_of(model: Any, frame: Any) -> Any:
    """The tensor that Ultralytics gives to the network for this picture; `model` has answered once before."""
    predictor = model.predictor
    return predictor.preprocess([frame]).numpy().astype(np.float32)


def raw_outputs(path: Path, tensor: Any) -> list[Any]:
    import onnxruntime  # type: ignore[import-untyped]  # it ships no types

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return list(session.run(None, {session.get_inputs()[0].name: tensor}))


def fixture(name: str, folder: Path) -> dict[str, Any]:
    """Everything that the tests need to know of one family."""
    family = FAMILIES[name]
    path = export(name, folder)
    arrays: dict[str, Any] = {}
    model = peer(path, "rtdetr" if family.decoder == "detr" else TASKS.get(family.decoder, "detect"))
    for number, frame in enumerate(frames()):
        if family.decoder == "classify":
            arrays[f"classes_{number}"], arrays[f"scores_{number}"] = classes_by(model, frame)
        elif family.decoder in DRESSED:
            arrays |= {f"{key}_{number}": value for key, value in dressed_by(model, frame).items()}
        else:
            boxes, scores, classes = found_by(model, frame)
            arrays |= {f"boxes_{number}": boxes, f"scores_{number}": scores, f"classes_{number}": classes}
        tensor = input_of(model, frame)
        arrays[f"input_{number}"] = np.round(tensor[0] * 255).astype(np.uint8)
        outputs = raw_outputs(path, tensor)
        arrays[f"output_{number}"] = outputs[0]
        if family.decoder == "yolo-seg":
            arrays[f"protos_{number}"] = outputs[1]
    return arrays


def main(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    inputs: dict[str, Any] = {f"frame_{number}": frame for number, frame in enumerate(frames())}
    with tempfile.TemporaryDirectory() as folder:
        for name, family in FAMILIES.items():
            arrays = fixture(name, Path(folder))
            kind = "crop" if family.decoder == "classify" else "letterbox"
            for number in range(len(frames())):
                shown = arrays.pop(f"input_{number}")
                if family.decoder != "detr":  # which stretches the picture instead
                    inputs[f"{kind}_{number}"] = shown
            np.savez_compressed(target / f"{name}.npz", **arrays)
            counts = [len(arrays[f"scores_{number}"]) for number in range(len(frames()))]
            print(f"{name}: output {arrays['output_0'].shape}, {counts} found")
    np.savez_compressed(target / "pictures.npz", **inputs)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} FOLDER")
    main(Path(sys.argv[1]))
