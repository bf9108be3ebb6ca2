"""Provoke every refusal of the GPU and print what came of each: what is said, who answers, how the process ends.

No GPU is used, nor harmed where there is one: everything runs on a CUDA driver that works on host memory
(tests/engines/tensorrt/fake_gpu), with the real PyCUDA where it is installed and a stand-in for TensorRT that computes
with ONNX Runtime.

    scripts/gpu_check --refusals              all of it, about two minutes
    scripts/gpu_check --refusals --every 9    of what is alike (errors of a function, damages of a plan) every ninth
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from scripts.refusals import ground, table
from scripts.refusals.case import Case, Outcome

PROBLEM = 1
MANY = ("plan cut off", "plan changed")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/gpu_check --refusals", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--every", type=int, default=1, metavar="N", help="of what is alike, every Nth")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every single outcome")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="the table, for a document")
    return parser.parse_args()


def main() -> int:
    given = _arguments()
    with tempfile.TemporaryDirectory(prefix="refusals-") as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        ground.under_the_fake_driver(folder)  # comes back in a process that has it
        stand = ground.prepare(folder)
        outcomes = list(_outcomes(stand, given.every))
    rows = table.folded(outcomes)
    print(table.text(rows))
    if given.json:
        given.json.write_text(json.dumps([table.plain(each) for each in outcomes], indent=1) + "\n", encoding="utf-8")
    if given.markdown:
        given.markdown.write_text(table.markdown(rows), encoding="utf-8")
    bad = [each for each in outcomes if table.faults(each)]
    for each in bad:
        print(f"FAULT {each.case.group}, {each.case.name} {each.case.code or ''}: {'; '.join(table.faults(each))}")
    left_out = "" if stand.pycuda else "; what needs PyCUDA was left out: it is not installed"
    print(f"{len(outcomes)} cases in {len(rows)} rows, {len(bad)} with a fault{left_out}")
    return PROBLEM if bad else 0


def _outcomes(stand: ground.Ground, every: int) -> Iterator[Outcome]:
    from scripts.refusals.run import outcome

    alike: Counter[str] = Counter()
    for case in _cases():
        kind = case.name if case.code else case.group
        alike[kind] += 1
        thinned = case.code or case.group in MANY
        if (stand.pycuda or not case.needs_pycuda) and (not thinned or alike[kind] % every == 1 % every):
            yield outcome(case, stand)


def _cases() -> Iterator[Case]:
    from scripts.refusals import driver_cases, package_cases, plan_cases

    yield from driver_cases.cases()
    yield from package_cases.cases()
    yield from plan_cases.cases()


if __name__ == "__main__":
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    sys.exit(main())
