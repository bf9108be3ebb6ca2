"""What gives way when more comes than fits."""

from __future__ import annotations

import threading

from appliance.uplink.intake import RANKS, Intake, rank
from appliance.uplink.outgoing import Outgoing, Publish, Spool
from tests.uplinks import event

ITEMS: dict[str, tuple[Outgoing, int]] = {
    "a live result": (Publish("t", {}), 0),
    "a spooled result": (Spool("t", event(1), "s", 0), 1),
    "an event": (Spool("t", event(1), "s", 1), 2),
    "an alarm": (Spool("t", event(1), "s", 2), 3),
    "a priority that is no priority": (Spool("t", event(1), "s", 99), 3),
    "one below all": (Spool("t", event(1), "s", -1), 1),
    "retained state": (Publish("t", {}, retain=True), 4),
    "an answer": (Publish("t", {}, qos=1), 4),
}


def test_every_kind_of_item_has_its_rank() -> None:
    assert {name: rank(item) for name, (item, _) in ITEMS.items()} == {
        name: place for name, (_, place) in ITEMS.items()
    }


def live(number: int) -> Publish:
    return Publish(f"result/{number}", {})


def alarm(number: int) -> Spool:
    return Spool(f"alarm/{number}", event(number), "alarms", 2)


def topics(items: list[Outgoing]) -> list[str]:
    return [item.topic for item in items]


def test_items_of_all_ranks_come_out_in_the_order_they_went_in() -> None:
    intake = Intake(100)
    wanted = []
    for number in range(30):
        item = live(number) if number % 3 else alarm(number)
        intake.put(item)
        wanted.append(item.topic)
    assert topics(intake.take_all(0, most=10)) + topics(intake.take_all(0)) == wanted


def test_the_oldest_of_the_lowest_rank_gives_way_and_is_counted() -> None:
    intake = Intake(4)
    for item in (alarm(1), live(1), live(2), alarm(2), alarm(3), live(3), alarm(4)):
        intake.put(item)
    assert topics(intake.take_all(0)) == ["alarm/1", "alarm/2", "alarm/3", "alarm/4"]
    assert intake.dropped == 3
    assert intake.dropped_by_rank == (3, 0, 0, 0, 0)


def test_what_matters_less_than_everything_that_waits_is_dropped_itself() -> None:
    intake = Intake(2)
    for item in (alarm(1), alarm(2), live(1)):
        intake.put(item)
    assert topics(intake.take_all(0)) == ["alarm/1", "alarm/2"]
    assert intake.dropped_by_rank[0] == 1


def test_nothing_is_taken_after_it_was_closed_but_what_waited_comes_out() -> None:
    intake = Intake(2)
    intake.put(alarm(1))
    intake.close()
    intake.put(alarm(2))
    assert topics(intake.take_all()) == ["alarm/1"]
    assert intake.take() is None
    assert intake.dropped_by_rank == (0, 0, 0, 1, 0)


def test_every_item_from_four_threads_comes_out_or_is_counted() -> None:
    intake = Intake(64)
    count = 2000
    came: list[Outgoing] = []

    def produce(kind: int) -> None:
        for number in range(count):
            intake.put(alarm(number) if kind % 2 else live(number))

    threads = [threading.Thread(target=produce, args=(kind,)) for kind in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        came += intake.take_all(timeout_s=0.01)
    came += intake.take_all(timeout_s=0)
    assert len(came) + intake.dropped == 4 * count
    assert sum(intake.dropped_by_rank) == intake.dropped
    assert len(intake.dropped_by_rank) == RANKS
