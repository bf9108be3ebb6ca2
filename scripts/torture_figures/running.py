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

from scripts.torture_figures.figure import Figure, Program, Ran, Skip, Told
from tests.chaos.telling import TOLD
from tests.conftest import LEFT_TO_LONG

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAM_WITHIN_S = 1800.0
ALL_PASSED, SOME_FAILED, NOTHING_RAN = 0, 1, 5
"""What pytest ends with; anything else says that it broke off."""


def run(figure: Figure, *, short: bool) -> Ran:
    """One after the other; a deadline that a busy machine misses is not tried again: what counts is this run."""
    began_s = time.monotonic()
    told: list[Told] = []
    passed = 0
    failed: list[str] = []
    skipped: list[Skip] = []
    if figure.tests:
        with tempfile.TemporaryDirectory(prefix="torture-") as scratch:
            lines, xml = Path(scratch) / "told", Path(scratch) / "junit.xml"
            code, said = _pytest(figure, lines, xml, short=short)
            told += [line for line in read(lines) if line["goal"].split()[0] == figure.name]
            if xml.exists():
                passed, failed, skipped = verdicts(xml)
            if broke_off(code, failed):
                failed.append(f"pytest ended with {code}: {said}")
    for program in figure.programs:
        line, trouble = _program(program, short=short)
        passed += trouble == ""
        told += [line] if line else []
        failed += [trouble] if trouble else []
    return Ran(
        told=tuple(told),
        passed=passed,
        failed=tuple(failed),
        skipped=tuple(skipped),
        seconds=time.monotonic() - began_s,
        short=short,
        load=os.getloadavg()[0],
    )


def _pytest(figure: Figure, lines: Path, xml: Path, *, short: bool) -> tuple[int, str]:
    """Its exit code, and what it said last."""
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
    if done.returncode not in (ALL_PASSED, NOTHING_RAN):
        sys.stderr.write(done.stdout[-6000:])
    return done.returncode, done.stdout.strip().rpartition("\n")[2]


def broke_off(code: int, failed: list[str]) -> bool:
    """Whether pytest ended with something that the tests which failed do not explain."""
    return code not in (ALL_PASSED, SOME_FAILED, NOTHING_RAN) or (code == SOME_FAILED and not failed)


def read(lines: Path) -> list[Told]:
    """What tests have written; empty where none did."""
    if not lines.exists():
        return []
    return [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]


def verdicts(xml: Path) -> tuple[int, list[str], list[Skip]]:
    """Of pytest's report: how many passed, what failed, what was skipped."""
    passed = 0
    failed: list[str] = []
    skipped: list[Skip] = []
    for case in ElementTree.parse(xml).getroot().iter("testcase"):  # noqa: S314
        trouble = case.find("failure")
        trouble = case.find("error") if trouble is None else trouble
        passed_over = case.find("skipped")
        if trouble is not None:
            first_line, _, _ = (trouble.get("message") or "without a reason").partition("\n")
            failed.append(f"{case.get('name')}: {first_line[:200]}")
        elif passed_over is not None:
            reason = passed_over.get("message") or "without a reason"
            skipped.append(Skip(_name(case), reason, long=reason == LEFT_TO_LONG))
        else:
            passed += 1
    return passed, failed, skipped


def _name(case: ElementTree.Element) -> str:
    """As pytest takes it; a whole file that was skipped has no class."""
    file, test = case.get("classname") or "", case.get("name") or ""
    return f"{file.replace('.', '/')}.py::{test}" if file else f"{test.replace('.', '/')}.py"


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
