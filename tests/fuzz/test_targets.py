"""Parsers of foreign bytes keep their contract for what the project writes, near it, and for what once broke one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.amount import BUSY
from tests.fuzz.mutations import mutated
from tests.fuzz.run import FINDINGS
from tests.fuzz.table import TARGETS
from tests.fuzz.target import Broken, Target

pytestmark = pytest.mark.system


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_answers_or_refuses_whatever_it_is_given(name: str) -> None:
    target = TARGETS[name]
    seeds = target.warm()
    for data in (*seeds, *mutated(seeds, target.inputs, name)):
        target.judge(data, BUSY)


@pytest.mark.parametrize("path", sorted(FINDINGS.glob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_once_broke_a_parser_does_not_any_more(path: Path) -> None:
    target = TARGETS[path.parent.name]
    target.warm()
    target.judge(path.read_bytes(), BUSY)


def _raises(error: Exception) -> Target:
    def parse(data: bytes) -> None:
        raise error

    return Target(parse, (ValueError,), lambda: ())


@pytest.mark.parametrize(
    "error", [ValueError(""), ValueError("x" * 4_001), ValueError("\ud800")], ids=["mute", "long", "text"]
)
def test_a_refusal_that_cannot_be_told_is_a_finding(error: Exception) -> None:
    with pytest.raises(Broken):
        _raises(error).judge(b"")


def test_an_exception_without_a_name_is_a_finding() -> None:
    with pytest.raises(KeyError):
        _raises(KeyError("x")).judge(b"")


def test_greed_for_memory_and_for_time_is_a_finding() -> None:
    greedy = Target(lambda data: len(bytes([1]) * (64 << 20)), (), lambda: (), most_mb=32)
    with pytest.raises(Broken, match="MB of memory"):
        greedy.judge(b"")
    slow = Target(lambda data: sum(range(2_000_000)), (), lambda: (), most_cpu_s=0.0001)
    with pytest.raises(Broken, match="processor time"):
        slow.judge(b"")
