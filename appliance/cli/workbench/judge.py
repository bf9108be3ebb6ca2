"""How good a candidate is: how far it says the same as a model, or how often it is right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engines.bundle import Bundle
    from engines.engine import Array
    from engines.workbench.labelled import Kind


def agreement_with(reference: Bundle, samples: Sequence[Array]) -> Callable[[Bundle], float]:
    """Share of answers that are the same; raises WorkbenchError where the reference answers nothing."""
    from engines.model import Model
    from engines.workbench.agreement import compare
    from engines.workbench.by_window import by_window
    from engines.workbench.work import WorkbenchError

    def judge(candidate: Bundle) -> float:
        with Model(by_window(reference)) as one, Model(by_window(candidate)) as other:
            found = compare(one, other, samples)
        if not found.answers:
            words = "finds nothing in these frames, so nothing can be judged: give some that show what it looks for"
            raise WorkbenchError(f"{reference.manifest.name} {words}")
        return found.share

    return judge


def accuracy_on(data: Path, kind: Kind | None, bundle: Bundle) -> Callable[[Bundle], float]:
    """Accuracy, or mAP50, on a labelled folder as `evaluate` reads it; `kind`: None finds out how it is labelled."""
    from appliance.material import labelled_material
    from appliance.predict import PICTURES, SOUNDS
    from engines.manifest import AudioInput
    from engines.model import Model
    from engines.workbench.by_window import by_window
    from engines.workbench.evaluate import evaluate
    from engines.workbench.labelled import read_labelled

    manifest = bundle.manifest
    suffixes = SOUNDS if isinstance(manifest.input, AudioInput) else PICTURES
    labelled = read_labelled(data, kind, manifest.labels, suffixes, manifest.decoder.name)

    def judge(candidate: Bundle) -> float:
        with Model(by_window(candidate)) as model:
            samples = ((each, labelled_material(each.path, manifest)) for each in labelled)
            of = evaluate(model, samples)
        return of.accuracy if of.accuracy is not None else of.precision.map50 if of.precision else 0.0

    return judge
