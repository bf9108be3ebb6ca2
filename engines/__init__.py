"""Arrays to predictions: bundles, engines, decoders."""

from engines.engine import Engine, EngineError, EngineLost, EngineUnavailable, Tensors, TensorSpec
from engines.predictions import Answer, Detection, Keypoint, Label, Mask, Pose, Prediction, Segment, StageTimes

__all__ = [
    "Answer",
    "Detection",
    "Engine",
    "EngineError",
    "EngineLost",
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
