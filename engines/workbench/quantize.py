"""`quantize`: networks in 8-bit integers, or 16-bit floats, as variants for single back ends; each has to be worth it.

Integers are written as QuantizeLinear/DequantizeLinear pairs by ONNX Runtime's static quantisation. What is fast
differs: ONNX Runtime on a processor wants unsigned activations with signed weights (U8S8), TensorRT takes symmetric
signed ones only (S8S8), which ONNX Runtime on x86 runs 1.5 to 1.7 times slower than floats (measured). So there is one
variant for each back end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np

from engines import digest
from engines.bundle import Bundle
from engines.engine import EngineError, Tensors
from engines.manifest import Variant
from engines.onnxrt import OnnxEngine
from engines.workbench.graph import Graph
from engines.workbench.integers import Integers
from engines.workbench.made import Made, restaged
from engines.workbench.plot import stacked_bars
from engines.workbench.report import Report, table
from engines.workbench.tensors import take_turns_ms
from engines.workbench.work import Tell, WorkbenchError, silent

Precision: TypeAlias = Literal["int8", "float16"]
Judge: TypeAlias = Callable[[Bundle], float]
"""How good a model is, 0 to 1; the higher the better."""

Measure: TypeAlias = Callable[[Path, Path, Tensors], tuple[float, float]]
"""Milliseconds of one run of each of two networks."""

MOST_IN_FLOAT = 0.5
"""A network of which more layers have to stay in floats is not worth being quantised."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What is asked for."""

    engine: str
    precision: Precision

    @property
    def name(self) -> str:
        return f"{self.precision}-{self.engine}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one variant of one stage."""

    stage: str
    goal: Goal
    path: Path | None
    """The network; None when it was refused."""
    why: str
    """In a sentence."""
    before_bytes: int
    after_bytes: int
    before_ms: float
    after_ms: float | None
    """None where that back end cannot be measured on this machine."""
    before: float
    after: float
    """What the judge said of the model without and with it."""
    layers: int
    in_float: tuple[str, ...]
    """Layers that stayed in floats because integers cost too much there."""


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
        for goal in goals:
            trial = _Trial(
                bundle, stage.name, goal, graph, inputs[number], judge, before, folder, tolerance, tell, measure
            )
            outcome = trial.integers(method) if goal.precision == "int8" else trial.floats()
            if outcome is not None:
                outcomes.append(outcome)
    if not outcomes:
        raise WorkbenchError(f"{bundle.manifest.name}: there is no convolution or matrix product in it to quantise")
    return outcomes


def without_variants(bundle: Bundle) -> Bundle:
    """The bundle as it would be run by a back end that nothing was made for."""
    stages = tuple(each.model_copy(update={"variants": ()}) for each in bundle.manifest.stages)
    return Bundle(bundle.manifest.model_copy(update={"stages": stages}), bundle.folder, bundle.files)


def with_stage(bundle: Bundle, stage: str, path: Path) -> Bundle:
    """The bundle as if a stage's network were another file; without variants, whatever back end runs it."""
    plain = without_variants(bundle)
    file = next(each.file for each in plain.manifest.stages if each.name == stage)
    return Bundle(plain.manifest, plain.folder, MappingProxyType({**plain.files, file: path}))


