"""`quantize`: networks in 8-bit integers, or 16-bit floats, as variants for single back ends; each has to be worth it.

Integers are written as QuantizeLinear/DequantizeLinear pairs by ONNX Runtime's static quantisation. What is fast
differs: ONNX Runtime on a processor wants unsigned activations with signed weights (U8S8), TensorRT takes symmetric
signed ones only (S8S8), which ONNX Runtime on x86 runs 1.5 to 1.7 times slower than floats (measured). So there is one
variant for each back end; in 16-bit floats for ONNX Runtime alone, because TensorRT makes those itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from engines import digest
from engines.bundle import Bundle
from engines.engine import Tensors
from engines.manifest import Variant
from engines.workbench.graph import Graph
from engines.workbench.made import Made, restaged
from engines.workbench.plot import stacked_bars
from engines.workbench.report import Report, table
from engines.workbench.tensors import take_turns_ms
from engines.workbench.trial import (
    Goal,
    Judge,
    Measure,
    Outcome,
    Precision,
    Trial,
    loses,
    with_stages,
    without_variants,
)
from engines.workbench.work import Tell, WorkbenchError, silent


def goals(engines: Sequence[str], precision: Precision) -> list[Goal]:
    """One for each of these back ends; without any, for each that such a variant is of use to.

    Raises WorkbenchError for one that would never run it.
    """
    if precision == "float16" and "tensorrt" in engines:
        words = "ask for --for onnxruntime, or for --precision int8"
        raise WorkbenchError(f"TensorRT makes half precision itself when it builds the plan: {words}")
    useful = ("onnxruntime",) if precision == "float16" else ("onnxruntime", "tensorrt")
    return [Goal(engine, precision) for engine in engines or useful]


def quantize(
    bundle: Bundle,
    goals: Sequence[Goal],
    inputs: Sequence[Sequence[Tensors]],
    judge: Judge,
    folder: Path,
    *,
    tolerance: float = 0.01,
    method: str = "minmax",
    tell: Tell = silent,
    measure: Measure = take_turns_ms,
) -> list[Outcome]:
    """Try every goal on every stage; networks that pass are in `folder`.

    `inputs`: what each stage is given, for calibration (`inputs_of_stages`). `judge` may lose `tolerance`. A variant
    for the back end of this machine that is not faster than the stage as it is, is refused. Raises WorkbenchError when
    nothing can be quantised at all.
    """
    if not inputs or not inputs[0]:
        raise WorkbenchError("no frame to calibrate with: name a recording, a folder or a source with --frames")
    before = judge(without_variants(bundle))
    outcomes = []
    for number, stage in enumerate(bundle.manifest.stages):
        path = bundle.stage_path(stage.name)
        graph = Graph.load(path)
        for goal in dict.fromkeys(goals):
            trial = Trial(
                bundle, stage.name, goal, graph, inputs[number], judge, before, folder, tolerance, tell, measure
            )
            outcome = trial.integers(method) if goal.precision == "int8" else trial.floats()
            if outcome is not None:
                outcomes.append(outcome)
    if not outcomes:
        raise WorkbenchError(f"{bundle.manifest.name}: there is no convolution or matrix product in it to quantise")
    return [each for goal in dict.fromkeys(goals) for each in _together(bundle, goal, outcomes, judge, tolerance)]


def _together(bundle: Bundle, goal: Goal, outcomes: Sequence[Outcome], judge: Judge, tolerance: float) -> list[Outcome]:
    """Those of one goal; where all stages together lose too much, the one that saves least is refused."""
    mine = [each for each in outcomes if each.goal == goal]
    while len(passed := [each for each in mine if each.path is not None]) > 1:
        together = judge(with_stages(bundle, {each.stage: each.path for each in passed if each.path is not None}))
        lost = passed[0].before - together
        if not loses(lost, 0.0, tolerance):
            break
        least = min(passed, key=lambda each: each.before_bytes - each.after_bytes)
        why = f"refused: together with the other stages {lost:.1%} is lost, more than {tolerance:.1%}"
        mine = [replace(each, path=None, why=why) if each is least else each for each in mine]
    return mine


def made(bundle: Bundle, outcomes: Sequence[Outcome]) -> Made:
    """The bundle with the variants that passed, those it had for other back ends, and everything else as it was.

    Of several that passed for one stage and back end the smallest is taken.
    """
    passed = sorted((each for each in outcomes if each.path is not None), key=lambda each: each.after_bytes)
    files: dict[str, Path] = {}
    stages = []
    for stage in bundle.manifest.stages:
        variants = {each.engine: each for each in stage.variants}
        fresh: set[str] = set()
        for each in passed:
            if each.stage == stage.name and each.goal.engine not in fresh and each.path is not None:
                file = f"{stage.name}-{each.goal.name}.onnx"
                variants[each.goal.engine] = Variant(
                    engine=each.goal.engine,
                    precision=each.goal.precision,
                    file=file,
                    digest=digest.of_file(each.path),
                )
                files[file] = each.path
                fresh.add(each.goal.engine)
        stages.append(stage.model_copy(update={"variants": tuple(variants.values())}))
    how = f"quantized from {bundle.manifest.name} {bundle.manifest.version}"
    return restaged(bundle, tuple(stages), files, how)


# -- report -----------------------------------------------------------------------------------------------------------


def report(outcomes: Sequence[Outcome], model: str, judged: str) -> Report:
    """`judged`: what the numbers before and after are, in words."""
    facts: dict[str, Any] = {
        "model": model,
        "judged": judged,
        "variants": [
            asdict(each) | {"path": None, "accepted": each.path is not None, "name": each.goal.name}
            for each in outcomes
        ],
    }
    for each in facts["variants"]:
        del each["path"]
    rows = [
        [
            each.stage,
            each.goal.name,
            f"{each.before_bytes / 1e3:.0f} -> {each.after_bytes / 1e3:.0f}",
            "-" if each.after_ms is None else f"{each.before_ms:.2f} -> {each.after_ms:.2f}",
            f"{each.before:.4f} -> {each.after:.4f}",
            f"{len(each.in_float)} of {each.layers}" if each.layers else "-",
            each.why,
        ]
        for each in outcomes
    ]
    head = ["stage", "variant", "kB", "ms", judged, "layers in floats", "outcome"]
    measured = [each for each in outcomes if each.after_ms is not None]
    bars = [
        bar
        for each in measured
        for bar in (
            (f"{each.stage} float32", {"run": each.before_ms}),
            (f"{each.stage} {each.goal.name}", {"run": each.after_ms or 0.0}),
        )
    ]
    text = table(head, rows) + ("\n![how fast](quantize.svg)\n" if bars else "")
    pictures = {"quantize.svg": stacked_bars(f"{model}: one run here", bars, "ms")} if bars else {}
    return Report("quantize", f"{model}: quantised", facts, text, pictures)
