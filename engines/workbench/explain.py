"""`explain`: where a model looked, or listened, for what it said about one sample.

For detections the score of a masked picture is D-RISE's (Petsiuk et al., "Black-box Explanation of Object Detectors via
Saliency Maps", 2021): the best of overlap times score among the boxes of the same class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engines.engine import Array, EngineError
from engines.manifest import AudioInput
from engines.model import Model
from engines.predictions import Answer, Detection, Label
from engines.workbench.overlap import boxes_of, overlaps
from engines.workbench.report import Report, table
from engines.workbench.saliency import Curves, Hiding, curves, saliency
from engines.workbench.spectrum import Spectrum
from engines.workbench.work import Tell, WorkbenchError, silent

Subject = Detection | Label

MAP_PX = 320
"""The longer side of the map of a picture."""
BANDS = 48
LEAST_SCORE = 0.01
"""Boxes that score less in a masked picture count as gone: nobody needs the thousands of them."""
OPACITY = 0.5
FLAT = 0.05
"""A place that carries less than this share of the score carries nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """A map of one sample."""

    subject: Subject
    """What was said."""
    heat: Array
    """(rows, columns): what each place adds to the score. Rows are from the top of the picture down, or frequencies
    from the lowest up; columns from the left, or in time."""
    curves: Curves
    hiding: Hiding
    place: dict[str, Any]
    """What rows and columns mean."""
    drawing: Array
    """uint8 (height, width, 3) BGR: the sample with the map over it."""

    @property
    def peak(self) -> tuple[int, int]:
        """Row and column of the largest value."""
        row, column = np.unravel_index(int(self.heat.argmax()), self.heat.shape)
        return int(row), int(column)

    @property
    def hot(self) -> tuple[int, int, int, int]:
        """First row, first column, last row, last column of where at least half of the largest value is reached."""
        rows, columns = np.nonzero(self.heat >= max(self.heat.max() / 2, 1e-12))
        if not len(rows):
            return 0, 0, self.heat.shape[0] - 1, self.heat.shape[1] - 1
        return int(rows.min()), int(columns.min()), int(rows.max()), int(columns.max())


def surest(model: Model, sample: Array, label: str | None = None) -> Subject | None:
    """What the open model says with the highest score, of this label or of any; None when it says nothing."""
    answer = _answer(model, sample, 0.0 if label and model.manifest.task != "detect" else None, label)
    found = [each for each in answer.predictions if isinstance(each, Detection | Label)]
    return max(found, key=lambda each: each.score, default=None)


def explain(
    model: Model, sample: Array, subject: Subject, hiding: Hiding | None = None, tell: Tell = silent
) -> Explanation:
    """Map what an open model said about a sample; `subject` is one of its answers. Raises EngineError."""
    hiding = hiding or Hiding()
    if model.manifest.task == "vad":
        raise WorkbenchError(
            f"{model.manifest.name}: a voice detector hears a few hundredths of a second at a time and remembers the "
            "rest, so there is no map to draw; explain works on pictures and on sounds that are named by the window"
        )
    if isinstance(model.manifest.input, AudioInput):
        return _explain_sound(model, model.manifest.input, sample, subject, hiding, tell)
    return _explain_picture(model, sample, subject, hiding, tell)


