"""`evaluate`: how often a model is right, on samples whose answer is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engines.engine import Array, EngineError
from engines.manifest import AudioInput
from engines.model import Model
from engines.predictions import Answer, Detection, Label
from engines.workbench.average_precision import Precision, Truth, average_precision
from engines.workbench.labelled import Labelled
from engines.workbench.overlap import boxes_of, inside, overlaps
from engines.workbench.plot import matrix
from engines.workbench.report import Report, table
from engines.workbench.work import Tell, WorkbenchError, silent

LEAST_SCORE = 0.001
"""Average precision looks at what a model is hardly sure of, too."""
NOTHING = "(nothing)"
BACKGROUND = frozenset({"silence", "unknown", "background", "noise", "other"})
"""In a recording that holds something else they are right most of the time, and tell nothing about it."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How right a model was."""

    samples: int
    names: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Row: what is true; column: what was said. Of boxes, the last row and column are nothing."""
    accuracy: float | None = None
    """Share of samples that were named right; None for boxes."""
    top5: float | None = None
    precision: Precision | None = None
    """None unless boxes were found."""
    left_out: tuple[str, ...] = ()
    """Labels of the data that the model does not know."""


def evaluate(model: Model, samples: Iterable[tuple[Labelled, Sequence[Array]]], tell: Tell = silent) -> Evaluation:
    """Of an open model. Each sample comes with its picture, or with the windows of its sound, in order.

    Raises WorkbenchError when data and model have no label in common, or the model is of a kind that is not evaluated.
    """
    task = model.manifest.task
    if task == "detect":
        return _evaluate_boxes(model, samples, tell)
    if task in ("classify", "audio-labels"):
        return _evaluate_labels(model, samples, tell)
    raise WorkbenchError(f"{model.manifest.name}: a model for {task} cannot be evaluated on labelled files yet")


def _answers(model: Model, arrays: Sequence[Array], threshold: float) -> list[Answer]:
    stream = model.new_stream()
    answers = []
    for array in arrays:
        answer = model.predict([array], streams=[stream], thresholds=[threshold])[0]
        if isinstance(answer, EngineError):
            raise answer
        answers.append(answer)
    return answers


# -- boxes ------------------------------------------------------------------------------------------------------------


def _evaluate_boxes(model: Model, samples: Iterable[tuple[Labelled, Sequence[Array]]], tell: Tell) -> Evaluation:
    known, left_out = set(model.manifest.labels), set[str]()
    pictures: list[tuple[list[Truth], list[Detection]]] = []
    reported: list[tuple[list[Truth], list[Detection]]] = []
    for count, (labelled, arrays) in enumerate(samples):
        tell("evaluating", count, 0)
        if labelled.label is not None:
            name = model.manifest.name
            raise WorkbenchError(f"{labelled.path}: a class for the whole picture, but {name} finds boxes")
        for pixels in arrays[:1]:
            height, width = pixels.shape[:2]
            truths = [Truth(each.label, each.in_pixels(width, height), each.crowd) for each in labelled.boxes]
            left_out |= {each.label for each in truths} - known
            truths = [each for each in truths if each.label in known]
            found = _found(model, pixels, LEAST_SCORE)
            pictures.append((truths, found))
            reported.append((truths, _reported(model, pixels, found)))
    if not any(truths for truths, _ in pictures):
        raise WorkbenchError(_strangers(model, left_out))
    true = {each.label for truths, _ in reported for each in truths}
    names = sorted(true | {each.label for _, said in reported for each in said})
    confusion = _confused_boxes(names, reported)
    return Evaluation(
        samples=len(pictures),
        names=(*names, NOTHING),
        confusion=confusion,
        precision=average_precision(pictures),
        left_out=tuple(sorted(left_out)),
    )


def _found(model: Model, pixels: Array, threshold: float) -> list[Detection]:
    """Upright boxes alone are judged; the outlines of hundreds of unsure ones, of every picture, would fill memory."""
    [answer] = _answers(model, [pixels], threshold)
    found = [each for each in answer.predictions if isinstance(each, Detection)]
    return [replace(each, mask=None, pose=None, corners=None) for each in found]


def _reported(model: Model, pixels: Array, found: Sequence[Detection]) -> list[Detection]:
    """What the model says at its own threshold; it is asked again only where that is more than the score decides."""
    if model.manifest.decoder.options.get("beside", 1.0) != 1.0:
        return _found(model, pixels, model.threshold)
    return [each for each in found if each.score >= model.threshold]


def _strangers(model: Model, left_out: set[str]) -> str:
    if not left_out:
        return "there is no true box in any of these pictures, so nothing can be told"
    theirs, ours = ", ".join(sorted(left_out)[:5]), ", ".join(model.manifest.labels[:5])
    return f"{model.manifest.name} knows {ours}, and the data has {theirs}: no label in common"


def _confused_boxes(
    names: Sequence[str], reported: Sequence[tuple[list[Truth], list[Detection]]]
) -> tuple[tuple[int, ...], ...]:
    """Counts of what is true and what was reported, paired by overlaps of at least one half whatever they are called.

    What lies by at least one half in a crowd of the same name, and is no other's pair, does not count.
    """
    place = {name: number for number, name in enumerate(names)}
    counts = np.zeros((len(names) + 1, len(names) + 1), np.int64)
    for truths, said in reported:
        true = [each for each in truths if not each.crowd]
        shared = overlaps(np.array([each.box for each in true], np.float64).reshape(-1, 4), boxes_of(said))
        free_true, free_said = set(range(len(true))), set(range(len(said)))
        for row, column in sorted(np.argwhere(shared >= 0.5).tolist(), key=lambda pair: -shared[pair[0], pair[1]]):
            if row in free_true and column in free_said:
                counts[place[true[row].label], place[said[column].label]] += 1
                free_true.remove(row)
                free_said.remove(column)
        for row in free_true:
            counts[place[true[row].label], -1] += 1
        for column in free_said:
            if not _in_crowd(said[column], truths):
                counts[-1, place[said[column].label]] += 1
    return tuple(tuple(row) for row in counts.tolist())


def _in_crowd(said: Detection, truths: Sequence[Truth]) -> bool:
    crowds = [np.array(each.box) for each in truths if each.crowd and each.label == said.label]
    return any(inside(boxes_of([said]), each)[0] >= 0.5 for each in crowds)


# -- labels -----------------------------------------------------------------------------------------------------------


def _evaluate_labels(model: Model, samples: Iterable[tuple[Labelled, Sequence[Array]]], tell: Tell) -> Evaluation:
    labels, left_out = model.manifest.labels, set[str]()
    pairs: Counter[tuple[str, str]] = Counter()
    among_five = total = 0
    for count, (labelled, arrays) in enumerate(samples):
        tell("evaluating", count, 0)
        if labelled.label is None:
            raise WorkbenchError(f"{labelled.path}: boxes, but {model.manifest.name} names whole samples")
        if labelled.label not in labels:
            left_out.add(labelled.label)
            continue
        ranked = _ranked(model, arrays)
        said = ranked[0] if ranked else NOTHING
        pairs[labelled.label, said] += 1
        among_five += labelled.label in ranked[:5]
        total += 1
    if not total:
        raise WorkbenchError(_strangers(model, left_out))
    names = [name for name in (*labels, NOTHING) if any(name in pair for pair in pairs)]
    return Evaluation(
        samples=total,
        names=tuple(names),
        confusion=tuple(tuple(pairs[true, said] for said in names) for true in names),
        accuracy=sum(number for (true, said), number in pairs.items() if true == said) / total,
        top5=among_five / total,
        left_out=tuple(sorted(left_out)),
    )


def _ranked(model: Model, arrays: Sequence[Array]) -> list[str]:
    """Labels of one sample, the best first; of sound, by their best window, and what is only background last unless
    nothing else reaches the model's threshold."""
    best: dict[str, float] = {}
    for answer in _answers(model, arrays, 0.0):
        for each in answer.predictions:
            if isinstance(each, Label):
                best[each.label] = max(best.get(each.label, 0.0), each.score)
    ranked = sorted(best, key=lambda label: -best[label])
    if not isinstance(model.manifest.input, AudioInput):
        return ranked
    sounds = [label for label in ranked if label not in BACKGROUND]
    if sounds and best[sounds[0]] >= model.threshold:
        return sounds + [label for label in ranked if label in BACKGROUND]
    return [label for label in ranked if label in BACKGROUND] + sounds


