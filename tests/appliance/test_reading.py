"""Digits that stand beside each other are one number, told once it stays."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.reading import GONE_S, SETTLED_S, Settled, read_out

Box = tuple[float, float, float, float]


def line(text: str, left: float, top: float, tall: float = 20, pitch: float = 14, rise: float = 0) -> list:  # type: ignore[type-arg]
    """Digits as (digit, box); `rise`: pixels up from one to the next."""
    return [
        (digit, (left + n * pitch, top - n * rise, left + n * pitch + tall / 2, top - n * rise + tall))
        for n, digit in enumerate(text)
    ]


SIGHTS = {
    "one display": (line("8506", 10, 10), ["8506"]),
    "two beside each other": (line("12", 10, 10) + line("345", 120, 14), ["12", "345"]),
    "two above each other": (line("345", 10, 60) + line("12", 30, 10), ["12", "345"]),
    "a tilted label": (line("85077", 10, 60, rise=4), ["85077"]),
    "a narrow 1 far from its neighbour": ([("4", (0, 0, 11, 20)), ("1", (26, 0, 29, 20))], ["41"]),
    "a small number beside a large one": (line("7", 10, 10, tall=60) + line("123", 50, 30, tall=14), ["7", "123"]),
    "three on two heights": (
        line("9", 100, 100) + line("2", 200, 12) + line("1", 10, 10),
        ["1", "2", "9"],
    ),
    "nothing": ([], []),
}


@pytest.mark.parametrize("what", SIGHTS)
def test_a_number_is_read_as_a_person_would(what: str) -> None:
    digits, read = SIGHTS[what]
    assert read_out(digits) == read
    shuffled = [digits[place] for place in np.random.default_rng(0).permutation(len(digits))]
    assert read_out(shuffled) == read


def told(sights: list[tuple[float, list[str]]]) -> list[tuple[float, str]]:
    settled = Settled()
    return [(now_s, number) for now_s, read in sights for number in settled.news(read, now_s)]


def test_a_number_is_told_once_when_it_has_stayed_for_a_moment() -> None:
    sights = [(step / 10, ["8506"]) for step in range(50)]
    [(when_s, number)] = told(sights)
    assert number == "8506"
    assert when_s == pytest.approx(SETTLED_S)


def test_what_a_counter_shows_while_it_turns_is_not_told() -> None:
    sights = [(step / 10, [str(step // 4)]) for step in range(80)]
    assert told(sights) == []


def test_a_slip_does_not_make_a_number_news_again() -> None:
    sights = [(step / 10, ["35"] if step % 10 == 5 else ["85"]) for step in range(100)]
    assert [number for _, number in told(sights)] == ["85"]


def test_a_number_that_was_gone_is_news_again() -> None:
    first = [(step / 10, ["85"]) for step in range(10)]
    then = [(1.0 + GONE_S + step / 10, ["85"]) for step in range(10)]
    assert [number for _, number in told(first + then)] == ["85", "85"]
