"""From raw scores to scores of 0 to 1, where the network leaves that to us."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engines.engine import Array
from engines.manifest import Decoder


def activation(decoder: Decoder) -> Callable[[Array], Array]:
    """The function that the manifest asks for; it works along the last axis."""
    return _ACTIVATIONS[str(decoder.options.get("activation", "none"))]


def _none(scores: Array) -> Array:
    return scores


def _softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def sigmoid(scores: Array) -> Array:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * scores))  # the same function, and it cannot overflow


_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"none": _none, "softmax": _softmax, "sigmoid": sigmoid}