# -- report -----------------------------------------------------------------------------------------------------------


def report(evaluation: Evaluation, model: str, given: str) -> Report:
    """`model`, `given`: what to call the model and the data."""
    facts: dict[str, Any] = {
        "model": model,
        "data": given,
        "samples": evaluation.samples,
        "left_out": list(evaluation.left_out),
        "names": list(evaluation.names),
        "confusion": [list(row) for row in evaluation.confusion],
    }
    parts = [f"{evaluation.samples} samples of {given}."]
    if evaluation.accuracy is not None:
        facts |= {"accuracy": evaluation.accuracy, "top5": evaluation.top5}
        parts.append(f"Accuracy **{evaluation.accuracy:.4f}**; among the first five {evaluation.top5:.4f}.")
    if evaluation.precision is not None:
        of = evaluation.precision
        facts |= {
            "map50": of.map50,
            "map50_95": of.map50_95,
            "classes": {name: {"map50": each[0], "map50_95": each[1]} for name, each in of.by_class.items()},
        }
        parts.append(f"mAP50 **{of.map50:.4f}**, mAP50-95 **{of.map50_95:.4f}** (COCO's definition).")
        rows = [[name, f"{each[0]:.4f}", f"{each[1]:.4f}"] for name, each in of.by_class.items()]
        parts.append(table(["class", "mAP50", "mAP50-95"], rows))
    if evaluation.left_out:
        parts.append(f"Left out, because the model does not know them: {', '.join(evaluation.left_out)}.")
    parts.append("![what was taken for what](confusion.svg)")
    picture = matrix(f"{model} on {given}", evaluation.names, evaluation.confusion)
    return Report("evaluate", f"{model} on {given}", facts, "\n\n".join(parts), {"confusion.svg": picture})
