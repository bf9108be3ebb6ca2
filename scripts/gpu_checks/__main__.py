"""Everything that only a machine with a GPU can tell; see scripts/gpu_check."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from engines.engine import EngineUnavailable
from engines.gpu import Gpu, probe
from engines.tensorrt.engine import pycuda
from scripts.gpu_checks.machine import facts
from scripts.gpu_checks.table import Absent, Table


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/gpu_check", description=__doc__)
    parser.add_argument("--soak", type=int, default=100_000, metavar="N", help="runs of the soak (100000)")
    parser.add_argument("--seconds", type=float, default=600, metavar="S", help="length of the tail's look (600)")
    parser.add_argument("--times", type=int, default=200, metavar="N", help="repetitions of what is timed (200)")
    parser.add_argument("--quick", action="store_true", help="2000 runs and 10 seconds")
    parser.add_argument("--no-goals", action="store_true", help="a goal that is missed is no failure")
    parser.add_argument("--report", type=Path, default=Path("gpu-results"), metavar="DIR", help="where the report goes")
    parser.add_argument("--plans", type=Path, metavar="DIR", help="keep plans and kernels there")
    given = parser.parse_args()
    if given.quick:
        given.soak, given.seconds = 2000, 10
    return given


def main() -> int:
    given = _arguments()
    table = Table(strict=not given.no_goals)
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as scratch:
        _look(table, given, given.plans or Path(scratch))
    table.facts |= facts()
    report = table.write(given.report)
    counts = {state: sum(row.state == state for row in table.rows) for state in ("ok", "figure", "FAILED", "absent")}
    print(", ".join(f"{count} {state}" for state, count in counts.items()), f"-> {report}")
    return 1 if table.failed else 0


def _look(table: Table, given: argparse.Namespace, folder: Path) -> None:
    found: list[Gpu] = []

    def gpu() -> str:
        try:
            found.append(probe())
        except EngineUnavailable as error:
            raise Absent(str(error)) from error
        table.facts |= {"GPU": found[0].name, "driver": f"CUDA {found[0].driver_version / 1000:g}"}
        return str(found[0])

    def has_pycuda() -> str:
        try:
            pycuda()
        except EngineUnavailable as error:
            raise Absent(str(error)) from error
        import pycuda.driver as driver

        return f"of CUDA {'.'.join(map(str, driver.get_version()))}"

    table.check("a GPU answers", gpu)
    if not found:
        return
    table.check("PyCUDA loads", has_pycuda)
    if table.rows[-1].state != "ok":
        return
    from scripts.gpu_checks import cuda_checks, kernel_checks

    cuda_checks.run(table, given.soak)
    kernel_checks.run(table, found[0], folder)
    from scripts.gpu_checks import engine_checks

    engine_checks.run(table, folder, engine_checks.Extent(given.soak, given.seconds, given.times))


if __name__ == "__main__":
    sys.exit(main())
