"""Whose turn it is, how long a model takes, and how often a device is told no: all pure."""

from __future__ import annotations

import random

from appliance.service.allowance import MOST_REMEMBERED, Allowance
from appliance.service.pace import FORGOTTEN_NS, Pace
from appliance.service.turns import Turns

MS = 1_000_000


def served(turns: Turns[str], count: int) -> list[str | None]:
    """What is taken, one after the other."""
    items = []
    for _ in range(count):
        items.append(turns.take())
        turns.release()
    return items


def test_one_of_each_in_turn_whoever_has_how_many() -> None:
    turns: Turns[str] = Turns(each=10, most=100)
    for number in range(5):
        turns.put("loud", f"loud {number}")
    turns.put("quiet", "quiet 0")
    turns.put("calm", "calm 0")
    assert turns.take_all() == ["loud 0", "quiet 0", "calm 0", "loud 1", "loud 2", "loud 3", "loud 4"]
    assert turns.take() is None


def test_nobody_may_have_more_than_his_share_waiting_nor_all_more_than_the_whole() -> None:
    turns: Turns[int] = Turns(each=2, most=3)
    assert [turns.put("loud", number) for number in range(3)] == [True, True, False]
    assert turns.put("quiet", 1)
    assert not turns.put("calm", 1)
    turns.take()
    assert turns.put("calm", 1)
    assert len(turns) == 3


def test_a_few_who_fill_the_room_leave_some_to_whoever_comes_next() -> None:
    turns: Turns[int] = Turns(each=100, most=12)
    assert [sum(turns.put(asker, number) for number in range(100)) for asker in ("one", "two", "three")] == [6, 3, 2]
    assert turns.put("next", 1)


def test_somebody_new_goes_before_the_next_of_whoever_is_being_served() -> None:
    turns: Turns[str] = Turns(each=100, most=1000)
    for number in range(5):
        turns.put("loud", f"loud {number}")
    assert turns.take() == "loud 0"
    assert turns.ahead("new") == 0
    turns.put("new", "new 0")
    turns.release()
    assert served(turns, 3) == ["new 0", "loud 1", "loud 2"]


def test_whoever_asks_again_while_being_served_joins_at_the_end() -> None:
    turns: Turns[str] = Turns(each=100, most=1000)
    turns.put("quick", "quick 0")
    assert turns.take() == "quick 0"
    turns.put("quick", "quick 1")
    turns.put("other", "other 0")
    turns.release()
    assert served(turns, 2) == ["other 0", "quick 1"]


def test_a_batch_takes_one_of_each_before_a_second_of_anybody() -> None:
    turns: Turns[str] = Turns(each=100, most=1000)
    for item in ("a 0", "a 1", "a 2", "b 0"):
        turns.put(item[0], item)
    assert [turns.take() for _ in range(3)] == ["a 0", "b 0", "a 1"]


def test_somebody_new_waits_for_one_of_each_and_not_for_all_of_one() -> None:
    turns: Turns[int] = Turns(each=100, most=1000)
    for number in range(50):
        for device in ("a", "b", "c"):
            turns.put(device, number)
    assert turns.ahead("new") == 3
    assert turns.ahead("a") == 150


def test_a_crowd_over_several_services_is_served_equally() -> None:
    services: list[Turns[int]] = [Turns(each=4, most=1000) for _ in range(8)]
    counts = [0] * 500
    asked = 0

    def ask(device: int) -> None:
        nonlocal asked
        services[asked % len(services)].put(str(device), device)
        asked += 1

    for device in random.Random(3).sample(range(500), 500):
        ask(device)
    for _ in range(1000):
        for turns in services:
            answered = turns.take()
            assert answered is not None
            counts[answered] += 1
            ask(answered)
            turns.release()
    assert 14 <= min(counts) <= max(counts) <= 18


def test_whoever_is_passed_over_keeps_the_turn() -> None:
    turns: Turns[str] = Turns(each=2, most=10)
    turns.put("a", "a 0")
    turns.put("b", "b 0")
    assert turns.take(passing_over={"a"}) == "b 0"
    assert turns.take(passing_over={"a"}) is None
    assert turns.take() == "a 0"


def test_what_nobody_wants_any_more_makes_room() -> None:
    turns: Turns[str] = Turns(each=2, most=4)
    for item in ("a 0", "a 1", "b 0", "c 1"):
        turns.put(item[0], item)
    assert not turns.put("d", "d 1")
    assert turns.discard(lambda item: item.endswith("0")) == ["a 0", "b 0"]
    assert turns.put("d", "d 1")
    assert turns.take_all() == ["a 1", "c 1", "d 1"]


def test_an_asker_who_has_been_served_is_forgotten() -> None:
    turns: Turns[int] = Turns(each=1, most=10)
    for number in range(1000):
        turns.put(f"device {number}", number)
        turns.take()
        turns.release()
    assert not turns._served
    assert (turns.askers, len(turns)) == (frozenset(), 0)


def test_a_model_of_which_nothing_is_known_is_given_the_benefit() -> None:
    assert (Pace().least_ns(0), Pace().usual_ns(0)) == (0, 0)


def test_the_quickest_run_is_what_cannot_be_beaten_and_the_middle_is_what_is_usual() -> None:
    pace = Pace()
    for ms in (30, 10, 20):
        pace.note(ms * MS, 1, 0)
    assert (pace.least_ns(0), pace.usual_ns(0)) == (10 * MS, 20 * MS)


def test_a_batch_is_shared_out_over_its_questions() -> None:
    pace = Pace()
    pace.note(80 * MS, 8, 0)
    assert (pace.least_ns(0), pace.usual_ns(0)) == (80 * MS, 10 * MS)


def test_a_slow_spell_is_forgotten_so_that_somebody_tries_again() -> None:
    pace = Pace()
    pace.note(5000 * MS, 1, 0)
    assert pace.least_ns(FORGOTTEN_NS) == 5000 * MS
    assert pace.least_ns(FORGOTTEN_NS + 1) == 0


def test_a_device_is_told_no_so_often_a_second_and_others_all_the_same() -> None:
    allowance = Allowance(per_s=5)
    assert [allowance.take("loud", 0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert allowance.take("quiet", 0)
    assert not allowance.take("loud", 100 * MS)
    assert allowance.take("loud", 300 * MS)


def test_names_without_end_take_no_memory_without_end() -> None:
    allowance = Allowance(per_s=1)
    for number in range(3 * MOST_REMEMBERED):
        allowance.take(str(number), number)
    assert len(allowance._buckets) <= MOST_REMEMBERED
