"""Whether a question fits a model: looked at before it waits, so that a wrong one takes nobody's turn."""

from __future__ import annotations

import numpy as np

from appliance.questions.question import Question, Refused
from appliance.service.backend import Opened
from engines.engine import Array, TensorSpec
from engines.manifest import AudioInput

MOST_ROWS = 64
"""Samples in the tensors of one question."""


def check(question: Question, opened: Opened) -> None:
    """Raises Refused, with what would have fitted."""
    manifest = opened.manifest
    if question.version not in (None, manifest.version):
        raise Refused("unknown-model", f"{question.model}: version {manifest.version} is here, not {question.version}")
    _check_stages(question, opened)
    if question.picture is not None:
        if isinstance(manifest.input, AudioInput):
            raise Refused("malformed", f"{question.model} hears: it takes no picture")
    elif question.sound is not None:
        _check_sound(question, question.sound, manifest.input if isinstance(manifest.input, AudioInput) else None)
    else:
        _check_tensors(question, opened)


def _check_stages(question: Question, opened: Opened) -> None:
    names = list(opened.stages)
    for stage in (question.first, question.last):
        if stage is not None and stage not in names:
            raise Refused("malformed", f"{question.model}: no stage {stage}; there are {', '.join(names)}")
    if (
        question.first is not None
        and question.last is not None
        and names.index(question.first) > names.index(question.last)
    ):
        raise Refused("malformed", f"{question.model}: stage {question.last} comes before {question.first}")
    if question.decode and (question.first is not None or question.last is not None or question.tensors):
        raise Refused("malformed", "tensors are decoded where the sample is: ask with decode false")


def _check_sound(question: Question, sound: Array, spec: AudioInput | None) -> None:
    if spec is None:
        raise Refused("malformed", f"{question.model} sees: it takes no sound")
    if not 0 < len(sound) <= spec.samples:
        raise Refused("malformed", f"{question.model} takes windows of {spec.samples} samples, not {len(sound)}")
    if not np.isfinite(sound).all():
        raise Refused("malformed", "the sound holds samples that are no numbers (NaN or infinite)")


def _check_tensors(question: Question, opened: Opened) -> None:
    specs = opened.stages[question.first or next(iter(opened.stages))].inputs
    given = question.tensors
    if given.keys() != {spec.name for spec in specs}:
        wanted = ", ".join(spec.name for spec in specs)
        raise Refused("malformed", f"{question.model} takes the tensors {wanted}; given: {', '.join(given) or 'none'}")
    for spec in specs:
        _check_tensor(question.model, given[spec.name], spec)


def _check_tensor(model: str, array: Array, spec: TensorSpec) -> None:
    if array.dtype != spec.dtype:
        raise Refused("malformed", f"{model}: tensor {spec.name} must be {spec.dtype}, not {array.dtype}")
    fits = array.ndim == len(spec.shape) and all(
        size == wanted if wanted is not None else size > 0 for size, wanted in zip(array.shape, spec.shape, strict=True)
    )
    if not fits:
        shape = [-1 if size is None else size for size in spec.shape]
        raise Refused("malformed", f"{model}: tensor {spec.name} must have the shape {shape}, not {list(array.shape)}")
    if array.ndim and spec.shape[0] is None and len(array) > MOST_ROWS:
        raise Refused("too-large", f"{model}: {len(array)} samples in {spec.name}; at most {MOST_ROWS}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise Refused("malformed", f"{model}: tensor {spec.name} holds values that are no numbers (NaN or infinite)")
