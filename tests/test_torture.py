"""scripts/torture: every figure is there, names tests that exist, and is judged by what they tell."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.torture_figures.catalogue import FIGURES
from scripts.torture_figures.figure import Figure, Outcome, Ran, Skip, Times, Value, judge
from scripts.torture_figures.running import broke_off, read, run, verdicts
from scripts.torture_figures.table import as_markdown, as_text
from tests.chaos.checker import Report
from tests.chaos.telling import TOLD, tell
from tests.conftest import LEFT_TO_LONG, REPOSITORY

FIGURE = Figure(
    "G1",
    "nothing lost",
    values=(Value("lost", most=0), Value("per_s", least=100), Value("seed")),
    times=Times("kills"),
    wanted_times=10,
)
GOOD = {"goal": "G1 killed", "lost": 0, "per_s": 150, "seed": 3, "kills": 10}


def ran(*told: dict[str, object], passed: int = 1, failed: str = "", skipped: str = "", short: bool = False) -> Ran:
    skips = (Skip("tests/test_it.py::test_that", skipped, long=skipped == LEFT_TO_LONG),) if skipped else ()
    return Ran(told, passed, (failed,) if failed else (), skips, 1.0, short)


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
    "nothing was run": (ran(passed=0), "missed", False),
    "a test too long for the short form": (ran(GOOD, skipped=LEFT_TO_LONG, short=True), "reached", True),
    "a long test excuses no number": (
        ran({"goal": "G1 killed", "lost": 0, "kills": 10}, skipped=LEFT_TO_LONG, short=True),
        "missed",
        False,
    ),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_a_figure_is_judged_by_the_worst_that_was_told(case: str) -> None:
    found, state, passed = VERDICTS[case]
    outcome = judge(FIGURE, found, "scripts/torture --only G1")
    assert (outcome.state, outcome.passed) == (state, passed), outcome.why


COUNTED = Figure("G2", "refused", wanted_times=24)
"""Shown by tests that only pass or fail."""
LENGTHY = Figure("G3", "noticed", values=(Value("seconds", most=5), Value("hours", most=9, long_only=True)))
PARTED = Figure("G4", "noticed", values=(Value("seconds", most=5, told_by="test_it.py"),))
TOLD_SHORT = {"goal": "G3 it", "seconds": 4}
OTHERS = {
    "tests alone": (COUNTED, ran(passed=24), "reached"),
    "tests alone, and none ran": (COUNTED, ran(passed=0), "missed"),
    "tests alone, and all too long": (COUNTED, ran(passed=0, skipped=LEFT_TO_LONG, short=True), "missed"),
    "tests alone, and nothing to run them": (COUNTED, ran(passed=0, skipped="no broker"), "absent"),
    "the long form's number, in the short form": (LENGTHY, ran(TOLD_SHORT, skipped=LEFT_TO_LONG, short=True), "fewer"),
    "the long form's number, not told in the long form": (LENGTHY, ran(TOLD_SHORT), "missed"),
    "the long form's number, too large": (LENGTHY, ran({**TOLD_SHORT, "hours": 10}), "missed"),
    "the long form's number, without its disk": (LENGTHY, ran(TOLD_SHORT, skipped="not root"), "absent"),
    "the short form's number is not told": (LENGTHY, ran(skipped=LEFT_TO_LONG, short=True), "missed"),
    "its own test was skipped": (PARTED, ran(skipped="no camera"), "absent"),
    "another test was skipped": (PARTED, Ran((), 1, (), (Skip("tests/test_vm.py::test_it", "no VM"),), 1.0), "missed"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_number_that_nobody_told_is_excused_by_its_own_test_and_by_what_the_machine_lacks(case: str) -> None:
    figure, found, state = OTHERS[case]
    assert judge(figure, found, "").state == state


def test_what_is_left_to_the_long_form_is_named() -> None:
    outcome = judge(LENGTHY, ran(TOLD_SHORT, skipped=LEFT_TO_LONG, short=True), "")
    assert outcome.why == f"hours: only the long form tells it; skipped: {LEFT_TO_LONG}"


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


def without_long_tests(path: str) -> str:
    """The text of a file of tests as far as the short form runs it."""
    source = (REPOSITORY / path).read_text(encoding="utf-8")
    kept = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark" and is_long(node.value):
            return ""
        if not isinstance(node, ast.FunctionDef) or not any(is_long(each) for each in node.decorator_list):
            kept.append(ast.unparse(node))
    return "\n".join(kept)


def is_long(marks: ast.expr) -> bool:
    """Of one mark or a list of them; a long parameter leaves the others to the short form."""
    each = marks.elts if isinstance(marks, ast.List) else [marks]
    return any(ast.unparse(mark) == "pytest.mark.long" for mark in each)


@pytest.mark.parametrize("name", [name for name in FIGURES if not FIGURES[name].programs])
def test_a_number_is_left_to_the_long_form_exactly_where_only_long_tests_tell_it(name: str) -> None:
    figure = FIGURES[name]
    content = "".join(without_long_tests(test.partition("::")[0]) for test in figure.tests)
    content += json.dumps(Report(*[0] * 8).as_dict())
    for value in figure.values:
        told = re.search(rf"\b{value.key.partition('.')[0]}\b", content) is not None
        assert told is not value.long_only, value.key


def test_a_number_names_a_test_of_its_figure() -> None:
    for figure in FIGURES.values():
        tests = []
        for test in figure.tests:
            path = test.partition("::")[0]
            source = (REPOSITORY / path).read_text(encoding="utf-8")
            tests += [f"{path}::{name}" for name in re.findall(r"^def (test_\w+)", source, re.MULTILINE)]
        for value in figure.values:
            assert not value.told_by or any(value.told_by in test for test in tests), value.told_by


def rows() -> dict[str, list[str]]:
    """Of the table in docs/reliability.md, by figure: what is wanted, …, the command, the exceptions."""
    page = (REPOSITORY / "docs" / "reliability.md").read_text(encoding="utf-8")
    cells = [line.strip("| ").split(" | ") for line in page.splitlines() if re.match(r"\| G\d", line)]
    return {name: rest for name, *rest in cells}


def test_the_page_has_every_figure_with_the_command_that_tells_it() -> None:
    assert list(rows()) == list(FIGURES)
    for name, (wanted, _, _, _, command, *_) in rows().items():
        figure = FIGURES[name]
        assert wanted == figure.wanted
        assert command.split("`")[1] in (figure.command(short=True), figure.command(short=False))


def test_the_fake_gpu_is_reached_by_what_check_tensorrt_exports() -> None:
    script = (REPOSITORY / "scripts" / "check_tensorrt").read_text(encoding="utf-8")
    exported = re.search(r"^ +export (LD_LIBRARY_PATH=.*)$", script, re.MULTILINE)
    assert exported is not None
    words = exported[1].replace("$work", ".cache/tensorrt").replace("$fake", "tests/engines/tensorrt/fake_gpu")
    assert FIGURES["G28"].environment == f"{words} PYTHON=.venv-tensorrt/bin/python"
    assert FIGURES["G28"].command(short=False).endswith("/python scripts/torture --only G28")


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
        f"@pytest.mark.skip(reason={LEFT_TO_LONG!r})\ndef test_hours(): pass\n"
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
    assert [(skip.test.rpartition("/")[2], skip.reason, skip.long) for skip in skipped] == [
        ("test_it.py::test_elsewhere", "needs root", False),
        ("test_it.py::test_hours", LEFT_TO_LONG, True),
    ]


CODES = {
    "all passed": (0, [], False),
    "no test was chosen": (5, [], False),
    "one failed": (1, ["test_it"], False),
    "one failed, and none is named": (1, [], True),
    "interrupted, or a file that cannot be read": (2, ["test_it"], True),
    "an error of pytest": (3, [], True),
    "a test that does not exist": (4, [], True),
    "killed": (-9, ["test_it"], True),
}


@pytest.mark.parametrize("case", CODES)
def test_pytest_that_breaks_off_is_a_failure_whatever_its_report_says(case: str) -> None:
    code, failed, broken = CODES[case]
    assert broke_off(code, failed) is broken


@pytest.mark.system
def test_a_test_that_is_not_there_and_one_that_is_too_long_reach_nothing() -> None:
    absent = Figure("G1", "it", tests=("tests/test_torture.py::test_that_is_not_there",))
    outcome = judge(absent, run(absent, short=True), "")
    assert (outcome.state, "pytest ended with 4" in outcome.why) == ("missed", True), outcome.why
    long = Figure(
        "G1",
        "it",
        tests=("tests/faults/test_rollout_stops.py::test_a_model_that_is_bad_for_most_stops_in_the_second_stage",),
    )
    found = run(long, short=True)
    assert found.skipped == (Skip(long.tests[0], LEFT_TO_LONG, long=True),)
    outcome = judge(long, found, "")
    assert (outcome.state, outcome.why) == ("missed", f"no test ran; skipped: {LEFT_TO_LONG}")


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
