from __future__ import annotations

import threading

from appliance.mailbox import Mailbox


def test_the_newest_item_wins_and_the_lost_one_is_counted() -> None:
    mailbox: Mailbox[int] = Mailbox()
    mailbox.put(1)
    mailbox.put(2)
    assert mailbox.take(0) == 2
    assert mailbox.dropped == 1


def test_a_short_queue_keeps_order_and_drops_the_oldest() -> None:
    mailbox: Mailbox[int] = Mailbox(size=3)
    for number in range(5):
        mailbox.put(number)
    assert mailbox.take_all(0) == [2, 3, 4]
    assert mailbox.dropped == 2


def test_take_all_takes_no_more_than_asked() -> None:
    mailbox: Mailbox[int] = Mailbox(size=10)
    for number in range(5):
        mailbox.put(number)
    assert mailbox.take_all(0, most=2) == [0, 1]
    assert len(mailbox) == 3


def test_an_empty_mailbox_gives_nothing_after_the_time_out() -> None:
    mailbox: Mailbox[int] = Mailbox()
    assert mailbox.take(0.01) is None
    assert mailbox.take_all(0.01) == []


def test_a_reader_wakes_for_an_item_put_by_another_thread() -> None:
    mailbox: Mailbox[str] = Mailbox()
    writer = threading.Timer(0.02, mailbox.put, ["hello"])
    writer.start()
    assert mailbox.take(5) == "hello"
    writer.join()


def test_closing_wakes_the_reader_and_what_waits_can_still_be_taken() -> None:
    mailbox: Mailbox[int] = Mailbox()
    mailbox.put(1)
    mailbox.close()
    mailbox.put(2)
    assert mailbox.take(5) == 1
    assert mailbox.take(5) is None
    assert mailbox.dropped == 1


def test_one_condition_wakes_for_any_of_several_mailboxes() -> None:
    ready = threading.Condition()
    boxes: list[Mailbox[int]] = [Mailbox(ready=ready), Mailbox(ready=ready)]
    writer = threading.Timer(0.02, boxes[1].put, [7])
    writer.start()
    with ready:
        assert ready.wait_for(lambda: any(len(box) for box in boxes), 5)
    assert boxes[1].take(0) == 7
    writer.join()
