"""A pruned or a taught network on its way to a new version: is it worth having?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engines import digest
from engines.bundle import Bundle
from engines.engine import Tensors
from engines.manifest import Stage
from engines.workbench.made import Made, restaged
from engines.workbench.plot import stacked_bars
from engines.workbench.report import Report, table
from engines.workbench.tensors import take_turns_ms
from engines.workbench.trial import with_stages


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


def weigh(bundle: Bundle, path: Path, probe: Tensors, judge: Callable[[Bundle], float]) -> Weighed:
    """The last stage against the network in `path`; `probe` is an input of it."""
    stage = bundle.manifest.stages[-1].name
    old = bundle.stage_path(stage)
    before_ms, after_ms = take_turns_ms(old, path, probe)
    sizes = old.stat().st_size, path.stat().st_size
    return Weighed(*sizes, before_ms, after_ms, judge(bundle), judge(with_stages(bundle, {stage: path})))


def with_last_stage(bundle: Bundle, path: Path, how: str) -> Made:
    """The bundle with this network as its last stage, without the variants of the one before. `how`: for `about`."""
    last = bundle.manifest.stages[-1]
    stage = Stage(name=last.name, file=last.file, digest=digest.of_file(path))
    return restaged(bundle, (*bundle.manifest.stages[:-1], stage), {last.file: path}, how)


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
