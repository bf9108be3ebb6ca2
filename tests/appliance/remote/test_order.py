"""The order in which open samples leave."""

from __future__ import annotations

from appliance.pipeline.compose import Served
from appliance.remote.open_sample import Answered, Failed, OpenSample
from appliance.remote.order import Order
from appliance.result import ModelId
from capture.samples import Frame, Stamp
from engines.predictions import Answer, StageTimes
from tests.arrays import picture

ANSWERED = Answered(
    Answer("detect", (), StageTimes(0, 0, 0)), Served(0, 0, "onnxruntime", ModelId("people", "1", ""), "healthy")
)


def opened(order: Order, count: int) -> list[OpenSample]:
    stamp = Stamp(0, 0)
    entries = [OpenSample(Frame("dock", seq, stamp, picture(8, 8), ready_ns=0), 0, 0) for seq in range(count)]
    for entry in entries:
        entry.with_engine = True
        order.add(entry)
    return entries


def leaving(order: Order) -> list[int]:
    return [entry.sample.seq for entry in order.leaving()]


def test_an_answer_waits_for_those_before_it_where_every_sample_counts() -> None:
    order = Order(every=True)
    entries = opened(order, 3)
    order.end(entries[2], ANSWERED)
    order.end(entries[1], Failed("late"))
    early = leaving(order)
    order.end(entries[0], ANSWERED)
    assert (early, leaving(order)) == ([], [0, 1, 2])


def test_an_answer_puts_older_samples_out_of_date_where_the_newest_wins() -> None:
    order = Order(every=False)
    entries = opened(order, 3)
    order.end(entries[0], Failed("late"))
    order.end(entries[1], ANSWERED)
    assert leaving(order) == [1]
    assert order.dropped == 1
    assert [entry.sample.seq for entry in order] == [2]


def test_a_failure_overtakes_nothing() -> None:
    order = Order(every=False)
    entries = opened(order, 2)
    order.end(entries[1], Failed("no engine"))
    assert leaving(order) == []
    assert order.dropped == 0


def test_an_older_sample_that_has_an_answer_of_its_own_leaves_with_it() -> None:
    order = Order(every=False)
    entries = opened(order, 2)
    entries[0].spare = ANSWERED
    order.end(entries[1], ANSWERED)
    assert leaving(order) == [0, 1]


def test_a_second_opinion_that_is_out_is_waited_for_and_so_is_what_came_before_it() -> None:
    order = Order(every=False)
    entries = opened(order, 3)
    entries[1].spare, entries[1].doubtful_score, entries[1].questions = ANSWERED, 0.45, 1
    order.end(entries[2], ANSWERED)
    early = leaving(order)
    assert (early, order.dropped) == ([], 0), "the oldest may still fail in time: nothing of it is known to be in vain"
    order.end(entries[0], Failed("late"))
    assert leaving(order) == [0]
    order.end(entries[1], ANSWERED)
    assert leaving(order) == [1, 2]


def test_of_samples_nobody_began_with_the_oldest_and_the_newest_stay() -> None:
    order = Order(every=False)
    entries = opened(order, 5)
    for entry in entries:
        entry.with_engine = False
    entries[2].questions = 1
    order.tidy()
    assert [entry.sample.seq for entry in order] == [0, 2, 4]
