"""`scripts/bench`: measures the appliance, prints figures beside their goals, writes them down."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType

from scripts.benchmarks import peer
from scripts.benchmarks.bench import Bench
from scripts.benchmarks.extent import EXTENTS, FULL
from scripts.benchmarks.goals import GOALS, Figure, missing
from scripts.benchmarks.material import Material, Unavailable
from scripts.benchmarks.report import Report, machine

REPOSITORY = Path(__file__).resolve().parents[2]
PARTS = ("picture", "latency", "sources", "idle", "options", "startup", "storage", "sound", "page", "recorder", "fetch")


def main() -> None:
    asked = _arguments()
    only = _goals(asked.only)
    started_s = time.monotonic()
    now = datetime.now(timezone.utc)
    python = None if asked.no_peer else peer.find(REPOSITORY)
    with tempfile.TemporaryDirectory(prefix="appliance-bench-") as scratch:
        folder = Path(scratch)
        bench = Bench(
            extent=EXTENTS[asked.extent],
            material=Material(asked.cache, EXTENTS[asked.extent].film_s),
            scratch=folder,
            peer=peer.Peer(python, folder / "peer.log") if python is not None else None,
        )
        where = machine(peer.versions(python))
        path: Path = asked.json or REPOSITORY / "bench-results" / f"{now:%Y-%m-%dT%H%M%SZ}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        report = Report(now.date(), asked.extent, 0.0, where, ())
        for part in parts(only):
            found = [figure for figure in measured(bench, part) if only is None or figure.goal in only]
            report = replace(report, seconds=time.monotonic() - started_s, figures=(*report.figures, *found))
            # After every part: a run that is interrupted leaves what it had.
            path.write_text(report.as_json(), encoding="utf-8")
            if asked.report is not None:
                asked.report.write_text(report.as_markdown(), encoding="utf-8")
    sys.stdout.write(report.as_text())
    met, judged = report.counts
    sys.stderr.write(f"{met} of {judged} goals met, {report.seconds / 60:.1f} minutes; written to {path}\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--quick", dest="extent", action="store_const", const="quick", default=FULL.name)
    parser.add_argument("--extent", choices=EXTENTS, help="full (default), quick, or tiny: only to see that it works")
    parser.add_argument("--only", metavar="C1,C5", help=f"only these goals: {', '.join(GOALS)}")
    parser.add_argument("--no-peer", action="store_true", help="leave Ultralytics and librosa out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go; default: bench-results/")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write them as Markdown too")
    parser.add_argument("--cache", type=Path, default=REPOSITORY / ".cache" / "bench", help=argparse.SUPPRESS)
    return parser.parse_args()


def _goals(words: str | None) -> set[str] | None:
    if words is None:
        return None
    asked = set(words.upper().split(","))
    if unknown := asked - set(GOALS):
        sys.exit(f"--only {words}: no goal is called {', '.join(sorted(unknown))}; there are {', '.join(GOALS)}")
    return asked


def parts(only: set[str] | None = None) -> Iterator[ModuleType]:
    """The modules that measure these goals."""
    for name in PARTS:
        module = importlib.import_module(f"scripts.benchmarks.{name}")
        if only is None or only & set(module.GOALS):
            yield module


def measured(bench: Bench, part: ModuleType) -> Sequence[Figure]:
    """The part's figures, or why there are none."""
    bench.say(f"{', '.join(part.GOALS)}: {part.__name__.rpartition('.')[2]}")
    try:
        figures: Sequence[Figure] = part.measure(bench)
    except Unavailable as error:
        return [missing(goal, "everything", str(error)) for goal in part.GOALS]
    return figures


if __name__ == "__main__":
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    main()
