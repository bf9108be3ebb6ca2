"""A request with many samples becomes one question for each, and their answers one response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from appliance.questions.question import Refused
from appliance.questions.tensors import Tensor, datatype_of
from engines.engine import Array, Tensors, TensorSpec
from engines.manifest import AudioInput

if TYPE_CHECKING:
    from appliance.service.room import Standing

MOST_ROWS = 64
"""Samples in one request. They are answered together with those of others, so there is little to win by more."""


def takes_rows(standing: Standing) -> bool:
    """Whether the first axis of its tensors counts samples. Not so for a network that hears one window at a time."""
    assert standing.manifest is not None, "it is open"
    spec = standing.manifest.input
    return not (isinstance(spec, AudioInput) and (spec.state or spec.layout == "n"))


def apart(given: Sequence[Tensor], standing: Standing) -> list[Tensors]:
    """The inputs of each question: as many samples as the network takes at once. `standing` is of an open model.

    Raises Refused unless they are what it takes.
    """
    arrays = {tensor.name: tensor.array for tensor in given}
    specs = {spec.name: spec for spec in standing.inputs}
    if arrays.keys() != specs.keys():
        raise _malformed(standing, f"takes the inputs {', '.join(specs)}; given: {', '.join(arrays) or 'none'}")
    rows = takes_rows(standing)
    for name, array in arrays.items():
        _check(array, specs[name], standing, rows)
    if not rows:
        return [arrays]
    counts = {len(array) for array in arrays.values()}
    if len(counts) != 1:
        raise _malformed(standing, f"its inputs hold different numbers of samples: {sorted(counts)}")
    [count] = counts
    if not 1 <= count <= MOST_ROWS:
        raise Refused("too-large", f"{standing.name}: {count} samples in one request; send 1 to {MOST_ROWS}")
    step = next((spec.shape[0] for spec in standing.inputs if spec.shape[0] is not None), count)
    if count % step:
        raise _malformed(standing, f"takes {step} samples at once: {count} cannot be shared out")
    return [{name: array[at : at + step] for name, array in arrays.items()} for at in range(0, count, step)]


def _check(array: Array, spec: TensorSpec, standing: Standing, rows: bool) -> None:
    if array.dtype != spec.dtype:
        wanted, given = datatype_of(np.empty(0, spec.dtype)), datatype_of(array)
        raise _malformed(standing, f"input {spec.name} is {given}, expected {wanted}")
    first = 1 if rows else 0
    fits = array.ndim == len(spec.shape) and all(
        want is None or have == want for have, want in zip(array.shape[first:], spec.shape[first:], strict=True)
    )
    if not fits:
        expected = [-1 if size is None else size for size in spec.shape]
        if rows:
            expected[0] = -1
        raise _malformed(standing, f"input {spec.name} has shape {list(array.shape)}, expected {expected}")


def together(answers: Sequence[Tensors], wanted: Sequence[str], standing: Standing) -> dict[str, Array]:
    """The outputs of all samples, those that are wanted, in that order; all of them when none is named."""
    known = answers[0]
    if unknown := [name for name in wanted if name not in known]:
        raise _malformed(standing, f"has no output {unknown[0]}; there are {', '.join(known)}")
    return {name: _stacked([each[name] for each in answers], name, standing) for name in wanted or known}


def _stacked(parts: Sequence[Array], name: str, standing: Standing) -> Array:
    if len(parts) == 1:
        return parts[0]
    expected = standing.inputs[0].shape[0] or 1
    if any(part.ndim == 0 or len(part) != expected for part in parts):
        raise _malformed(standing, f"output {name} does not count samples: send them one at a time")
    return np.concatenate(parts)


def _malformed(standing: Standing, words: str) -> Refused:
    return Refused("malformed", f"{standing.name}: {words}")