@dataclass(slots=True)
class _Trial:
    """One goal for one stage."""

    bundle: Bundle
    stage: str
    goal: Goal
    graph: Graph
    inputs: Sequence[Tensors]
    judge: Judge
    before: float
    folder: Path
    tolerance: float
    tell: Tell
    measure: Measure

    def floats(self) -> Outcome:
        from engines.workbench.float16 import to_float16

        made = self.folder / f"{self.stage}-{self.goal.name}.onnx"
        try:
            made.write_bytes(to_float16(self.graph).SerializeToString())
            after = self.judge(with_stage(self.bundle, self.stage, made))
        except EngineError as error:
            return self._outcome(made, 0.0, (), 0, f"it does not run: {error}")
        return self._outcome(made, after, (), 0, "")

    def integers(self, method: str) -> Outcome | None:
        """None where there is nothing to quantise."""
        made = self.folder / f"{self.stage}-{self.goal.name}.onnx"
        maker = Integers(self.graph, self.goal.engine, self.inputs, self.folder, method)
        if not maker.heavy:
            return None
        kept: tuple[str, ...] = ()
        after = self._judged(maker, kept, made)
        if self.before - after > self.tolerance and len(maker.heavy) > 1:
            harm = self._harm(maker)
            count = 1
            while self.before - after > self.tolerance and count <= len(maker.heavy) * MOST_IN_FLOAT:
                kept = tuple(harm[:count])
                after = self._judged(maker, kept, made)
                count *= 2
        outcome = self._outcome(made, after, kept, len(maker.heavy), "")
        if outcome.path is None and outcome.after_ms is not None and self.before - after <= self.tolerance:
            after = self._judged(maker, kept, made, between=False)
            return self._outcome(made, after, kept, len(maker.heavy), "")
        return outcome

    def _judged(self, maker: Integers, kept: tuple[str, ...], made: Path, *, between: bool = True) -> float:
        self.tell(f"{self.stage}: {self.goal.name}", len(kept), len(maker.heavy))
        maker.write(made, leave=kept, between=between)
        return self.judge(with_stage(self.bundle, self.stage, made))

    def _harm(self, maker: Integers) -> list[str]:
        """The layers, those first that alone change the outputs most."""
        probes = self.inputs[:4]
        with OnnxEngine(self.bundle.stage_path(self.stage)) as engine:
            expected = [{name: each.copy() for name, each in engine.run(probe).items()} for probe in probes]
        harm: dict[str, float] = {}
        path = self.folder / "alone.onnx"
        for number, layer in enumerate(maker.heavy):
            self.tell(f"{self.stage}: which layers suffer", number, len(maker.heavy))
            maker.write(path, only=layer)
            with OnnxEngine(path) as engine:
                harm[layer] = sum(
                    _distance(want, engine.run(probe)) for probe, want in zip(probes, expected, strict=True)
                )
        path.unlink()
        return sorted(harm, key=lambda layer: -harm[layer])

    def _outcome(self, made: Path, after: float, kept: tuple[str, ...], layers: int, fault: str) -> Outcome:
        path = self.bundle.stage_path(self.stage)
        before_ms, after_ms = 0.0, None
        here = self.goal.engine == OnnxEngine.name
        if not fault and here:
            before_ms, after_ms = self.measure(path, made, self.inputs[0])
        why = fault or self._refusal(after, before_ms, after_ms)
        return Outcome(
            stage=self.stage,
            goal=self.goal,
            path=None if why else made,
            why=why or self._praise(before_ms, after_ms),
            before_bytes=path.stat().st_size,
            after_bytes=made.stat().st_size if made.exists() else 0,
            before_ms=before_ms,
            after_ms=after_ms,
            before=self.before,
            after=after,
            layers=layers,
            in_float=kept,
        )

    def _refusal(self, after: float, before_ms: float, after_ms: float | None) -> str:
        lost = self.before - after
        if lost > self.tolerance:
            return f"refused: it loses {lost:.1%}, more than {self.tolerance:.1%}, even with the worst layers in floats"
        if after_ms is not None and after_ms >= before_ms:
            return f"refused: {after_ms:.2f} ms is not faster than {before_ms:.2f} ms without it on this machine"
        return ""

    def _praise(self, before_ms: float, after_ms: float | None) -> str:
        if after_ms is None:
            return f"kept for {self.goal.engine}, whose speed cannot be measured on this machine"
        return f"kept: {after_ms / before_ms:.2f} times the time"


def _distance(expected: Tensors, found: Tensors) -> float:
    """Root of the mean square error of every output, over its own spread, added up."""
    total = 0.0
    for name, one in expected.items():
        spread = float(np.std(one.astype(np.float64))) or 1.0
        total += float(np.sqrt(np.mean((one.astype(np.float64) - found[name].astype(np.float64)) ** 2))) / spread
    return total


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
