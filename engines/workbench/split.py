"""`split`: one network becomes two stages, so that the second may run elsewhere; and where it pays to cut.

A cut is named by a tensor: the first stage makes it and all that it follows from, the second stage makes the rest. What
the second needs of the first crosses the cut; it may be more than the one tensor, where a network has short cuts.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engines import digest
from engines.bundle import Bundle
from engines.engine import Array, EngineError, Tensors
from engines.manifest import Stage
from engines.onnxrt import OnnxEngine
from engines.workbench.graph import Graph, uses
from engines.workbench.made import Made, restaged
from engines.workbench.plot import stacked_bars
from engines.workbench.report import Report, table
from engines.workbench.tensors import largest_difference, median_ms
from engines.workbench.work import Tell, WorkbenchError, silent

TOLERANCE = 1e-4
MOST_CROSSING = 3
"""Tensors; further apart than that, a network is not cut but shredded."""
MOST_PRICED = 80


@dataclass(frozen=True, slots=True)
class Cut:
    """A place to cut a network."""

    tensor: str
    crossing: tuple[str, ...]
    nodes: int
    """Of the first part."""


@dataclass(frozen=True, slots=True)
class Priced:
    """What a cut costs."""

    stage: str
    tensor: str
    """Empty: everything here, or everything there."""
    crossing: tuple[str, ...]
    nodes: int
    device_ms: float
    link_bytes: int
    link_ms: float
    server_ms: float

    @property
    def total_ms(self) -> float:
        return self.device_ms + self.link_ms + self.server_ms


@dataclass(frozen=True, slots=True)
class Link:
    """The way to the server, and the server."""

    mbit_per_s: float = 50.0
    round_trip_ms: float = 5.0
    server_speed: float = 4.0
    """Times as fast as this machine."""

    def ms(self, count: int) -> float:
        """For so many bytes."""
        return self.round_trip_ms + count * 8 / (self.mbit_per_s * 1e3)


def cuts(graph: Graph) -> list[Cut]:
    """Every place where a network can be cut, from the front to the back: one for each set of tensors that crosses."""
    found: dict[tuple[str, ...], Cut] = {}
    for tensor in graph.maker:
        cut = _cut(graph, tensor)
        if isinstance(cut, Cut) and len(cut.crossing) <= MOST_CROSSING:
            known = found.get(cut.crossing)
            if known is None or cut.nodes < known.nodes:
                found[cut.crossing] = cut
    return sorted(found.values(), key=lambda cut: cut.nodes)


def _cut(graph: Graph, tensor: str) -> Cut | str:
    """The cut at this tensor, or why it is none."""
    if tensor in graph.constants or tensor not in graph.maker:
        return "it does not depend on the input"
    first = graph.before(tensor)
    ended = [name for name in graph.outputs if graph.maker.get(name) in first]
    if ended:
        return f"the output {ended[0]} would be made before it"
    crossing = graph.crossing(first)
    if tensor not in crossing:
        return "nothing follows from it"
    return Cut(tensor, crossing, len(first))


def halves(graph: Graph, tensor: str, probe: Tensors) -> tuple[Any, Any]:
    """Both parts as ModelProto; `probe` is an input, to find out types and shapes that the file does not tell.

    Raises WorkbenchError when it cannot be cut there.
    """
    cut = _cut(graph, tensor)
    if isinstance(cut, str):
        raise WorkbenchError(f"{tensor}: cannot be cut here: {cut}; --suggest lists the places")
    first = graph.before(tensor)
    rest = set(range(len(graph.nodes))) - first
    inside = [name for name in cut.crossing if name not in graph.inputs]
    declared = _declared(graph, inside, probe)
    inputs = [graph.declared[name] for name in graph.inputs]
    needed = {name for number in first for name in uses(graph.nodes[number])}
    outputs = [graph.declared[name] for name in graph.outputs]
    given = [graph.declared[name] for name in graph.inputs if name in cut.crossing]
    front = graph.part(first, [each for each in inputs if each.name in needed], [declared[name] for name in inside])
    back = graph.part(rest, [*given, *(declared[name] for name in inside)], outputs)
    return front, back


def _declared(graph: Graph, names: Sequence[str], probe: Tensors) -> dict[str, Any]:
    """Type and shape of tensors inside: as inferred, else as they come out for the probe.

    Of the probe only the number of axes counts where a size of an input may vary: theirs may vary with it.
    """
    import onnx

    known = {name: graph.declared[name] for name in names if _is_told(graph.declared.get(name))}
    missing = [name for name in names if name not in known]
    if missing:
        fixed = all(_is_fixed(graph.declared[name]) for name in graph.inputs)
        for name, array in _values(graph, missing, probe).items():
            kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
            sizes = list(array.shape) if fixed else [None] * array.ndim
            known[name] = onnx.helper.make_tensor_value_info(name, kind, sizes)
    return known


def _is_told(declared: Any) -> bool:
    """Whether type and number of axes are known; an axis of unknown size is one that may vary."""
    if declared is None or not declared.type.tensor_type.HasField("shape"):
        return False
    known: bool = declared.type.tensor_type.elem_type != 0
    return known


def _is_fixed(declared: Any) -> bool:
    """Whether no size may vary."""
    return _is_told(declared) and all(size.HasField("dim_value") for size in declared.type.tensor_type.shape.dim)


def _values(graph: Graph, names: Sequence[str], probe: Tensors) -> dict[str, Array]:
    """What these tensors are for an input."""
    import onnx

    from engines.onnxrt import onnxruntime

    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        values = session.run(list(names), dict(probe))
    except Exception as error:  # ONNX Runtime raises many types; this is the border
        raise WorkbenchError(f"{', '.join(names)}: cannot be looked at inside the network: {error}") from error
    return dict(zip(names, values, strict=True))


def split(bundle: Bundle, tensor: str, inputs: Sequence[Sequence[Tensors]], folder: Path) -> tuple[Made, float]:
    """The model with the stage that makes `tensor` in two, its new files in `folder`, and the largest difference.

    `inputs`: what each stage is given, for some samples (`inputs_of_stages`). Raises WorkbenchError when there is no
    such tensor, it cannot be cut there, or both parts together do not answer as the whole does (1e-4). A variant of the
    stage is one of the whole, and does not come along.
    """
    number, graph = _stage_of(bundle, tensor)
    stage, probes = bundle.manifest.stages[number], inputs[number]
    names = (f"{stage.name}-1", f"{stage.name}-2")
    new: list[Stage] = []
    for name, part in zip(names, halves(graph, tensor, probes[0]), strict=True):
        content = part.SerializeToString()
        (folder / f"{name}.onnx").write_bytes(content)
        new.append(Stage(name=name, file=f"{name}.onnx", digest=digest.of_bytes(content)))
    paths = [folder / each.file for each in new]
    batched = bundle.manifest.input.batch is None
    try:
        worst = _difference(bundle.stage_path(stage.name), paths, probes, batched=batched)
    except EngineError as error:
        raise WorkbenchError(f"{tensor}: cut here, a part does not run: {error}; cut it elsewhere") from error
    if worst > TOLERANCE:
        raise WorkbenchError(f"{tensor}: cut here, the model answers differently by {worst:.2g}: cut it elsewhere")
    stages = (*bundle.manifest.stages[:number], *new, *bundle.manifest.stages[number + 1 :])
    how = f"split at {tensor} from {bundle.manifest.name} {bundle.manifest.version}"
    return restaged(bundle, stages, {each.file: folder / each.file for each in new}, how), worst


def _stage_of(bundle: Bundle, tensor: str) -> tuple[int, Graph]:
    known: list[str] = []
    for number, stage in enumerate(bundle.manifest.stages):
        graph = Graph.load(bundle.stage_path(stage.name))
        if tensor in graph.maker:
            return number, graph
        known += graph.maker
    near = difflib.get_close_matches(tensor, known, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}? " if near else ""
    raise WorkbenchError(f"{bundle.manifest.name}: no tensor is called {tensor}: {hint}--suggest lists the places")


def _difference(whole: Path, parts: Sequence[Path], probes: Sequence[Tensors], *, batched: bool) -> float:
    """Between the whole and its parts, also for two samples at once where the model is `batched`."""
    worst = 0.0
    with contextlib.ExitStack() as stack:
        reference = stack.enter_context(OnnxEngine(whole))
        engines = [stack.enter_context(OnnxEngine(path)) for path in parts]
        for probe in probes:
            worst = max(worst, _apart(reference.run(probe), engines, probe))
        if batched and not any(spec.shape and spec.shape[0] is not None for spec in reference.inputs):
            two = {name: np.concatenate([array] * 2) if array.ndim else array for name, array in probes[0].items()}
            try:
                expected = reference.run(two)
            except EngineError:  # what the whole cannot do, its parts need not
                return worst
            worst = max(worst, _apart(expected, engines, two))
    return worst


def _apart(expected: Tensors, parts: Sequence[OnnxEngine], probe: Tensors) -> float:
    known = dict(probe)
    for engine in parts:
        known |= engine.run({spec.name: known[spec.name] for spec in engine.inputs})
    return largest_difference(expected, known)


# -- suggestions ------------------------------------------------------------------------------------------------------


def suggest(
    bundle: Bundle, inputs: Sequence[Sequence[Tensors]], link: Link, folder: Path, tell: Tell = silent
) -> list[Priced]:
    """Every cut with what it costs, measured here, part by part; first everything here, last everything there.

    Cuts that a back end cannot run in parts are left out.
    """
    stages = bundle.manifest.stages
    whole = [_whole_ms(bundle.stage_path(stage.name), inputs[number][0]) for number, stage in enumerate(stages)]
    there = sum(array.nbytes for array in inputs[0][0].values())
    priced = [Priced("", "", (), 0, sum(whole), 0, 0.0, 0.0)]
    for number, stage in enumerate(stages):
        graph = Graph.load(bundle.stage_path(stage.name))
        places = _thinned(cuts(graph))
        for done, cut in enumerate(places):
            tell(f"pricing cuts of {stage.name}", done, len(places))
            with contextlib.suppress(EngineError):
                parts = _part_times(graph, cut, inputs[number][0], folder)
                device, server = sum(whole[:number]) + parts[0], parts[1] + sum(whole[number + 1 :])
                priced.append(
                    Priced(
                        stage=stage.name,
                        tensor=cut.tensor,
                        crossing=cut.crossing,
                        nodes=cut.nodes,
                        device_ms=device,
                        link_bytes=parts[2],
                        link_ms=link.ms(parts[2]),
                        server_ms=server / link.server_speed,
                    )
                )
        tell(f"pricing cuts of {stage.name}", len(places), len(places))
    priced.append(Priced("", "", (), 0, 0.0, there, link.ms(there), sum(whole) / link.server_speed))
    return priced


def _thinned(places: list[Cut]) -> list[Cut]:
    """Evenly, where a network has so many that nobody wants to wait."""
    if len(places) <= MOST_PRICED:
        return places
    step = len(places) / MOST_PRICED
    return [places[int(number * step)] for number in range(MOST_PRICED)]


def _whole_ms(path: Path, probe: Tensors) -> float:
    with OnnxEngine(path) as engine:
        return median_ms(engine, probe)


def _part_times(graph: Graph, cut: Cut, probe: Tensors, folder: Path) -> tuple[float, float, int]:
    """Milliseconds of both parts, and bytes between them."""
    known = dict(probe)
    times: list[float] = []
    for number, part in enumerate(halves(graph, cut.tensor, probe)):
        path = folder / f"part-{number}.onnx"
        path.write_bytes(part.SerializeToString())
        with OnnxEngine(path) as engine:
            given = {spec.name: known[spec.name] for spec in engine.inputs}
            times.append(median_ms(engine, given, seconds=0.05))
            known |= {name: array.copy() for name, array in engine.run(given).items()}
        path.unlink()
    return times[0], times[1], sum(known[name].nbytes for name in cut.crossing)


def best(priced: Iterator[Priced] | Sequence[Priced]) -> Priced:
    """The soonest answer."""
    return min(priced, key=lambda each: each.total_ms)


# -- report -----------------------------------------------------------------------------------------------------------


def report(priced: Sequence[Priced], model: str, link: Link) -> Report:
    """What every cut costs, the best first in words."""
    winner = best(priced)
    facts: dict[str, Any] = {
        "model": model,
        "link": asdict(link),
        "best": _name(winner),
        "cuts": [asdict(each) | {"name": _name(each), "total_ms": each.total_ms} for each in priced],
    }
    rows = [
        [
            f"**{_name(each)}**" if each is winner else _name(each),
            f"{each.device_ms:.2f}",
            f"{each.link_bytes / 1e3:.1f}",
            f"{each.link_ms:.2f}",
            f"{each.server_ms:.2f}",
            f"{each.total_ms:.2f}",
        ]
        for each in priced
    ]
    text = (
        f"Soonest: **{_name(winner)}**, {winner.total_ms:.2f} ms, over {link.mbit_per_s:g} Mbit/s with "
        f"{link.round_trip_ms:g} ms there and back, to a server {link.server_speed:g} times as fast "
        "as this machine.\n\n"
        "![what every cut costs](split.svg)\n\n"
        + table(["cut at", "device ms", "kB", "link ms", "server ms", "total ms"], rows)
        + "\nTimes are medians of runs of each part on this machine; the server's are divided by its speed. "
        "What crosses is counted as plain tensors.\n"
    )
    bars = [
        (_name(each), {"device": each.device_ms, "link": each.link_ms, "server": each.server_ms}) for each in priced
    ]
    return Report("split", f"{model}: where to split", facts, text, {"split.svg": stacked_bars(model, bars, "ms")})


def lost_variants(bundle: Bundle, made: Made) -> list[str]:
    """Variants of the stage that was cut, such as `int8-onnxruntime`: they are of the whole stage."""
    stages = [stage for stage in bundle.manifest.stages if stage not in made.manifest.stages]
    return [f"{each.precision}-{each.engine}" for stage in stages for each in stage.variants]


def report_of_cut(
    bundle: Bundle, tensor: str, made: Made, worst: float, inputs: Sequence[Sequence[Tensors]], folder: Path
) -> Report:
    """What `split` made: the two stages, what each takes here, what crosses, and how near they come to the whole."""
    number, graph = _stage_of(bundle, tensor)
    cut = _cut(graph, tensor)
    assert isinstance(cut, Cut), "it has been cut here"
    stage, probe, lost = bundle.manifest.stages[number], inputs[number][0], lost_variants(bundle, made)
    *times, crossing_bytes = _part_times(graph, cut, probe, folder)
    whole_ms = _whole_ms(bundle.stage_path(stage.name), probe)
    parts = made.manifest.stages[number : number + 2]
    stages: list[dict[str, Any]] = [
        {"name": part.name, "bytes": made.files[part.file].stat().st_size, "ms": ms}
        for part, ms in zip(parts, times, strict=True)
    ]
    model = f"{bundle.manifest.name} {bundle.manifest.version}"
    facts: dict[str, Any] = {
        "model": model,
        "stage": stage.name,
        "tensor": tensor,
        "crossing": cut.crossing,
        "crossing_bytes": crossing_bytes,
        "whole_ms": whole_ms,
        "stages": stages,
        "largest_difference": worst,
        "lost_variants": lost,
    }
    rows = [[each["name"], f"{each['bytes'] / 1e3:.0f}", f"{each['ms']:.2f}"] for each in stages]
    text = (
        f"{stage.name}, one run of which takes {whole_ms:.2f} ms here, is cut at **{tensor}**. What crosses: "
        f"{', '.join(cut.crossing)}, {crossing_bytes / 1e3:.1f} kB. Largest difference to the whole: {worst:.1g}.\n\n"
        + (f"{stage.name} has lost its variants, which `quantize` makes anew: {', '.join(lost)}.\n\n" if lost else "")
        + table(["stage", "kB", "ms"], rows)
        + "\n![how fast](split.svg)\n"
    )
    bars = [("whole", {"run": whole_ms}), *((each["name"], {"run": each["ms"]}) for each in stages)]
    return Report("split", f"{model}: split", facts, text, {"split.svg": stacked_bars(model, bars, "ms")})


def _name(priced: Priced) -> str:
    if not priced.tensor:
        return "all on the server" if priced.link_bytes else "all on the device"
    return priced.tensor
