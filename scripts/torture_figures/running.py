"""Runs the tests and programs of a figure and gathers what they tell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

from scripts.torture_figures.figure import Figure, Program, Ran, Told
from tests.chaos.telling import TOLD

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAM_WITHIN_S = 1800.0
NOTHING_TO_RUN = 5
"""pytest's exit code when every test was deselected."""


def run(figure: Figure, *, short: bool) -> Ran:
    """One after the other; a deadline that a busy machine misses is not tried again: what counts is this run."""
    began_s = time.monotonic()
    told: list[Told] = []
    passed = 0
    failed: list[str] = []
    skipped: list[str] = []
    if figure.tests:
        with tempfile.TemporaryDirectory(prefix="torture-") as scratch:
            lines, xml = Path(scratch) / "told", Path(scratch) / "junit.xml"
            said = _pytest(figure, lines, xml, short=short)
            told += [line for line in read(lines) if line["goal"].split()[0] == figure.name]
            passed, failed, skipped = verdicts(xml) if xml.exists() else (0, [f"pytest: {said}"], [])
    for program in figure.programs:
        line, trouble = _program(program, short=short)
        passed += trouble == ""
        told += [line] if line else []
        failed += [trouble] if trouble else []
    return Ran(
        told=tuple(told),
        passed=passed,
        failed=tuple(failed),
        skipped=tuple(dict.fromkeys(skipped)),
        seconds=time.monotonic() - began_s,
        load=os.getloadavg()[0],
    )


def _pytest(figure: Figure, lines: Path, xml: Path, *, short: bool) -> str:
    """What it said last."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={xml}", *figure.tests]
    done = subprocess.run(
        words + ([] if short else ["--long"]),
        cwd=REPOSITORY,
        env={**os.environ, TOLD: str(lines), "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode not in (0, NOTHING_TO_RUN):
        sys.stderr.write(done.stdout[-6000:])
    return done.stdout.strip().rpartition("\n")[2]


def read(lines: Path) -> list[Told]:
    """What tests have written; empty where none did."""
    if not lines.exists():
        return []
    return [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]


def verdicts(xml: Path) -> tuple[int, list[str], list[str]]:
    """Of pytest's report: how many passed, what failed, why others were skipped."""
    passed = 0
    failed: list[str] = []
    skipped: list[str] = []
    for case in ElementTree.parse(xml).getroot().iter("testcase"):  # noqa: S314
        trouble = case.find("failure")
        trouble = case.find("error") if trouble is None else trouble
        passed_over = case.find("skipped")
        if trouble is not None:
            failed.append(f"{case.get('name')}: {(trouble.get('message') or '').splitlines()[0][:200]}")
        elif passed_over is not None:
            skipped.append(passed_over.get("message") or "without a reason")
        else:
            passed += 1
    return passed, failed, skipped


def _program(program: Program, *, short: bool) -> tuple[Told, str]:
    """The line it printed, and what went wrong."""
    words = [sys.executable, "-m", *(program.short if short else program.long)]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=PROGRAM_WITHIN_S)
    if done.returncode != 0:
        return {}, f"{' '.join(words[1:])}: {done.stderr.strip()[-300:]}"
    return {"goal": program.goal, **_flat(json.loads(done.stdout.splitlines()[-1]))}, ""


def _flat(document: Told, before: str = "") -> dict[str, object]:
    """`{"added": {"p95": 1}}` as `{"added.p95": 1}`."""
    flat: dict[str, object] = {}
    for key, value in document.items():
        flat |= _flat(value, f"{before}{key}.") if isinstance(value, dict) else {before + key: value}
    return flat
