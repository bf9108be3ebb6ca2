"""Rates and bytes, on a clock of the test's own."""

from __future__ import annotations

import pytest

from appliance.remote.budget import Budget


def spent(budget: Budget, amount: float, seconds: float, tries_per_s: int = 1000) -> float:
    """What goes through when somebody asks all the time."""
    total = 0.0
    for step in range(int(seconds * tries_per_s)):
        now_s = step / tries_per_s
        if budget.allows(amount, now_s):
            budget.spend(amount, now_s)
            total += amount
    return total


@pytest.mark.parametrize("per_s", [0.5, 1, 5, 100])
def test_no_more_than_the_rate_goes_through_but_for_one_burst(per_s: float) -> None:
    assert spent(Budget(per_s), 1, seconds=20) <= per_s * 20 + max(1, per_s)
    assert spent(Budget(per_s), 1, seconds=20) >= per_s * 20


def test_a_picture_larger_than_a_second_s_worth_goes_out_once_the_bucket_is_full_and_is_waited_off() -> None:
    budget = Budget(per_s=10_000)
    assert budget.allows(50_000, 0.0)
    budget.spend(50_000, 0.0)
    assert not budget.allows(50_000, 4.9)
    assert budget.allows(50_000, 5.0)


def test_what_turns_out_larger_than_thought_is_a_debt() -> None:
    budget = Budget(per_s=100)
    budget.spend(300, 0.0)
    assert not budget.allows(1, 1.0)
    assert budget.allows(1, 2.1)


def test_a_clock_that_stands_still_fills_nothing() -> None:
    budget = Budget(per_s=1, now_s=5.0)
    budget.spend(1, 5.0)
    assert not budget.allows(1, 5.0)
    assert not budget.allows(1, 4.0)
