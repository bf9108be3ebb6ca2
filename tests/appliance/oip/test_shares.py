"""Who gets how much, and how soon a refusal is told: all pure."""

from __future__ import annotations

import itertools

import pytest

from appliance.oip.callers import PerCaller, caller_at, caller_of_peer
from appliance.oip.refusal_pace import AT_ONCE, MOST_REMEMBERED, MOST_REST_S, PER_S, RefusalPace, rest_s
from appliance.oip.shares import Shares


def taken(shares: Shares, caller: str) -> int:
    """How many it gets when it takes all it can get."""
    return sum(itertools.takewhile(bool, (shares.take(caller) for _ in itertools.count())))


def test_whoever_takes_all_there_is_leaves_as_much_to_the_next() -> None:
    shares = Shares(120)
    assert [taken(shares, caller) for caller in ("one", "two", "three", "four")] == [60, 30, 15, 7]
    assert shares.held == 112
    assert shares.callers == 4


def test_the_first_may_take_no_more_until_there_is_more_free_than_it_has() -> None:
    shares = Shares(12)
    assert taken(shares, "greedy") == 6
    assert shares.take("late", 3)
    assert not shares.take("greedy")
    shares.give_back("greedy", 4)
    assert taken(shares, "greedy") == 2
    shares.give_back("late", 3)
    shares.give_back("greedy", 4)
    assert (shares.held, shares.callers) == (0, 0)


def test_nobody_has_more_than_each_may_have() -> None:
    shares = Shares(1000, each=8)
    assert taken(shares, "one") == 8
    assert taken(shares, "two") == 8


def test_what_is_not_given_is_not_remembered() -> None:
    shares = Shares(10)
    assert not shares.take("huge", 6)
    assert (shares.held, shares.callers) == (0, 0)


@pytest.mark.parametrize(
    ("host", "caller"),
    [
        ("192.0.2.7", "oip:192.0.2.7"),
        ("::ffff:192.0.2.7", "oip:192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "oip:2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "oip:2001:db8:1:2::/64"),
        ("fe80::1%eth0", "oip:fe80::/64"),
        ("", "oip:"),
    ],
)
def test_a_caller_is_its_address_and_of_ipv6_its_network(host: str, caller: str) -> None:
    assert caller_at(host) == caller


@pytest.mark.parametrize(
    ("peer", "caller"),
    [
        ("ipv4:192.0.2.7:50123", "oip:192.0.2.7"),
        ("ipv6:%5B2001:db8:1:2::9%5D:50123", "oip:2001:db8:1:2::/64"),
        ("ipv6:[::ffff:192.0.2.7]:1", "oip:192.0.2.7"),
        ("unix:/run/socket", "oip:unix:/run/socket"),
    ],
)
def test_over_grpc_it_is_the_same_caller(peer: str, caller: str) -> None:
    assert caller_of_peer(peer) == caller


def test_what_is_kept_for_a_caller_is_the_same_as_long_as_somebody_uses_it() -> None:
    kept = PerCaller(object)
    with kept.of("one") as first, kept.of("one") as again, kept.of("two") as other:
        assert first is again
        assert first is not other
        assert len(kept) == 2
    assert len(kept) == 0


def test_the_first_refusals_are_told_at_once_and_further_ones_at_a_steady_pace() -> None:
    pace = RefusalPace()
    assert [pace.wait_s("one", 100.0) for _ in range(AT_ONCE)] == pytest.approx([0.0] * AT_ONCE)
    slowed = pace.slowed
    assert [pace.wait_s("one", 100.0) for _ in range(3)] == pytest.approx([1 / PER_S, 2 / PER_S, 3 / PER_S])
    assert pace.slowed == slowed + 3
    assert pace.wait_s("two", 100.0) == 0.0
    assert pace.wait_s("one", 110.0) == 0.0


def test_those_who_were_refused_once_are_forgotten() -> None:
    pace = RefusalPace()
    for number in range(2 * MOST_REMEMBERED):
        pace.wait_s(f"caller {number}", number * 1.0)
    assert len(pace._clocks) <= MOST_REMEMBERED


def test_nonsense_gets_a_fifth_of_the_time() -> None:
    assert rest_s(0.1, 0) == pytest.approx(0.4)
    assert rest_s(0.0, 25_000_000) == pytest.approx(0.4)
    assert rest_s(100.0, 0) == MOST_REST_S
