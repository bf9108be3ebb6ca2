"""Arrays to predictions: bundles, engines, decoders."""

from engines.engine import Engine, EngineError, EngineUnavailable, Tensors, TensorSpec
from engines.predictions import Answer, Detection, Label, Prediction, Segment, StageTimes

__all__ = [
    "Answer",
    "Detection",
    "Engine",
    "EngineError",
    "EngineUnavailable",
    "Label",
    "Prediction",
    "Segment",
    "StageTimes",
    "TensorSpec",
    "Tensors",
]
