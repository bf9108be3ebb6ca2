"""A message that ends every connection is found, and no other is blamed."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from appliance.uplink.poison import WITHIN_S, PoisonGuard

BIRTH = "available"


def trial(guard: PoisonGuard, *ends: tuple[Sequence[Hashable | None], int], every_s: float = 1.0) -> list[Hashable]:
    """One end of the connection after the other; what was convicted at each."""
    return [guard.ended(keys, at * every_s, blame) for at, (keys, blame) in enumerate(ends)]


def test_three_ends_that_the_protocol_explains_with_one_message_on_its_way_convict_it() -> None:
    guard = PoisonGuard(BIRTH)
    assert trial(guard, (["p"], 2), (["p"], 2), (["p"], 2)) == [None, None, "p"]


def test_a_line_that_just_breaks_speaks_half_as_much() -> None:
    guard = PoisonGuard(BIRTH)
    assert trial(guard, *[(["p"], 1)] * 6) == [None] * 5 + ["p"]


def test_an_end_that_no_message_can_have_caused_says_nothing() -> None:
    guard = PoisonGuard(BIRTH)
    assert trial(guard, *[(["p"], 0)] * 20) == [None] * 20
    assert not guard.alone(0.0)


def test_among_several_the_first_is_suspected_and_travels_alone_from_then_on() -> None:
    guard = PoisonGuard(BIRTH)
    assert trial(guard, (["p", "q", "r"], 2), (["p"], 2), (["p"], 2), (["p"], 2)) == [None, None, None, "p"]
    assert not guard.alone(3.0)


def test_several_at_once_convict_nobody_however_often() -> None:
    guard = PoisonGuard(BIRTH)
    assert trial(guard, *[(["p", "q"], 2)] * 20) == [None] * 20
    assert guard.alone(19.0)


def test_one_that_was_answered_is_free_and_the_others_travel_together_again() -> None:
    guard = PoisonGuard(BIRTH)
    trial(guard, (["p", "q"], 2), (["p"], 2), (["p"], 2))
    guard.answered("q")
    assert guard.alone(2.0)
    guard.answered("p")
    assert not guard.alone(2.0)
    assert trial(guard, (["p"], 2), (["p"], 2)) == [None, None]


def test_the_first_message_of_a_connection_is_never_convicted_and_nobody_instead_of_it() -> None:
    guard = PoisonGuard(BIRTH)
    assert trial(guard, *[([BIRTH], 2)] * 20) == [None] * 20
    assert not guard.alone(19.0)
    assert trial(guard, *[([BIRTH, "p"], 2)] * 20) == [None] * 20


def test_what_is_not_sent_again_is_not_convicted_and_clears_who_travels_beside_it() -> None:
    guard = PoisonGuard(BIRTH)
    assert trial(guard, *[([None], 2)] * 10) == [None] * 10
    assert trial(guard, *[(["p", None], 2)] * 10) == [None] * 10


def test_ends_that_lie_far_apart_are_coincidence() -> None:
    guard = PoisonGuard(BIRTH)
    assert trial(guard, *[(["p"], 2)] * 10, every_s=WITHIN_S / 2) == [None] * 2 + ["p"] + [None] * 2 + ["p"] + [
        None
    ] * 2 + ["p"] + [None]
    guard = PoisonGuard(BIRTH)
    assert trial(guard, *[(["p"], 2)] * 10, every_s=WITHIN_S * 0.6) == [None] * 10


def test_suspicion_ends_by_itself_when_nothing_happens() -> None:
    guard = PoisonGuard(BIRTH)
    guard.ended(["p", "q"], 0.0, 1)
    assert guard.alone(WITHIN_S)
    assert not guard.alone(WITHIN_S + 0.1)


def test_another_suspect_begins_with_a_clean_sheet() -> None:
    guard = PoisonGuard(BIRTH)
    assert trial(guard, (["p"], 2), (["p"], 2), (["q"], 2), (["p"], 2), (["p"], 2)) == [None] * 5
