"""A pruned or a taught network on its way to a new version: is it worth having?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engines import digest
from engines.bundle import Bundle
from engines.engine import EngineError, Tensors
from engines.external import bytes_of
from engines.manifest import Stage
from engines.model import Model
from engines.onnxrt import OnnxEngine
from engines.stored_arrays import stored_arrays
from engines.workbench.made import Made, restaged
from engines.workbench.plot import stacked_bars
from engines.workbench.report import Report, table
from engines.workbench.tensors import take_turns_ms
from engines.workbench.trial import with_stages

CARD = "model_card.md"
"""In whatever case."""
GOLDEN_INPUT, GOLDEN_OUTPUT = "golden/input.npz", "golden/output.npz"


@dataclass(frozen=True, slots=True)
class Weighed:
    """The last stage of a model before and after."""

    before_bytes: int
    after_bytes: int
    before_ms: float
    after_ms: float
    before: float
    after: float
    """What the judge says of the model, 0 to 1."""


def weigh(bundle: Bundle, path: Path, probe: Tensors, judge: Callable[[Bundle], float], before: float) -> Weighed:
    """The last stage against the network in `path`; `probe` is an input of it, `before` what was said of the bundle."""
    stage = bundle.manifest.stages[-1].name
    old = bundle.stage_path(stage)
    before_ms, after_ms = take_turns_ms(old, path, probe)
    sizes = bytes_of(old), bytes_of(path)
    return Weighed(*sizes, before_ms, after_ms, before, judge(with_stages(bundle, {stage: path})))


def with_last_stage(bundle: Bundle, path: Path, how: str) -> Made:
    """The bundle with this network as its last stage. `how`: for `about`.

    Without what belongs to the network before: its variants, its weights in other files, its model card. The golden
    outputs, with which whoever pulls the model compares its answers, are made anew, in the folder of `path`.
    """
    last = bundle.manifest.stages[-1]
    stage = Stage(name=last.name, file=last.file, digest=digest.of_file(path))
    cards = {name for name in bundle.manifest.files if name.lower() == CARD}
    if cards:
        how += f", where {min(cards)} is"
    files = {last.file: path} | _golden(with_stages(bundle, {last.name: path}), path.with_suffix(".golden.npz"))
    return restaged(bundle, (*bundle.manifest.stages[:-1], stage), files, how, without={*cards, GOLDEN_OUTPUT})


def _golden(bundle: Bundle, path: Path) -> dict[str, Path]:
    """The golden outputs of this bundle, written to `path`; nothing where it brings none, or does not answer them."""
    if not {GOLDEN_INPUT, GOLDEN_OUTPUT} <= bundle.manifest.files.keys():
        return {}
    try:
        with Model(bundle, engine=OnnxEngine.name) as model:
            outputs = model.run_stages(stored_arrays(bundle.file_path(GOLDEN_INPUT)))
    except EngineError:  # inputs that never fitted shall not cost what was taught for hours
        return {}
    np.savez_compressed(path, **outputs)  # type: ignore[arg-type]  # names, not options
    return {GOLDEN_OUTPUT: path}


def report(
    verb: str, model: str, weighed: Weighed, losses: Sequence[tuple[float, float]], facts: dict[str, Any], judged: str
) -> Report:
    """`facts`: what else there is to tell. `judged`: what the judge's numbers are, in words."""
    rows = [
        ["last stage, kB", f"{weighed.before_bytes / 1e3:.0f}", f"{weighed.after_bytes / 1e3:.0f}"],
        ["one run, ms", f"{weighed.before_ms:.2f}", f"{weighed.after_ms:.2f}"],
        [judged, f"{weighed.before:.4f}", f"{weighed.after:.4f}"],
    ]
    numbers = [
        ["before" if number == 0 else str(number), f"{own:.4f}", f"{other:.4f}"]
        for number, (own, other) in enumerate(losses)
    ]
    text = table(["", "before", "after"], rows) + f"\n![how fast]({verb}.svg)\n"
    if numbers:
        text += "\n" + table(["round", "loss, taught samples", "loss, other samples"], numbers)
    document = {"model": model, "judged": judged, **facts, **asdict(weighed), "losses": [list(each) for each in losses]}
    bars = [("before", {"run": weighed.before_ms}), ("after", {"run": weighed.after_ms})]
    return Report(verb, f"{model}: {verb}", document, text, {f"{verb}.svg": stacked_bars(model, bars, "ms")})
