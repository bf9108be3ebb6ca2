"""Late pictures told from jitter, wrong clocks and pauses. A story is a list of (got, taken) in milliseconds."""

from __future__ import annotations

import pytest

from capture.lateness import Lateness

STEADY = [(40 * n, 40 * n) for n in range(20)]
NOW = 40 * 20


def after(story: list[tuple[int, int]]) -> list[int]:
    """Lateness in milliseconds at each step."""
    lateness = Lateness()
    return [lateness.late_ns(got * 1_000_000, taken * 1_000_000) // 1_000_000 for got, taken in story]


NOT_LATE = {
    "steady": STEADY,
    "jitter": [(40 * n + (25 if n % 3 else 0), 40 * n) for n in range(60)],
    "the camera paused": [*STEADY, (NOW + 1500, NOW + 1500), (NOW + 1540, NOW + 1540)],
    "pictures dropped by the camera": [*STEADY, (NOW + 400, NOW + 400)],
    "the stream's clock was set back": [*STEADY, (NOW, 5), (NOW + 40, 45)],
    "the stream's clock was set forward": [*STEADY, (NOW, 90_000), (NOW + 40, 90_040)],
    "no time in the stream": [(40 * n, 0) for n in range(20)],
    "a camera that claims 25 pictures a second and sends 20": [(50 * n, 40 * n) for n in range(200)],
    "a camera that claims 20 pictures a second and sends 25": [(40 * n, 50 * n) for n in range(200)],
}


@pytest.mark.parametrize("story", NOT_LATE.values(), ids=NOT_LATE.keys())
def test_nothing_is_late(story: list[tuple[int, int]]) -> None:
    assert max(after(story)) == 0


def test_a_stall_makes_pictures_late_until_the_buffer_is_empty() -> None:
    held_up = [(NOW + 1000 + 2 * n, NOW + 40 * n) for n in range(26)]
    late = after([*STEADY, *held_up, (NOW + 1080, NOW + 1040)])
    assert late[:20] == [0] * 20
    assert late[20:23] == [1000, 962, 924]
    assert late[-2:] == [50, 40]


def test_a_buffer_thrown_away_after_a_stall_leaves_nothing_late() -> None:
    assert after([*STEADY, (NOW + 1000, NOW), (NOW + 1040, NOW + 1040)])[-1] == 0


def test_a_camera_that_sends_less_at_night_and_does_not_say_so_is_late_for_a_moment_only() -> None:
    """Five pictures a second whose time still says 25."""
    night = [(NOW + 200 * n, NOW + 40 * n) for n in range(40)]
    assert max(after([*STEADY, *night])[28:]) == 0