def _explain_picture(model: Model, pixels: Array, subject: Subject, hiding: Hiding, tell: Tell) -> Explanation:
    import cv2

    height, width = pixels.shape[:2]
    shrink = min(1.0, MAP_PX / max(height, width))
    shape = (max(round(height * shrink), 1), max(round(width * shrink), 1))
    fill = pixels.reshape(-1, 3).mean(axis=0).astype(np.float32)
    difference = pixels.astype(np.float32) - fill

    def score(mask: Array) -> float:
        visible = cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)
        shown = difference * visible[:, :, np.newaxis] + fill
        return _score(model, shown.astype(np.uint8), subject)

    heat = saliency(shape, score, hiding, tell)
    drawing = overlay(pixels, cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR))
    if isinstance(subject, Detection):
        left, top, right, bottom = (round(value) for value in subject.box)
        cv2.rectangle(drawing, (left, top), (right, bottom), (255, 255, 255), max(1, width // 320))
    place = {"kind": "picture", "width_px": width, "height_px": height}
    return Explanation(subject, heat, curves(heat, score), hiding, place, drawing)


def _explain_sound(
    model: Model, spec: AudioInput, samples: Array, subject: Subject, hiding: Hiding, tell: Tell
) -> Explanation:
    import cv2

    spectrum = Spectrum(samples, spec.rate_hz, BANDS)

    def score(mask: Array) -> float:
        return _score(model, spectrum.masked(mask), subject)

    heat = saliency(spectrum.shape, score, hiding, tell, grid=(hiding.cells, 2 * hiding.cells))
    level = spectrum.decibels()
    grey = ((level - level.min()) / max(float(np.ptp(level)), 1e-9) * 255).astype(np.uint8)
    size = (max(640, heat.shape[1] * 4), 320)
    upright = cv2.resize(cv2.cvtColor(grey[::-1], cv2.COLOR_GRAY2BGR), size, interpolation=cv2.INTER_NEAREST)
    drawing = overlay(upright, cv2.resize(heat[::-1], size, interpolation=cv2.INTER_LINEAR))
    place = {
        "kind": "sound",
        "seconds": len(samples) / spec.rate_hz,
        "column_s": spectrum.column_s,
        "first_column_s": spectrum.first_s,
        "row_edges_hz": [round(edge, 1) for edge in spectrum.edges_hz.tolist()],
    }
    return Explanation(subject, heat, curves(heat, score), hiding, place, drawing)


def overlay(pixels: Array, heat: Array) -> Array:
    """The picture with a map of the same size over it: cold is blue, hot is red; what hinders counts as cold."""
    import cv2

    share = np.maximum(heat, 0) / max(float(heat.max()), 1e-12)
    colours = cv2.applyColorMap((share * 255).astype(np.uint8), cv2.COLORMAP_TURBO)
    return np.asarray(cv2.addWeighted(colours, OPACITY, pixels, 1 - OPACITY, 0))


def _answer(model: Model, sample: Array, threshold: float | None, label: str | None) -> Answer:
    answer = model.predict([sample], thresholds=[threshold], labels=[None if label is None else [label]])[0]
    if isinstance(answer, EngineError):
        raise answer
    return answer


def _score(model: Model, sample: Array, subject: Subject) -> float:
    if isinstance(subject, Label):
        said = _answer(model, sample, 0.0, subject.label).predictions
        return max((each.score for each in said if isinstance(each, Label)), default=0.0)
    found = [
        each for each in _answer(model, sample, LEAST_SCORE, subject.label).predictions if isinstance(each, Detection)
    ]
    if not found:
        return 0.0
    shared = overlaps(boxes_of(found), boxes_of([subject]))[:, 0]
    return float(np.max(shared * np.array([each.score for each in found])))


# -- report -----------------------------------------------------------------------------------------------------------


def report(explanation: Explanation, model: str, given: str) -> Report:
    """`model`, `given`: what to call the model and the sample."""
    import cv2

    place, subject = explanation.place, explanation.subject
    hot = _where(explanation)
    facts: dict[str, Any] = {
        "model": model,
        "input": given,
        "label": subject.label,
        "score": subject.score,
        "box": list(subject.box) if isinstance(subject, Detection) else None,
        "method": "D-RISE" if isinstance(subject, Detection) else "RISE",
        "masks": explanation.hiding.masks,
        "cells": explanation.hiding.cells,
        "seed": explanation.hiding.seed,
        "place": place,
        "peak": list(explanation.peak),
        "hot": hot,
        "deletion": [round(value, 5) for value in explanation.curves.deletion],
        "insertion": [round(value, 5) for value in explanation.curves.insertion],
        "deletion_mean": round(explanation.curves.deletion_mean, 5),
        "insertion_mean": round(explanation.curves.insertion_mean, 5),
        "heat": np.round(explanation.heat, 5).tolist(),
    }
    text = (
        f"![where it looked](explain.png)\n\n"
        f"{_finding(explanation, hot)}\n\n"
        + table(
            ["measure", "value", "meaning"],
            [
                ["deletion", f"{explanation.curves.deletion_mean:.3f}", "mean score while the hottest goes first; low"],
                ["insertion", f"{explanation.curves.insertion_mean:.3f}", "mean score while it comes first; high"],
            ],
        )
        + f"\n{explanation.hiding.masks} masks of about {explanation.hiding.cells} cells, seed "
        f"{explanation.hiding.seed}. `heat` in explain.json is what each place adds to the score.\n"
    )
    done, png = cv2.imencode(".png", explanation.drawing)
    assert done, "a picture of uint8 can be written as PNG"
    return Report("explain", f"{model}: {subject.label} in {given}", facts, text, {"explain.png": png.tobytes()})


def _where(explanation: Explanation) -> list[float]:
    """The hot part in the sample's own terms: left, top, right, bottom pixels; or start, end seconds, low, high Hz."""
    top, left, bottom, right = explanation.hot
    place = explanation.place
    if place["kind"] == "picture":
        across = place["width_px"] / explanation.heat.shape[1]
        down = place["height_px"] / explanation.heat.shape[0]
        return [round(v, 1) for v in (left * across, top * down, (right + 1) * across, (bottom + 1) * down)]
    start = max(place["first_column_s"] + left * place["column_s"], 0.0)
    end = min(place["first_column_s"] + (right + 1) * place["column_s"], place["seconds"])
    edges = place["row_edges_hz"]
    return [round(start, 3), round(end, 3), edges[top], edges[bottom + 1]]


def _finding(explanation: Explanation, hot: list[float]) -> str:
    said = f"**{explanation.subject.label}** ({explanation.subject.score:.2f})"
    if explanation.heat.max() < FLAT * explanation.subject.score:
        return f"No part carries the score of {said}: hiding any of it hardly changes the answer."
    return f"Most of the score of {said} comes from {_in_words(explanation.place, hot)}."


def _in_words(place: dict[str, Any], hot: list[float]) -> str:
    if place["kind"] == "picture":
        return f"the part from ({hot[0]:.0f}, {hot[1]:.0f}) to ({hot[2]:.0f}, {hot[3]:.0f}) pixels"
    return f"{hot[0]:.2f} s to {hot[1]:.2f} s, {hot[2]:.0f} Hz to {hot[3]:.0f} Hz"
