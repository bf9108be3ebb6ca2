"""A figure: what is wanted, who measures it, and how what they measured is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Told: TypeAlias = "Mapping[str, Any]"
"""One line of JSON that a test or a program has told; `goal` begins with the figure's name."""

State: TypeAlias = Literal["reached", "fewer", "missed", "absent"]
"""`fewer`: every bound that was told of is kept, in fewer repetitions than the figure asks for or without what only the
long form tells. `absent`: this machine cannot tell."""


@dataclass(frozen=True, slots=True)
class Value:
    """A number of the told lines, and the bound that it is held to."""

    key: str
    most: float | None = None
    least: float | None = None
    of: str = ""
    """Only lines whose goal begins so."""

    long_only: bool = False
    """The short form does not tell it."""

    told_by: str = ""
    """Part of the name of the test that tells it, where another test of the figure can be skipped without it."""

    def worst(self, told: Sequence[Told]) -> float | None:
        """The largest where there is a most, else the smallest; None where nobody told it."""
        found = _numbers(told, self.key, self.of)
        if not found:
            return None
        return float(max(found) if self.least is None else min(found))

    def kept(self, value: float) -> bool:
        return (self.most is None or value <= self.most) and (self.least is None or value >= self.least)

    @property
    def bound(self) -> str:
        words = [f"at most {self.most:g}"] if self.most is not None else []
        return " and ".join(words + ([f"at least {self.least:g}"] if self.least is not None else []))


def none(*keys: str) -> tuple[Value, ...]:
    """Counts that have to be 0."""
    return tuple(Value(key, most=0) for key in keys)


NOTHING_LOST = none("lost", "out_of_order", "conflicts", "unidentified")
"""Of the checker in tests/chaos: what was accepted against what was received."""


@dataclass(frozen=True, slots=True)
class Times:
    """How repetitions are counted: the sum of a key over the told lines, or, without a key, tests that passed."""

    key: str = ""
    of: str = ""

    def count(self, told: Sequence[Told], passed: int) -> int:
        if not self.key:
            return passed
        return int(sum(_numbers(told, self.key, self.of)))


def _numbers(told: Sequence[Told], key: str, of: str) -> list[float]:
    """Under this key, in the lines whose goal begins so."""
    return [line[key] for line in told if line["goal"].startswith(of) and key in line]


@dataclass(frozen=True, slots=True)
class Program:
    """A measurement that is no test: a module that prints one line of JSON."""

    goal: str
    short: tuple[str, ...]
    """`python -m` what, in its short form."""
    long: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the list of goals."""

    name: str
    wanted: str
    tests: tuple[str, ...] = ()
    """Files, or single tests, for pytest."""
    programs: tuple[Program, ...] = ()
    values: tuple[Value, ...] = ()
    times: Times = Times()
    wanted_times: int = 0
    """Repetitions; 0 where the figure asks for none."""
    exceptions: str = ""
    """What of the figure is not shown, or shown in another way than its words say, and why."""
    environment: str = ""
    """What its command needs before it, as a shell reads it."""

    def command(self, *, short: bool) -> str:
        """What a person types to have it told."""
        words = [self.environment, "scripts/torture", "--short" if short else "", "--only", self.name]
        return " ".join(word for word in words if word)


@dataclass(frozen=True, slots=True)
class Skip:
    """A test that did not run."""

    test: str
    """`tests/faults/test_it.py::test_that`."""
    reason: str
    long: bool = False
    """It is left to the long form. Of any other the reason is something that this machine lacks."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What tests and programs came to."""

    told: tuple[Told, ...]
    passed: int
    failed: tuple[str, ...]
    """One line each."""
    skipped: tuple[Skip, ...]
    seconds: float
    short: bool = False
    load: float = 0.0
    """Programs that ran or waited for a processor, mean of the last minute: above the cores no deadline is fair."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A figure that was run; its line of JSON."""

    figure: str
    wanted: str
    reached: Mapping[str, float]
    passed: bool | None
    """None where this machine cannot tell."""
    repetitions: int
    wanted_repetitions: int
    seconds: float
    load: float
    """See Ran."""
    command: str
    state: State
    why: str
    """What failed, what is left to the long form, what was skipped."""


def judge(figure: Figure, ran: Ran, command: str) -> Outcome:
    """Hold what was told against the bounds.

    A number that nobody told is missed, with two excuses: only the long form tells it and this was the short one, or
    its test was skipped for want of something that this machine lacks.
    """
    worst = {value: value.worst(ran.told) for value in figure.values}
    reached = {value.key: found for value, found in worst.items() if found is not None}
    untold = [value for value, found in worst.items() if found is None]
    lacking = [skip for skip in ran.skipped if not skip.long]
    left = [value for value in untold if value.long_only and ran.short]
    unseen = [value for value in untold if value not in left and any(value.told_by in skip.test for skip in lacking)]
    missed = [
        f"{value.key} is {found:g}, wanted {value.bound}"
        for value, found in worst.items()
        if found is not None and not value.kept(found)
    ]
    repetitions = figure.times.count(ran.told, ran.passed)
    troubles = [*ran.failed, *missed]
    troubles += [f"nobody told {value.key}" for value in untold if value not in (*left, *unseen)]
    if not ran.passed and not ran.failed and not lacking:
        troubles.append("no test ran")
    state: State = "fewer" if left or repetitions < figure.wanted_times else "reached"
    if troubles:
        state = "missed"
    elif unseen or not ran.passed:
        state = "absent"
    return Outcome(
        figure=figure.name,
        wanted=figure.wanted,
        reached=reached,
        passed=None if state == "absent" else state != "missed",
        repetitions=repetitions,
        wanted_repetitions=figure.wanted_times,
        seconds=round(ran.seconds, 1),
        load=round(ran.load, 1),
        command=command,
        state=state,
        why="; ".join(
            [
                *troubles,
                *(f"{value.key}: only the long form tells it" for value in left),
                *(f"skipped: {reason}" for reason in dict.fromkeys(skip.reason for skip in ran.skipped)),
            ]
        ),
    )
