"""Who is let in, for how long, and how long one who guesses has to wait."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from appliance.config_errors import ConfigError
from appliance.page.session import ADDRESSES, FREE_TRIES, LONGEST_WAIT_S, SESSION_S, Door

PASSWORD = "correct horse"


class Clock:
    def __init__(self) -> None:
        self.s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def door(clock: Clock) -> Door:
    return Door(PASSWORD, "a-token", clock, clock)


def test_without_a_password_everybody_is_let_in() -> None:
    assert Door(None).admits(None, None)


def test_a_short_password_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigError, match="at least 8"):
        Door("short")


def test_a_cookie_counts_until_its_time_is_over(door: Door, clock: Clock) -> None:
    cookie = door.new_cookie()
    assert door.admits(cookie, None)
    clock.s += SESSION_S + 1
    assert not door.admits(cookie, None)


def test_a_cookie_survives_a_restart_and_dies_with_the_password(door: Door, clock: Clock) -> None:
    cookie = door.new_cookie()
    assert Door(PASSWORD, None, clock, clock).admits(cookie, None)
    assert not Door("another password", None, clock, clock).admits(cookie, None)


CHANGES: dict[str, Callable[[str], str | None]] = {
    "none at all": lambda _: None,
    "empty": lambda _: "",
    "later": lambda cookie: str(int(cookie.partition(".")[0]) + 1) + cookie[cookie.index(".") :],
    "without a signature": lambda cookie: cookie.rpartition(".")[0],
    "with half a signature": lambda cookie: cookie[:-8],
    "of letters": lambda _: "ä.\udcff.x",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_cookie_that_was_changed_counts_for_nothing(door: Door, change: Callable[[str], str | None]) -> None:
    assert not door.admits(change(door.new_cookie()), None)


def test_a_cookie_that_was_handed_back_counts_no_more(door: Door) -> None:
    cookie, other = door.new_cookie(), door.new_cookie()
    door.end(cookie)
    assert not door.admits(cookie, None)
    assert door.admits(other, None)


def test_a_program_shows_its_token(door: Door) -> None:
    assert door.admits(None, "Bearer a-token")
    assert not door.admits(None, "Bearer b-token")
    assert not door.admits(None, f"Bearer {PASSWORD}")


def test_one_who_guesses_waits_longer_each_time_and_others_do_not(door: Door, clock: Clock) -> None:
    waits = []
    for _ in range(FREE_TRIES + 8):
        assert not door.opens("a guess", "1.2.3.4")
        waits.append(door.wait_s("1.2.3.4"))
        clock.s += waits[-1]
    assert waits[: FREE_TRIES - 1] == [0.0] * (FREE_TRIES - 1)
    assert waits[FREE_TRIES - 1 : FREE_TRIES + 2] == [1.0, 2.0, 4.0]
    assert waits[-1] == LONGEST_WAIT_S
    assert door.wait_s("5.6.7.8") == 0.0
    assert door.opens(PASSWORD, "1.2.3.4")
    assert door.wait_s("1.2.3.4") == 0.0


def test_one_who_guesses_for_days_is_refused_as_before(door: Door) -> None:
    for _ in range(1_200):
        assert not door.opens("not this one", "192.0.2.7")
    assert door.wait_s("192.0.2.7") == LONGEST_WAIT_S


def test_no_more_addresses_are_remembered_than_there_is_room_for(door: Door) -> None:
    for number in range(ADDRESSES + 50):
        door.opens("a guess", f"10.0.{number // 256}.{number % 256}")
    assert len(door._wrong) == ADDRESSES
