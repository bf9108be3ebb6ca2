"""Recognition: what is still to be applied to a sound model's scores, told by the operators that make them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from engines.recognise import examine
from engines.recognise.sounds import ONE_AT_A_TIME
from tests import networks

NAMES = "{0: 'person', 1: 'cat', 2: 'traffic light'}"


def node(kind: str, given: str, made: str, **attributes: Any) -> Any:
    return helper.make_node(kind, given.split(), [made], **attributes)


OVER_TIME: dict[str, tuple[list[Any], str, bool]] = {
    "the best of a sigmoid": (
        [node("Sigmoid", "frames", "a"), node("ReduceMax", "a", "y", axes=[2], keepdims=0)],
        "none",
        False,
    ),
    "the mean of a sigmoid, cut off": (
        [
            node("Sigmoid", "frames", "a"),
            node("Clip", "a least", "b"),
            node("ReduceMean", "b", "c", axes=[2]),
            node("Squeeze", "c last", "y"),
        ],
        "none",
        False,
    ),
    "the better of two heads": (
        [
            node("Sigmoid", "frames", "a"),
            node("ReduceMax", "a", "b", axes=[2], keepdims=0),
            node("ReduceMean", "a", "c", axes=[2], keepdims=0),
            node("Max", "b c", "y"),
        ],
        "none",
        False,
    ),
    "attention by a softmax": (
        [
            node("Softmax", "frames", "a", axis=2),
            node("Sigmoid", "frames", "b"),
            node("Mul", "a b", "c"),
            node("ReduceSum", "c last", "y", keepdims=0),
        ],
        "none",
        False,
    ),
    "attention by a softmax over classes, divided by its sum": (
        [
            node("Softmax", "frames", "a", axis=1),
            node("Sigmoid", "frames", "b"),
            node("Mul", "a b", "c"),
            node("ReduceSum", "c last", "d", keepdims=0),
            node("ReduceSum", "a last", "e", keepdims=0),
            node("Div", "d e", "y"),
        ],
        "none",
        False,
    ),
    "attention to raw scores": (
        [
            node("Softmax", "frames", "a", axis=2),
            node("Mul", "a frames", "b"),
            node("ReduceSum", "b last", "y", keepdims=0),
        ],
        "softmax",
        True,
    ),
    "the sum of a sigmoid": (
        [node("Sigmoid", "frames", "a"), node("ReduceSum", "a last", "y", keepdims=0)],
        "softmax",
        True,
    ),
    "the mean of raw scores": ([node("ReduceMean", "frames", "y", axes=[2], keepdims=0)], "softmax", True),
    "the logarithm of a softmax": (
        [node("ReduceMean", "frames", "a", axes=[2], keepdims=0), node("LogSoftmax", "a", "y")],
        "softmax",
        False,
    ),
}


@pytest.mark.parametrize("ending", OVER_TIME)
def test_scores_that_are_put_together_over_time_stay_what_they_are(ending: str, tmp_path: Path) -> None:
    nodes, activation, warned = OVER_TIME[ending]
    path = networks.write(
        tmp_path / "model.onnx",
        [node("Reshape", "x shape", "frames"), *nodes],
        [networks.tensor("x", [1, 30])],
        [networks.tensor("y", [1, 3])],
        weights={
            "shape": np.array([1, 3, 10], np.int64),
            "last": np.array([2], np.int64),
            "least": np.array(1e-7, np.float32),
        },
        metadata={"names": NAMES, "sample_rate": "16000"},
    )
    recognition = examine(path)
    assert recognition.manifest.decoder.options == {"activation": activation}
    assert [each.removeprefix(f"{path}: ") for each in recognition.warnings] == [ONE_AT_A_TIME] * warned
