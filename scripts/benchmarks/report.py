"""What a run came to: a table for the terminal, JSON for programs, Markdown for people."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from scripts.benchmarks.goals import GOALS, Figure

SCHEMA = 1
PACKAGES = ("edge-inference-appliance", "onnxruntime", "opencv-python", "numpy", "paho-mqtt", "pydantic")


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured, as far as it matters to the figures."""

    processor: str
    cores: int
    system: str
    python: str
    packages: dict[str, str]
    load_before: float
    """Running tasks, mean of a minute, before the run: above the number of cores every wall time is doubtful."""


def machine(peer: dict[str, str]) -> Machine:
    """`peer`: versions of what is compared with."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        packages=versions | peer,
        load_before=round(os.getloadavg()[0], 2),
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
        if line.lower().startswith(("model name", "hardware", "cpu model")):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


@dataclass(frozen=True, slots=True)
class Report:
    """One run."""

    day: date
    extent: str
    seconds: float
    machine: Machine
    figures: Sequence[Figure]

    def as_json(self) -> str:
        figures = [asdict(figure) | {"verdict": figure.verdict} for figure in self.figures]
        document = {
            "schema": SCHEMA,
            "date": self.day.isoformat(),
            "extent": self.extent,
            "seconds": round(self.seconds, 1),
            "machine": asdict(self.machine),
            "figures": figures,
        }
        return json.dumps(document, indent=1) + "\n"

    def as_text(self) -> str:
        """Aligned columns, goal by goal."""
        lines = []
        for goal, words in GOALS.items():
            figures = [figure for figure in self.figures if figure.goal == goal]
            if figures:
                lines += ["", f"{goal}  {words}"]
                lines += [_line(figure) for figure in figures]
        return "\n".join(lines) + "\n"

    def as_markdown(self) -> str:
        each = self.machine
        versions = ", ".join(f"{name} {version}" for name, version in each.packages.items())
        met, judged = self.counts
        lines = [
            f"# Measured on {self.day.isoformat()}",
            "",
            f"By `scripts/bench` ({self.extent}, {self.seconds / 60:.1f} minutes) on {each.cores} cores of "
            f"{each.processor}, {each.system}, Python {each.python}; {versions}. "
            f"Load before the run: {each.load_before}. {met} of {judged} goals met.",
            "",
            "Alternatives take turns in one run; a figure is the median of rounds. Ratios hold beyond this machine, "
            "milliseconds do not. Detectors have random weights and cost what the smallest YOLO costs; every engine "
            "has the same number of threads.",
        ]
        for goal, words in GOALS.items():
            figures = [figure for figure in self.figures if figure.goal == goal]
            if figures:
                lines += ["", f"## {goal}: {words}", "", "| figure | measured | goal | |", "| --- | --- | --- | --- |"]
                lines += [_row(figure) for figure in figures]
        return "\n".join(lines) + "\n"

    @property
    def counts(self) -> tuple[int, int]:
        """Goals met, and goals that were measured."""
        verdicts = [figure.verdict for figure in self.figures]
        return verdicts.count("met"), verdicts.count("met") + verdicts.count("not met")


def _line(figure: Figure) -> str:
    end = figure.why if figure.value is None else _words(figure)
    return f"  {figure.what:<72} {figure.shown:>16}  {figure.bound:<10} {figure.verdict:<13}{end}".rstrip()


def _row(figure: Figure) -> str:
    verdict = f"{figure.verdict}: {figure.why}" if figure.value is None else figure.verdict.replace("-", "")
    details = _words(figure)
    what = f"{figure.what}<br><small>{details}</small>" if details else figure.what
    return f"| {what} | {figure.shown} | {figure.bound.replace('<=', '≤').replace('>=', '≥')} | {verdict} |"


def _words(figure: Figure) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in figure.details.items())
