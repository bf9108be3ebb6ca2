"""Another client with our id is found out, and nothing else is taken for one."""

from __future__ import annotations

from appliance.mqtt.eviction import SLACK_S, WITHIN_S, Eviction

KEPT_S = 3.0


def connect(eviction: Eviction, now_s: float, *, resumed: bool = True) -> None:
    eviction.connected(now_s, resumed=resumed, kept_s=KEPT_S)


def thrown_out(eviction: Eviction, times: int, now_s: float = 0.0) -> None:
    """Closed without a reason and back at once, so often."""
    for _ in range(times):
        eviction.closed(now_s)
        connect(eviction, now_s + 0.3)


def test_one_closing_is_nothing_two_are_looked_into() -> None:
    eviction = Eviction()
    connect(eviction, 0.0, resumed=False)
    eviction.closed(10.0)
    assert eviction.patience_s == 0.0
    connect(eviction, 10.3)
    eviction.closed(11.0)
    assert eviction.patience_s == KEPT_S + SLACK_S


def test_a_session_that_outlives_our_absence_is_somebody_elses() -> None:
    eviction = Eviction()
    thrown_out(eviction, 2)
    eviction.closed(1.0)
    connect(eviction, 1.0 + KEPT_S + SLACK_S)
    assert eviction.proven
    assert eviction.patience_s == 0.0


def test_a_session_that_ended_in_our_absence_was_ours_alone() -> None:
    eviction = Eviction()
    thrown_out(eviction, 2)
    eviction.closed(1.0)
    connect(eviction, 1.0 + KEPT_S + SLACK_S, resumed=False)
    assert not eviction.proven
    eviction.closed(7.0)
    assert eviction.patience_s == 0.0


def test_where_the_broker_keeps_sessions_for_ever_nobody_stays_away_for_ever() -> None:
    eviction = Eviction()
    for now_s in (1.0, 2.0, 3.0):
        eviction.connected(now_s, resumed=True, kept_s=2.0**32 - 1)
        eviction.closed(now_s + 0.5)
        assert eviction.patience_s == 0.0
    assert not eviction.proven


def test_a_quick_return_proves_nothing() -> None:
    eviction = Eviction()
    thrown_out(eviction, 20)
    assert not eviction.proven


def test_a_broker_that_was_restarted_has_a_reason() -> None:
    eviction = Eviction()
    for now_s in (0.0, 1.0, 2.0, 3.0):
        eviction.closed(now_s)
        assert eviction.patience_s == 0.0
        connect(eviction, now_s + 0.1, resumed=False)


def test_a_broker_that_was_away_has_a_reason_even_if_it_remembers_us() -> None:
    eviction = Eviction()
    for now_s in (0.0, 20.0, 40.0):
        eviction.closed(now_s)
        assert eviction.patience_s == 0.0
        eviction.away()
        connect(eviction, now_s + 10.0)
        assert not eviction.proven


def test_a_line_that_broke_proves_nothing_however_long_we_were_away() -> None:
    eviction = Eviction()
    connect(eviction, 0.0)
    eviction.closed(1.0)
    eviction.broke()
    connect(eviction, 30.0)
    assert not eviction.proven


def test_closings_that_lie_far_apart_are_not_looked_into() -> None:
    eviction = Eviction()
    for number in range(5):
        eviction.closed(number * (WITHIN_S + 1.0))
        assert eviction.patience_s == 0.0


def test_it_is_over_when_we_have_the_id_for_ourselves() -> None:
    eviction = Eviction()
    thrown_out(eviction, 2)
    eviction.closed(1.0)
    connect(eviction, 10.0)
    eviction.settled()
    assert not eviction.proven
