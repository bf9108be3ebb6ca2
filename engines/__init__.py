"""Arrays to predictions: bundles, engines, decoders."""

from engines.engine import Engine, EngineError, EngineUnavailable, Tensors, TensorSpec
from engines.predictions import Answer, Detection, Keypoint, Label, Mask, Pose, Prediction, Segment, StageTimes

__all__ = [
    "Answer",
    "Detection",
    "Engine",
    "EngineError",
    "EngineUnavailable",
    "Keypoint",
    "Label",
    "Mask",
    "Pose",
    "Prediction",
    "Segment",
    "StageTimes",
    "TensorSpec",
    "Tensors",
]
