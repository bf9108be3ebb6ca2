"""Pace and ramp as tables: when something may be done."""

from __future__ import annotations

import pytest

from appliance.uplink.pace import Pace, Ramp


def done(pace: Pace, from_s: float, until_s: float, step_s: float = 0.001) -> int:
    """How often it is allowed by somebody who asks at every step."""
    count = 0
    now_s = from_s
    while now_s < until_s:
        while pace.wait_s(now_s) <= 0:
            pace.spend()
            count += 1
        now_s += step_s
    return count


def test_what_comes_seldom_never_waits() -> None:
    pace = Pace(per_s=10.0, at_once=3)
    for now_s in (0.0, 1.0, 2.0, 3.0):
        assert pace.wait_s(now_s) == 0.0
        pace.spend()


def test_a_flood_goes_at_the_pace_after_the_first_few() -> None:
    assert done(Pace(per_s=100.0, at_once=8), 0.0, 10.0) == pytest.approx(1008, abs=2)


def test_the_wait_is_what_is_missing() -> None:
    pace = Pace(per_s=100.0, at_once=1)
    pace.wait_s(5.0)
    pace.spend()
    assert pace.wait_s(5.0) == pytest.approx(0.01)
    assert pace.wait_s(5.004) == pytest.approx(0.006)


def test_a_clock_that_stands_still_or_goes_back_gives_nothing_away() -> None:
    pace = Pace(per_s=100.0, at_once=1)
    pace.wait_s(5.0)
    pace.spend()
    assert pace.wait_s(4.0) == pytest.approx(0.01)


def test_a_ramp_begins_at_a_third_and_doubles_every_second() -> None:
    ramp = Ramp(per_s=900.0)
    assert done(ramp, 0.0, 0.1) == pytest.approx(10 + 31, abs=3)
    assert done(ramp, 0.1, 1.0) == pytest.approx(300 * 1.3, rel=0.15)
    assert done(ramp, 3.0, 4.0) == pytest.approx(900 + 9, rel=0.02)


def test_a_restarted_ramp_is_slow_again() -> None:
    ramp = Ramp(per_s=900.0)
    done(ramp, 0.0, 5.0)
    ramp.restart()
    assert done(ramp, 5.0, 5.5) < 300


def test_a_ramp_always_keeps_up_with_what_comes_in() -> None:
    ramp = Ramp(per_s=100.0)
    ramp.incoming_per_s = 2000.0
    done(ramp, 0.0, 3.0)
    assert done(ramp, 3.0, 4.0) == pytest.approx(3000, rel=0.02)


def test_a_ramp_goes_on_for_months() -> None:
    ramp = Ramp(per_s=900.0)
    ramp.wait_s(0.0)
    for now_s in (1_000.0, 1_024.0, 1e5, 1e7):
        assert done(ramp, now_s, now_s + 1.0) == pytest.approx(900 + 9, rel=0.02)
