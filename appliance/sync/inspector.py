"""The child process in which a bundle of strangers is opened first: `python -m appliance.sync.inspector look|try`.

It gets the folder on the command line, limits itself before it loads anything, and says one line of JSON. Whatever
the bundle does to it, only this process ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engines.bundle import Bundle
    from engines.model import Model

_PR_SET_PDEATHSIG = 1
"""prctl(2)."""

MEMORY_BYTES = 4 << 30
"""Address space, beside four times the bundle: libraries reserve much that they never use."""
CPU_S = 45
ANSWER_S = 30
"""For one answer: longer, and the system ends the process."""
FILES = 256
REPEATS, REPEATS_S = 200, 8.0
"""So often it answers, or for so long."""
LEAK_BYTES = 64 << 20
"""More memory than this between a quarter of the answers and the last."""
DISTANCE = 0.02
"""Root mean square of the difference to the golden outputs, as a share of theirs."""

DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
ENDLESS = frozenset({"Loop", "Scan"})
"""Operators that may go on for ever; a model that needs them says so: about.operators = "Loop"."""


class Unfit(Exception):
    """The bundle is not to be used; the message says why."""


def look(folder: Path) -> dict[str, Any]:
    """Check the files and read the networks without running them."""
    import onnx

    from engines.bundle import Bundle
    from engines.external import external_files

    bundle = Bundle.open(folder)
    allowed = set(bundle.manifest.about.get("operators", "").replace(",", " ").split())
    for stage in bundle.manifest.stages:
        path = bundle.files[stage.file]
        for name in external_files(path):
            if name not in bundle.manifest.files:
                raise Unfit(f"{stage.file}: its weights are in {name}, which the manifest does not name")
        network = onnx.load_model(str(path), load_external_data=False)
        for node in _nodes(network.graph):
            if node.domain not in DOMAINS:
                raise Unfit(f"{stage.file}: the operator {node.op_type} is of {node.domain}, which is not known here")
            if node.op_type in ENDLESS - allowed:
                raise Unfit(
                    f"{stage.file}: the operator {node.op_type} may never end; a model that needs it says so in its "
                    "manifest (about.operators)"
                )
    return {"digest": bundle.manifest.digest}


def _nodes(graph: Any) -> Iterator[Any]:
    """Of the graph and of every graph in it."""
    waiting = [graph]
    while waiting:
        for node in waiting.pop().node:
            yield node
            for attribute in node.attribute:
                waiting += [attribute.g, *attribute.graphs] if attribute.HasField("g") else attribute.graphs


def attempt(folder: Path) -> dict[str, Any]:
    """Let it answer: its golden inputs, then the same again and again."""
    from engines.bundle import Bundle
    from engines.engine import EngineError
    from engines.model import Model

    bundle = Bundle.open(folder)
    with Model(bundle, engine="onnxruntime", threads=1) as model:
        with _in_time():
            model.warm_up()
        with _in_time():
            distance = _golden(bundle, model)
        took_ms: list[float] = []
        memory: list[int] = []
        began_s = time.monotonic()
        while len(took_ms) < REPEATS and time.monotonic() - began_s < REPEATS_S:
            started_s = time.perf_counter()
            try:
                with _in_time():
                    model.warm_up()
            except EngineError as error:
                raise Unfit(f"answer {len(took_ms) + 2} failed: {error}") from error
            took_ms.append((time.perf_counter() - started_s) * 1000)
            memory.append(_resident_bytes())
    grown = memory[-1] - memory[len(memory) // 4]
    if grown > LEAK_BYTES:
        raise Unfit(f"it keeps memory: {grown / 1e6:.0f} MB more after {len(memory)} answers")
    took_ms.sort()
    return {"p95_ms": took_ms[int(len(took_ms) * 0.95)], "distance": distance, "answers": len(took_ms)}


@contextlib.contextmanager
def _in_time() -> Iterator[None]:
    """SIGALRM ends the process, also within a library that does not return."""
    signal.alarm(ANSWER_S)
    yield
    signal.alarm(0)


def _golden(bundle: Bundle, model: Model) -> float | None:
    """How far its outputs are from the golden ones; None where it brings none."""
    import numpy as np

    if not {"golden/input.npz", "golden/output.npz"} <= bundle.files.keys():
        return None
    from engines.stored_arrays import stored_arrays

    given = stored_arrays(bundle.files["golden/input.npz"])
    wanted = stored_arrays(bundle.files["golden/output.npz"])
    found = model.run_stages(given)
    worst = 0.0
    for name, array in found.items():
        if not np.isfinite(array.astype(np.float64)).all():
            raise Unfit(f"{name}: has numbers that are none (NaN or infinite) for the golden input")
        if name not in wanted:
            continue
        if array.shape != wanted[name].shape:
            raise Unfit(f"{name}: has the shape {array.shape} for the golden input, {wanted[name].shape} was expected")
        have, want = array.astype(np.float64), wanted[name].astype(np.float64)
        size = float(np.sqrt(np.mean(want**2))) or 1.0
        worst = max(worst, float(np.sqrt(np.mean((have - want) ** 2))) / size)
    if not found.keys() & wanted.keys():
        raise Unfit(f"its golden outputs name none of {', '.join(found)}")
    if worst > DISTANCE:
        raise Unfit(f"its outputs are {worst:.0%} off the golden ones")
    return worst


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def limit(folder: Path) -> None:
    """Hold this process to what a bundle of this size may need."""
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    for what, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES + 4 * size),
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_NOFILE, FILES),
        (resource.RLIMIT_FSIZE, 1 << 20),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (least, least))
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # nobody tries a model for an appliance that is gone
    with contextlib.suppress(PermissionError):  # a hardened service may not; then it is no nicer than we are
        os.nice(10)


def main(words: list[str]) -> None:
    what, folder = words[0], Path(words[1])
    limit(folder)
    from engines.engine import EngineError

    try:
        said = {"look": look, "try": attempt}[what](folder)
    except (Unfit, EngineError) as error:
        said = {"unfit": str(error)}
    except MemoryError:
        said = {"unfit": "it needs more memory than a model may have"}
    except Exception as error:  # the border to onnx and NumPy, which raise many types at strange files
        said = {"unfit": f"{type(error).__name__}: {error}"}
    print(json.dumps(said), flush=True)
    os._exit(0)  # what a library does at its end is no part of the question


if __name__ == "__main__":
    main(sys.argv[1:])
