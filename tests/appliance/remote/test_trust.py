"""Trust in the local engine, on a clock of the test's own."""

from __future__ import annotations

from appliance.remote.trust import FAILURES_TO_LOSE, GOOD_TO_EARN, REST_FIRST_S, TRY_EVERY_S, Trust, too_hot


def try_until_trusted(trust: Trust, now_s: float, took_s: float = 0.01) -> float:
    """Give it samples as often as it may have them; when it was trusted again."""
    for _ in range(4000):
        if trust.due_for_a_try(now_s):
            trust.tried(now_s)
            trust.ran(took_s, now_s)
        if trust.trusted:
            return now_s
        now_s += 0.01
    raise AssertionError("it was never trusted again")


def test_one_late_answer_is_enough_to_lose_it() -> None:
    trust = Trust(budget_s=0.25)
    seen = []
    for took_s in (0.24, 0.26, 0.24):
        trust.ran(took_s, 1.0)
        seen.append(trust.trusted)
    assert seen == [True, False, False]
    assert trust.words == "the local engine took more than 0.25 s"


def test_single_failures_do_not_lose_it_but_failures_in_a_row_do() -> None:
    trust = Trust(budget_s=0.25)
    for _ in range(5):
        for _ in range(FAILURES_TO_LOSE - 1):
            trust.failed("NaN", 1.0)
        trust.ran(0.01, 1.0)
    assert trust.lost == 0
    for _ in range(FAILURES_TO_LOSE):
        trust.failed("NaN", 1.0)
    assert not trust.trusted
    assert "3 times in a row: NaN" in trust.words


def test_it_is_earned_by_good_runs_and_not_before_some_time_has_passed() -> None:
    trust = Trust(budget_s=0.25)
    trust.late(10.0)
    for _ in range(GOOD_TO_EARN):
        trust.ran(0.01, 10.1)
    early = trust.trusted
    trust.ran(0.01, 10.0 + REST_FIRST_S)
    assert (early, trust.trusted) == (False, True)


def test_a_bad_run_among_the_good_ones_begins_again() -> None:
    trust = Trust(budget_s=0.25)
    trust.late(0.0)
    trust.ran(0.01, 2.0)
    trust.ran(0.01, 2.1)
    trust.ran(0.5, 2.6)
    trust.ran(0.01, 2.7)
    assert not trust.trusted


def test_it_is_tried_a_few_times_a_second_only() -> None:
    trust = Trust(budget_s=0.25)
    trust.late(0.0)
    tries = 0
    for step in range(1000):
        now_s = step / 1000
        if trust.due_for_a_try(now_s):
            trust.tried(now_s)
            tries += 1
    assert tries <= 1 / TRY_EVERY_S


def test_an_engine_at_the_edge_changes_sides_less_and_less_often() -> None:
    trust, now_s, away = Trust(budget_s=0.25), 0.0, []
    for _ in range(5):
        trust.late(now_s)
        back_s = try_until_trusted(trust, now_s)
        away.append(back_s - now_s)
        now_s = back_s + 0.1
    assert away[0] < 1.5
    assert away == sorted(away)
    assert away[-1] > 10


def test_a_long_good_stretch_is_forgiven() -> None:
    trust = Trust(budget_s=0.25)
    trust.late(0.0)
    back_s = try_until_trusted(trust, 0.0)
    trust.late(back_s + 60)
    assert try_until_trusted(trust, back_s + 60) - back_s - 60 < 1.5


def test_a_hot_device_counts_as_cool_only_well_below_its_limit() -> None:
    states, hot = [], False
    for celsius in (84.0, 85.0, 84.0, 80.5, 79.9, 84.9):
        hot = too_hot(hot, celsius, 85.0)
        states.append(hot)
    assert states == [False, True, True, True, False, False]


def test_a_device_without_a_thermometer_or_a_limit_is_never_too_hot() -> None:
    assert not too_hot(True, None, 85.0)
    assert not too_hot(True, 120.0, None)
