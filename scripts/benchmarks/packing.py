"""What packing costs and saves for the tensors between the stages of a model: prints one JSON line for each.

python -m scripts.benchmarks.packing MODEL --from MATERIAL [--cut TENSOR] [--most 50]

MODEL as for `appliance predict`; with --cut its last stage is cut there first, as `appliance models split` would. For
every tensor that a stage is given, in each packing: bytes before and after deflating, the time of packing and unpacking
together, and what becomes of the answers: the largest difference of any output of the model, and the share of samples
whose labels stay the same. The packings are those of appliance/questions/packing.py.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from appliance.catalogue import Catalogue
from appliance.material import material
from appliance.questions.packing import Packing, packed, unpack_all
from appliance.questions.tensors import Limits, describe_all, raw_of_each
from engines.bundle import Bundle
from engines.engine import Array, Engine, EngineError, Tensors
from engines.model import Model
from engines.onnxrt import OnnxEngine
from engines.workbench.split import split
from engines.workbench.tensors import inputs_of_stages, largest_difference

LIMITS = Limits(body_bytes=64 << 20, unpacked_bytes=256 << 20)
PACKINGS: tuple[Packing, ...] = ("exact", "half", "byte")


def through(name: str, array: Array, packing: Packing) -> tuple[Array, int, float]:
    """As it arrives, the bytes that travel, and the milliseconds of both sides."""
    began_s = time.perf_counter()
    entry, raw = packed(name, array, packing)
    tensors = unpack_all(raw_of_each(describe_all([entry], LIMITS), memoryview(raw)), LIMITS)
    return tensors[name], len(raw), 1e3 * (time.perf_counter() - began_s)


class Lossy:
    """An engine whose inputs have travelled."""

    def __init__(self, engine: Engine, packing: Packing) -> None:
        self._engine, self._packing = engine, packing
        self.name = engine.name
        self.inputs, self.outputs = engine.inputs, engine.outputs

    def run(self, inputs: Tensors) -> dict[str, Array]:
        return self._engine.run({name: through(name, each, self._packing)[0] for name, each in inputs.items()})

    def cancel(self) -> None:
        self._engine.cancel()

    def __enter__(self) -> Lossy:
        self._engine.__enter__()
        self.inputs, self.outputs = self._engine.inputs, self._engine.outputs
        return self

    def __exit__(self, *error: object) -> None:
        self._engine.__exit__(None, None, None)


def answers(bundle: Bundle, samples: Sequence[Array], stage: int, packing: Packing) -> list[tuple[str, ...]]:
    """The labels of every sample, one stream, when what stage `stage` is given has travelled."""
    count = 0

    def open_engine(path: Path) -> Engine:
        nonlocal count
        engine: Engine = OnnxEngine(path)
        count += 1
        return Lossy(engine, packing) if count - 1 == stage else engine

    with Model(bundle, open_engine=open_engine) as model:
        stream = model.new_stream()
        found = [model.predict([each], streams=[stream])[0] for each in samples]
    return [("failed",) if isinstance(e, EngineError) else tuple(p.label for p in e.predictions) for e in found]


def difference(bundle: Bundle, given: Sequence[Tensors], stage: int, packing: Packing) -> float:
    """The largest, of any output of the last stage."""
    names = [each.name for each in bundle.manifest.stages][stage:]
    worst = 0.0
    with contextlib.ExitStack() as stack:
        engines = [stack.enter_context(OnnxEngine(bundle.stage_path(name))) for name in names]
        for inputs in given:
            arrived = {name: through(name, array, packing)[0] for name, array in inputs.items()}
            worst = max(worst, largest_difference(_run(engines, inputs), _run(engines, arrived)))
    return worst


def _run(engines: Sequence[Engine], inputs: Tensors) -> dict[str, Array]:
    known = dict(inputs)
    for engine in engines:
        outputs = engine.run({spec.name: known[spec.name] for spec in engine.inputs})
        known |= outputs
    return outputs


def lines(bundle: Bundle, samples: Sequence[Array]) -> Iterator[dict[str, object]]:
    inputs = inputs_of_stages(bundle, samples)
    for stage, given in list(enumerate(inputs))[1:]:
        expected = answers(bundle, samples, stage, "exact")
        for packing in PACKINGS:
            found = answers(bundle, samples, stage, packing)
            for name in given[0]:
                travelled = [through(name, each[name], packing) for each in given]
                width = {"exact": 4, "half": 2, "byte": 1}[packing]
                yield {
                    "model": bundle.manifest.name,
                    "stage": bundle.manifest.stages[stage].name,
                    "tensor": name,
                    "shape": list(given[0][name].shape),
                    "packing": packing,
                    "bytes": given[0][name].size * width,
                    "deflated": round(float(np.mean([size for _, size, _ in travelled]))),
                    "ms": round(float(np.median([ms for _, _, ms in travelled])), 2),
                    "largest_difference": float(f"{difference(bundle, given, stage, packing):.2g}"),
                    "same_labels": round(float(np.mean([a == b for a, b in zip(expected, found, strict=True)])), 4),
                }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--from", dest="given", required=True)
    parser.add_argument("--cut")
    parser.add_argument("--most", type=int, default=50)
    asked = parser.parse_args()
    bundle = Catalogue.default().find(asked.model)
    samples = list(material(asked.given, bundle.manifest, most=asked.most))
    with tempfile.TemporaryDirectory(prefix="packing-") as folder:
        if asked.cut:
            made, _ = split(bundle, asked.cut, inputs_of_stages(bundle, samples[:2]), Path(folder))
            bundle = Bundle(made.manifest, Path(folder), made.files)
        for line in lines(bundle, samples):
            print(json.dumps(line))


if __name__ == "__main__":
    main()
