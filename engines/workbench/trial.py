"""One stage of a model, tried as a variant for one back end: made, judged, timed, and kept or refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias

import numpy as np

from engines.bundle import Bundle
from engines.engine import EngineError, Tensors
from engines.external import bytes_of
from engines.onnxrt import OnnxEngine
from engines.workbench.graph import Graph
from engines.workbench.integers import Integers
from engines.workbench.work import Tell

Precision: TypeAlias = Literal["int8", "float16"]
Judge: TypeAlias = Callable[[Bundle], float]
"""How good a model is, 0 to 1; the higher the better."""

Measure: TypeAlias = Callable[[Path, Path, Tensors], tuple[float, float]]
"""Milliseconds of one run of each of two networks."""

MOST_IN_FLOAT = 0.5
"""A network of which more layers have to stay in floats is not worth being quantised."""


MOST_OF_THE_SIZE, SAME_TIME = 0.5, 1.1
"""What a network with only its weights in integers may need at most: the time differs by noise alone."""


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
    """Weights in other files included."""
    before_ms: float
    after_ms: float | None
    """None where that back end cannot be measured on this machine."""
    before: float
    after: float
    """What the judge said of the model without and with it."""
    layers: int
    in_float: tuple[str, ...]
    """Layers that stayed in floats because integers cost too much there."""


def loses(before: float, after: float, tolerance: float) -> bool:
    """Whether a model has become worse by more than is tolerated; in floats 0.964 - 0.954 is more than 0.01."""
    return before - after > tolerance + 1e-9


def without_variants(bundle: Bundle) -> Bundle:
    """The bundle as it would be run by a back end that nothing was made for."""
    stages = tuple(each.model_copy(update={"variants": ()}) for each in bundle.manifest.stages)
    return Bundle(bundle.manifest.model_copy(update={"stages": stages}), bundle.folder, bundle.files)


def with_stages(bundle: Bundle, paths: Mapping[str, Path]) -> Bundle:
    """The bundle as if the networks of these stages were other files; without variants, whatever back end runs it."""
    plain = without_variants(bundle)
    files = {each.file: paths[each.name] for each in plain.manifest.stages if each.name in paths}
    return Bundle(plain.manifest, plain.folder, MappingProxyType({**plain.files, **files}))


@dataclass(slots=True)
class Trial:
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
            after = self.judge(with_stages(self.bundle, {self.stage: made}))
        except EngineError as error:
            return self._outcome(made, 0.0, (), 0, f"refused: {error}")
        return self._outcome(made, after, (), 0, "")

    def integers(self, method: str) -> Outcome | None:
        """None where there is nothing to quantise."""
        made = self.folder / f"{self.stage}-{self.goal.name}.onnx"
        try:
            maker = Integers(self.graph, self.goal.engine, self.inputs, self.folder, method)
            return self._integers(maker, made) if maker.heavy else None
        except EngineError as error:
            return self._outcome(made, 0.0, (), 0, f"refused: {error}")

    def _integers(self, maker: Integers, made: Path) -> Outcome:
        kept: tuple[str, ...] = ()
        after, fault = self._judged(maker, kept, made)
        if self._is_bad(after, fault) and len(maker.heavy) > 1:
            harm = self._harm(maker)
            count = 1
            while self._is_bad(after, fault) and count <= len(maker.heavy) * MOST_IN_FLOAT:
                kept = tuple(harm[:count])
                after, fault = self._judged(maker, kept, made)
                count *= 2
        outcome = self._outcome(made, after, kept, len(maker.heavy), fault)
        if outcome.path is None and outcome.after_ms is not None and not self._is_bad(after, fault):
            after, fault = self._judged(maker, kept, made, between=False)
            outcome = self._outcome(made, after, kept, len(maker.heavy), fault)
        if outcome.path is None and self.goal.engine == OnnxEngine.name:
            return self._weights(maker, made.with_name(f"{self.stage}-weights.onnx"), outcome)
        return outcome

    def _weights(self, maker: Integers, made: Path, refused: Outcome) -> Outcome:
        """The smaller network with only its weights in integers where that is worth it, else what was refused."""
        try:
            maker.write_weights(made)
            after = self.judge(with_stages(self.bundle, {self.stage: made}))
        except EngineError:
            return refused
        before_bytes, after_bytes = refused.before_bytes, made.stat().st_size
        if loses(self.before, after, self.tolerance) or after_bytes > MOST_OF_THE_SIZE * before_bytes:
            return refused
        before_ms, after_ms = self.measure(self.bundle.stage_path(self.stage), made, self.inputs[0])
        if after_ms > SAME_TIME * before_ms:
            return refused
        return replace(
            refused,
            path=made,
            why=f"kept for its size: weights in integers, sums in floats, {after_ms / before_ms:.2f} times the time; "
            f"all in integers {refused.why}",
            after_bytes=after_bytes,
            before_ms=before_ms,
            after_ms=after_ms,
            after=after,
            in_float=tuple(maker.heavy),
        )

    def _is_bad(self, after: float, fault: str) -> bool:
        return bool(fault) or loses(self.before, after, self.tolerance)

    def _judged(self, maker: Integers, kept: tuple[str, ...], made: Path, *, between: bool = True) -> tuple[float, str]:
        """What the judge says; or 0, and why the network cannot be made or does not run."""
        self.tell(f"{self.stage}: {self.goal.name}", len(kept), len(maker.heavy))
        try:
            maker.write(made, leave=kept, between=between)
            return self.judge(with_stages(self.bundle, {self.stage: made})), ""
        except EngineError as error:
            return 0.0, f"refused: {error}"

    def _harm(self, maker: Integers) -> list[str]:
        """The layers, those first that alone change the outputs most, or that cannot be in integers at all."""
        probes = self.inputs[:4]
        with OnnxEngine(self.bundle.stage_path(self.stage)) as engine:
            expected = [{name: each.copy() for name, each in engine.run(probe).items()} for probe in probes]
        harm: dict[str, float] = {}
        path = self.folder / "alone.onnx"
        for number, layer in enumerate(maker.heavy):
            self.tell(f"{self.stage}: which layers suffer", number, len(maker.heavy))
            try:
                maker.write(path, only=layer)
                with OnnxEngine(path) as engine:
                    harm[layer] = sum(
                        _distance(want, engine.run(probe)) for probe, want in zip(probes, expected, strict=True)
                    )
            except EngineError:
                harm[layer] = math.inf
        path.unlink(missing_ok=True)
        return sorted(harm, key=lambda layer: -harm[layer])

    def _outcome(self, made: Path, after: float, kept: tuple[str, ...], layers: int, fault: str) -> Outcome:
        path = self.bundle.stage_path(self.stage)
        before_ms, after_ms = 0.0, None
        here = self.goal.engine == OnnxEngine.name
        if not fault and here:
            before_ms, after_ms = self.measure(path, made, self.inputs[0])
        why = fault or self._refusal(after, before_ms, after_ms, kept)
        return Outcome(
            stage=self.stage,
            goal=self.goal,
            path=None if why else made,
            why=why or self._praise(before_ms, after_ms),
            before_bytes=bytes_of(path),
            after_bytes=made.stat().st_size if made.exists() else 0,
            before_ms=before_ms,
            after_ms=after_ms,
            before=self.before,
            after=after,
            layers=layers,
            in_float=kept,
        )

    def _refusal(self, after: float, before_ms: float, after_ms: float | None, kept: tuple[str, ...]) -> str:
        if loses(self.before, after, self.tolerance):
            even = ", even with the worst layers in floats" if kept else ""
            return f"refused: it loses {self.before - after:.1%}, more than {self.tolerance:.1%}{even}"
        if after_ms is not None and after_ms >= before_ms:
            return f"refused: {after_ms:.2f} ms is not faster than {before_ms:.2f} ms without it on this machine"
        return ""

    def _praise(self, before_ms: float, after_ms: float | None) -> str:
        if after_ms is None:
            return f"kept for {self.goal.engine}, whose speed cannot be measured on this machine"
        return f"kept: {after_ms / before_ms:.2f} times the time"


def _distance(expected: Tensors, found: Tensors) -> float:
    """Root of the mean square error of every output, over its own spread, added up; infinite where that is no number,
    or where there are more or fewer rows than expected."""
    total = 0.0
    for name, one in expected.items():
        if one.shape != found[name].shape:
            return math.inf
        if one.size:
            spread = float(np.std(one.astype(np.float64))) or 1.0
            total += float(np.sqrt(np.mean((one.astype(np.float64) - found[name].astype(np.float64)) ** 2))) / spread
    return total if math.isfinite(total) else math.inf
