"""scripts/torture: every figure is there, names tests that exist, and is judged by what they tell."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.torture_figures.catalogue import FIGURES
from scripts.torture_figures.figure import Figure, Outcome, Ran, Times, Value, judge
from scripts.torture_figures.running import read, verdicts
from scripts.torture_figures.table import as_markdown, as_text
from tests.chaos.checker import Report
from tests.chaos.telling import TOLD, tell
from tests.conftest import REPOSITORY

FIGURE = Figure(
    "G1",
    "nothing lost",
    values=(Value("lost", most=0), Value("per_s", least=100), Value("seed")),
    times=Times("kills"),
    wanted_times=10,
)
GOOD = {"goal": "G1 killed", "lost": 0, "per_s": 150, "seed": 3, "kills": 10}


def ran(*told: dict[str, object], passed: int = 1, failed: str = "", skipped: str = "") -> Ran:
    return Ran(told, passed, (failed,) if failed else (), (skipped,) if skipped else (), 1.0)


VERDICTS = {
    "kept": (ran(GOOD), "reached", True),
    "kept by each of two": (ran({**GOOD, "kills": 5}, {**GOOD, "kills": 5}), "reached", True),
    "kept, not often enough": (ran({**GOOD, "kills": 9}), "fewer", True),
    "one was lost": (ran(GOOD, {**GOOD, "lost": 1}), "missed", False),
    "one was slow": (ran(GOOD, {**GOOD, "per_s": 99}), "missed", False),
    "a test failed": (ran(GOOD, failed="it broke"), "missed", False),
    "nobody told a number": (ran({"goal": "G1 killed", "lost": 0, "kills": 10}), "missed", False),
    "nothing could run": (ran(passed=0, skipped="not root"), "absent", None),
    "the measurement could not run": (ran(passed=3, skipped="not root"), "absent", None),
    "one of several could not run": (ran(GOOD, skipped="no camera"), "reached", True),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_a_figure_is_judged_by_the_worst_that_was_told(case: str) -> None:
    found, state, passed = VERDICTS[case]
    outcome = judge(FIGURE, found, "scripts/torture --only G1")
    assert (outcome.state, outcome.passed) == (state, passed), outcome.why


def test_the_reason_names_the_number_and_its_bound() -> None:
    outcome = judge(FIGURE, ran({**GOOD, "lost": 2}, {**GOOD, "per_s": 50}), "")
    assert outcome.why == "lost is 2, wanted at most 0; per_s is 50, wanted at least 100"
    assert outcome.reached == {"lost": 2, "per_s": 50, "seed": 3}


def test_every_figure_is_in_the_catalogue_in_order() -> None:
    assert list(FIGURES) == [f"G{number}" for number in range(1, 35)]


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_names_tests_and_programs_that_exist_and_numbers_that_they_tell(name: str) -> None:
    figure = FIGURES[name]
    assert figure.tests or figure.programs
    content = ""
    for test in figure.tests:
        path, _, function = test.partition("::")
        source = (REPOSITORY / path).read_text(encoding="utf-8")
        assert not function or re.search(rf"^def {function}\(", source, re.MULTILINE), test
        content += source
    for program in figure.programs:
        for words in (program.short, program.long):
            content += (REPOSITORY / f"{words[0].replace('.', '/')}.py").read_text(encoding="utf-8")
    if figure.values and not figure.programs:
        assert f'"{name} ' in content, "its tests tell nothing of it"
    told = content + json.dumps(Report(*[0] * 8).as_dict())
    for key in [each for each in (*(value.key for value in figure.values), figure.times.key) if each]:
        assert re.search(rf"\b{key.partition('.')[0]}\b", told), f"nobody tells {key}"


def test_what_a_test_tells_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(TOLD, str(tmp_path / "told"))
    tell("G1 killed", Report(10, 11, 0, 1, 0, 0, 0, 0), kills=3)
    tell("G1 killed", None, kills=4)
    first, second = read(tmp_path / "told")
    assert (first["lost"], first["duplicate_share"], first["kills"]) == (0, 0.1, 3)
    assert second == {"goal": "G1 killed", "kills": 4}
    assert capsys.readouterr().out == (tmp_path / "told").read_text()
    assert read(tmp_path / "nothing") == []


def test_the_report_of_pytest_is_read(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "def test_good(): pass\n"
        "def test_bad(): assert 1 == 2, 'one is not two'\n"
        "@pytest.fixture\ndef broken(): raise OSError('no disk')\n"
        "def test_broken(broken): pass\n"
        "def test_elsewhere(): pytest.skip('needs root')\n"
    )
    xml = tmp_path / "junit.xml"
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, f"--junitxml={xml}", str(tmp_path)],
        stdout=subprocess.DEVNULL,
        check=False,
    )
    passed, failed, skipped = verdicts(xml)
    assert passed == 1
    assert failed[0].startswith("test_bad: AssertionError: one is not two")
    assert failed[1].startswith("test_broken: ")
    assert "no disk" in failed[1]
    assert skipped == ["needs root"]


def outcomes() -> list[Outcome]:
    return [
        judge(FIGURE, found, "c") for found in (ran(GOOD), ran({**GOOD, "kills": 3}), ran(passed=0, skipped="no | x"))
    ]


def test_the_table_says_how_often_and_what() -> None:
    text = as_text(outcomes())
    assert "G1   reached                10 of 10     1.0  lost 0, per s 150, seed 3\n" in text
    assert "G1   kept, fewer times       3 of 10" in text
    assert "[skipped: no | x]" in text
    assert text.endswith("1 reached, 1 kept, fewer times, 1 not told here.\n")


def test_the_page_has_a_row_for_each_with_its_exceptions() -> None:
    page = as_markdown(outcomes(), {"G1": Figure("G1", "w", exceptions="but not on Sundays")}, short=True)
    assert (
        "| G1 | nothing lost | lost 0, per s 150, seed 3 | 3 of 10 | 1 | kept, fewer times | `c` | but not on Sundays |"
        in page
    )
    assert "not told here: skipped: no / x" in page
    assert "`scripts/torture --short`" in page


def torture(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [str(REPOSITORY / "scripts" / "torture"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_an_unknown_figure_is_refused_with_those_that_there_are() -> None:
    done = torture("--only", "G1,G99", "--list")
    assert done.returncode == 1
    assert "no figure is called G99; there are G1, G2" in done.stderr


@pytest.mark.faults
def test_figures_are_run_told_and_written_down(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    done = torture("--short", "--only", "g22,g21", "--report", str(page))
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["figure"] for line in lines] == ["G21", "G22"]
    for line in lines:
        assert line["passed"] in (True, None), line
        assert line["command"] == f"scripts/torture --short --only {line['figure']}"
    assert "| G22 |" in page.read_text(encoding="utf-8")
