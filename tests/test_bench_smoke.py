"""scripts/bench measures: every part runs, with tiny counts, and says all it should. What comes out is not judged."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from scripts.benchmarks.__main__ import PARTS, measured, parts
from scripts.benchmarks.bench import Bench
from scripts.benchmarks.extent import TINY
from scripts.benchmarks.goals import GOALS, Figure
from scripts.benchmarks.material import Material
from scripts.benchmarks.report import Report, machine

WANTED = {
    "picture": {"C1", "C2", "C3", "C15"},
    "latency": {"C5", "C6", "C7"},
    "sources": {"C4"},
    "idle": {"C10"},
    "options": {"C11"},
    "startup": {"C12"},
    "storage": {"C8"},
    "sound": {"C9"},
    "page": {"C14"},
    "recorder": {"C16"},
    "fetch": {"C17"},
}

PEER_ONLY = {"C2"}
NOT_YET = {"an INT8 file slower than fp32 is refused"}


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed: apt-get install ffmpeg")
    return Material(tmp_path_factory.mktemp("material"), TINY.film_s)


@pytest.fixture
def bench(material: Material, tmp_path: Path) -> Iterator[Bench]:
    if shutil.which("mosquitto") is None:
        pytest.skip("mosquitto is not installed: apt-get install mosquitto")
    yield Bench(TINY, material, tmp_path)
    os.environ.pop("OPENCV_LOG_LEVEL", None)


@pytest.mark.faults  # none is injected, but it is as slow
@pytest.mark.broker
@pytest.mark.parametrize("name", PARTS)
def test_a_part_measures_what_it_promises(name: str, bench: Bench) -> None:
    [part] = (part for part in parts() if part.__name__.endswith(f".{name}"))
    figures = measured(bench, part)
    assert {figure.goal for figure in figures} == set(part.GOALS) == WANTED[name]
    for figure in figures:
        needs_peer = figure.goal in PEER_ONLY or "Ultralytics" in figure.what or "librosa" in figure.what
        if needs_peer or figure.what in NOT_YET:
            assert figure.verdict == "not measured"
            assert figure.why
        else:
            assert figure.value is not None, f"{figure.what}: {figure.why}"
            # What is left when another cost is taken off may be less than nothing, with few pictures on a busy machine.
            assert math.isfinite(figure.value)


def test_every_goal_belongs_to_a_part() -> None:
    assert {goal for part in parts() for goal in part.GOALS} == set(GOALS)


def test_the_parts_of_asked_goals_are_chosen() -> None:
    assert [part.__name__.rpartition(".")[2] for part in parts({"C9", "C1"})] == ["picture", "sound"]


FIGURES = {
    "below": (Figure("C1", "w", 1.0, "x", most=1.04), "met"),
    "just there": (Figure("C1", "w", 1.04, "x", most=1.04), "met"),
    "above": (Figure("C1", "w", 1.05, "x", most=1.04), "not met"),
    "too little": (Figure("C4", "w", 0.5, least=0.9), "not met"),
    "enough": (Figure("C4", "w", 0.9, least=0.9), "met"),
    "to compare with": (Figure("C1", "w", 9.0, "x"), "-"),
    "missing": (Figure("C2", "w", None, why="no peer"), "not measured"),
}


@pytest.mark.parametrize(("figure", "verdict"), FIGURES.values(), ids=FIGURES.keys())
def test_a_figure_is_held_against_its_goal(figure: Figure, verdict: str) -> None:
    assert figure.verdict == verdict


def test_the_json_holds_everything_that_is_known_of_a_figure() -> None:
    figure = Figure("C1", "appliance", 1.02, "x bare CPU", most=1.04, details={"cpu_ms": 41.0})
    report = Report(date(2026, 1, 2), "tiny", 3.0, machine({"torch": "2"}), [figure])
    document = json.loads(report.as_json())
    assert document["date"] == "2026-01-02"
    assert document["machine"].keys() == {"processor", "cores", "system", "python", "packages", "load_before"}
    assert document["machine"]["packages"]["torch"] == "2"
    assert document["figures"] == [
        {
            "goal": "C1",
            "what": "appliance",
            "value": 1.02,
            "unit": "x bare CPU",
            "most": 1.04,
            "least": None,
            "why": "",
            "details": {"cpu_ms": 41.0},
            "verdict": "met",
        }
    ]


def test_table_and_page_name_goal_figure_and_verdict() -> None:
    figures = [
        Figure("C8", "one durable event", 1.1046, "x", most=1.3),
        Figure("C2", "boxes", None, why="the peer is not installed"),
    ]
    report = Report(date(2026, 1, 2), "tiny", 3.0, machine({}), figures)
    assert "1.105 x  <= 1.300" in report.as_text()
    assert "not measured the peer is not installed" in report.as_text()
    assert "| one durable event | 1.105 x | ≤ 1.300 | met |" in report.as_markdown()
    assert "| boxes | - |  | not measured: the peer is not installed |" in report.as_markdown()
