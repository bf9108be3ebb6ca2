"""The process that builds one plan, tries it, and puts it into the cache. Started by `builder.Builder`.

The first line of standard input is the job, as JSON; when standard input ends, nobody wants the plan any more. News go,
a JSON object a line, to the descriptor that is the first argument: `{"fraction", "phase"}` while it works, then
`{"built": description}` or `{"failed": reason}`. It may be killed at any moment: the cache then holds what it held.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import select
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from engines.engine import Array, EngineError, EngineLost, EngineUnavailable
from engines.onnxrt import OnnxEngine
from engines.tensorrt import bindings, kernels
from engines.tensorrt.admission import Verdict, compare
from engines.tensorrt.golden import golden_inputs
from engines.tensorrt.job import BuildCancelled, Job
from engines.tensorrt.plan_cache import Description, Plan, PlanCache
from engines.tensorrt.precision import candidates, write_fp16
from engines.tensorrt.recipe import Recipe
from engines.tensorrt.selection import SUFFIX, is_faithful, with_selection

if TYPE_CHECKING:
    from engines.tensorrt.progress import Report
    from engines.tensorrt.session import Session

_PR_SET_PDEATHSIG = 1
_NICE = 10
_TELL_EVERY_S = 0.1


class _News:
    """Lines to whoever waits."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._told_s = 0.0

    def tell(self, **document: object) -> None:
        os.write(self._descriptor, json.dumps(document).encode() + b"\n")

    def fraction(self, fraction: float, phase: str) -> bool:
        """False when nobody waits any more."""
        now_s = time.monotonic()
        if now_s - self._told_s >= _TELL_EVERY_S:
            self._told_s = now_s
            self.tell(fraction=round(fraction, 4), phase=phase)
        readable, _, _ = select.select([0], [], [], 0)
        return not (readable and os.read(0, 1) == b"")


def main() -> None:
    _end_with_parent()
    news = _News(int(sys.argv[1]))
    logging.basicConfig(level=logging.WARNING, format="builder: %(message)s")
    job = Job.read(sys.stdin.buffer.readline())
    try:
        news.tell(built=asdict(_build(job, news)))
    except (EngineError, EngineLost, OSError) as error:
        news.tell(failed=str(error))


def _end_with_parent() -> None:
    """Nobody may be left building for an appliance that is gone; and cameras go before plans."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for our parent, who then ends our input
    with contextlib.suppress(PermissionError):  # a hardened service may not; then it is no nicer than we are
        os.nice(_NICE)


def _build(job: Job, news: _News) -> Description:
    """Build the first precision that may serve. Raises EngineError with what became of every one of them."""
    news.tell(fraction=0.0, phase="waiting for another build")
    cache = PlanCache(job.recipe.options.folder)
    bindings.load()
    with cache.building():
        if cache.has(job.key):  # another process was quicker
            return cache.load(job.key).description
        refused: list[str] = []
        wanted = candidates(job.recipe, job.target.compute_capability)
        for number, precision in enumerate(wanted):

            def report(fraction: float, phase: str, number: int = number, precision: str = precision) -> bool:
                return news.fraction((number + 0.95 * fraction) / len(wanted), f"{precision}: {phase}")

            try:
                return _build_one(job, cache, precision, report, refused)
            except BuildCancelled:
                raise
            except EngineError as error:
                refused.append(f"{precision}: {error}")
    raise EngineError("; ".join(refused))


def _build_one(job: Job, cache: PlanCache, precision: str, report: Report, refused: list[str]) -> Description:
    from engines.tensorrt.build import build

    begun_s = time.monotonic()
    recipe = job.recipe
    with cache.scratch() as scratch:
        network = recipe.network
        if precision == "int8":
            assert recipe.int8 is not None, "candidates has looked"
            network = recipe.int8
        elif precision == "fp16":
            network = write_fp16(recipe.network, scratch)
        network = with_selection(network, recipe.manifest, scratch) or network
        product = build(network, recipe.options, job.target, recipe.sizes, cache.timings(job.target), report)
    if product.timings:
        cache.keep_timings(job.target, product.timings)
    report(1.0, "trying it")
    _compile_kernel(job)
    verdict = _tried(product.plan, recipe, precision)
    if not verdict.admitted:
        raise EngineError(f"built and refused: {verdict.words}")
    description = Description(
        precision,
        "; ".join([verdict.words, *product.notes, *refused]),
        round(time.monotonic() - begun_s, 1),
        job.target.tensorrt,
        job.target.gpu,
    )
    cache.store(job.key, Plan(product.plan, description))
    return description


def _compile_kernel(job: Job) -> None:
    """What prepares pictures for the plan; where it cannot be compiled, the processor does that."""
    try:
        kernels.compile_for(job.target.compute_capability, job.recipe.options.folder)
    except EngineUnavailable as error:
        logging.getLogger(__name__).info("%s", error)


def _tried(content: bytes, recipe: Recipe, precision: str) -> Verdict:
    """Run the plan and ONNX Runtime on the golden inputs. Raises EngineError where there is no GPU to run it on."""
    from engines.gpu import probe

    probe()
    from engines.tensorrt.cuda import Cuda
    from engines.tensorrt.session import Session

    with OnnxEngine(recipe.network) as reference:
        outputs = reference.outputs
        samples = golden_inputs(recipe, reference.inputs)
        expected = [{name: np.array(value) for name, value in reference.run(each).items()} for each in samples]
    with Cuda() as cuda:
        options = recipe.options
        session = Session(content, cuda, graph=options.graph, reads="both", dla_core=options.dla_core)
        found = [_run(session, each) for each in samples]
        session.close()
    for each in found:
        for name, chosen in each.items():
            if name.endswith(SUFFIX) and not is_faithful(each[name.removesuffix(SUFFIX)], chosen):
                return Verdict(False, f"what it chose from {name.removesuffix(SUFFIX)} are not the best boxes")
    return compare(recipe.manifest, outputs, expected, found, precision)


def _run(session: Session, sample: Mapping[str, Array]) -> dict[str, Array]:
    """Copies of the outputs for one sample; run twice, so that the recorded form is the one that is tried."""
    rows = 1
    for spec in session.inputs:
        value, host = sample[spec.name], session.host(spec.name)
        if spec.shape and spec.shape[0] is None:
            rows = len(value)
        np.copyto(host[: len(value)] if value.ndim else host, value)
    session.run(rows)
    return {name: np.array(value) for name, value in session.run(rows).items()}


if __name__ == "__main__":
    main()
