"""Whose turn it is, how long a model takes, and how often a device is told no: all pure."""

from __future__ import annotations

from appliance.service.allowance import MOST_REMEMBERED, Allowance
from appliance.service.pace import FORGOTTEN_NS, Pace
from appliance.service.turns import FORGET_FROM, Turns

MS = 1_000_000


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


def test_somebody_new_goes_before_the_next_of_whoever_is_being_served() -> None:
    turns: Turns[str] = Turns(each=100, most=1000)
    for number in range(50):
        turns.put("loud", f"loud {number}")
    assert turns.take() == "loud 0"
    assert turns.ahead("new") == 0
    turns.put("new", "new 0")
    turns.put("new", "new 1")
    assert [turns.take() for _ in range(4)] == ["new 0", "loud 1", "new 1", "loud 2"]


def test_somebody_new_waits_for_one_of_each_and_not_for_all_of_one() -> None:
    turns: Turns[int] = Turns(each=100, most=1000)
    for number in range(50):
        for device in ("a", "b", "c"):
            turns.put(device, number)
    turns.take()
    assert turns.ahead("new") == 2
    assert turns.ahead("a") == 150 - 1


def test_whoever_pauses_gains_no_credit() -> None:
    turns: Turns[str] = Turns(each=100, most=1000)
    for number in range(20):
        turns.put("steady", f"steady {number}")
    for _ in range(10):
        turns.take()
    for number in range(5):
        turns.put("back", f"back {number}")
    assert [turns.take() for _ in range(4)] == ["back 0", "steady 10", "back 1", "steady 11"]


def test_whoever_is_passed_over_keeps_the_turn() -> None:
    turns: Turns[str] = Turns(each=2, most=10)
    turns.put("a", "a 0")
    turns.put("b", "b 0")
    assert turns.take(passing_over={"a"}) == "b 0"
    assert turns.take(passing_over={"a"}) is None
    assert turns.take() == "a 0"


def test_an_asker_who_has_been_served_is_forgotten() -> None:
    turns: Turns[int] = Turns(each=1, most=10)
    for number in range(5 * FORGET_FROM):
        turns.put(f"device {number}", number)
        turns.put("steady", number)
        turns.take_all()
    assert len(turns._next_turn) <= FORGET_FROM + 1
    assert (turns.ahead("device 1"), len(turns)) == (0, 0)


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
