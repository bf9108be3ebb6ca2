"""Streams over a real outbox, without a broker: what would be sent, and what answers do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from appliance.outbox.outbox import Entry, Outbox
from appliance.outbox.rows import Kept
from appliance.result import Spool
from appliance.uplink.flow import LINGERING, Flow
from appliance.uplink.streams import KEPT_WITHOUT_SIGN_S, MOST_UNCONFIRMED, UNCONFIRMED_S, Streams

TAKEN, NOBODY, FORBIDDEN, BUSY, NO_REASON, TOO_LARGE = 0x00, 0x10, 0x87, 0x97, 0x80, 0x95


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path / "outbox.sqlite", 4 << 20) as outbox:
        yield outbox


def fill(outbox: Outbox, stream: str, count: int) -> None:
    def encode(place: Spool) -> bytes:
        return f"{place.stream} {place.seq}".encode()

    outbox.append([Entry(stream, f"t/{stream}", 1, encode)] * count)


def streams_of(outbox: Outbox, *, end_to_end: bool = False, require_subscriber: bool = True) -> Streams:
    streams = Streams(
        outbox, end_to_end=end_to_end, require_subscriber=require_subscriber, linger_s=2.0, random=Random(1)
    )
    streams.connected()
    return streams


class Line:
    """Sends what streams give, keeps it on its way, answers it as told."""

    def __init__(self, streams: Streams) -> None:
        self.streams = streams
        self.on_its_way: list[tuple[Flow, Kept, int]] = []
        self.sent: list[str] = []

    def send(self, now_s: float, most: int = 20) -> list[str]:
        """Everything that may go now, as many as a window holds."""
        went = []
        while len(self.on_its_way) < most and (found := self.streams.next(now_s)) is not None:
            flow, kept = found
            flow.took(kept)
            self.on_its_way.append((flow, kept, flow.attempt))
            went.append(kept.payload.decode())
        self.sent += went
        return went

    def answer(self, code: int, now_s: float, count: int = 1000) -> None:
        """The broker answers the oldest."""
        answered, self.on_its_way = self.on_its_way[:count], self.on_its_way[count:]
        for flow, kept, attempt in answered:
            self.streams.answered(flow, kept, attempt, code, now_s)

    def run(self, now_s: float, code: int = TAKEN) -> list[str]:
        """Send and answer until nothing more goes."""
        went = []
        while new := self.send(now_s):
            went += new
            self.answer(code, now_s)
        self.streams.write_down(now_s)
        return went


def names(stream: str, first: int, last: int) -> list[str]:
    return [f"{stream} {seq}" for seq in range(first, last + 1)]


def test_after_a_connect_one_document_goes_alone_until_it_is_taken(outbox: Outbox) -> None:
    fill(outbox, "people", 30)
    line = Line(streams_of(outbox))
    assert line.send(0.0) == ["people 1"]
    assert line.send(0.0) == []
    line.answer(TAKEN, 0.0)
    assert line.send(0.0) == names("people", 2, 21)


def test_streams_take_turns(outbox: Outbox) -> None:
    fill(outbox, "people", 1000)
    fill(outbox, "cars", 3)
    line = Line(streams_of(outbox))
    went = line.run(0.0)
    assert set(names("cars", 1, 3)) <= set(went[:10])
    assert [name for name in went if name.startswith("people")] == names("people", 1, 1000)


def test_what_nobody_takes_is_tried_one_at_a_time_and_nothing_is_skipped(outbox: Outbox) -> None:
    fill(outbox, "people", 30)
    line = Line(streams_of(outbox))
    line.send(0.0)
    line.answer(TAKEN, 0.0)
    line.send(0.0)
    line.answer(NOBODY, 0.0)
    assert line.send(0.0) == [], "there is a wait first"
    for now_s in (2.0, 4.0, 6.0):
        assert line.send(now_s) == ["people 2"]
        line.answer(NOBODY, now_s)
    assert line.run(8.0) == names("people", 2, 30)
    assert outbox.figures().sent == 30


def test_nothing_goes_while_answers_of_before_are_outstanding(outbox: Outbox) -> None:
    fill(outbox, "people", 30)
    line = Line(streams_of(outbox))
    line.send(0.0)
    line.answer(TAKEN, 0.0)
    line.send(0.0)
    line.answer(NOBODY, 0.0, count=1)
    assert line.send(10.0) == [], "the answer to number 3 of the first attempt could be mistaken for the second's"
    line.answer(TAKEN, 10.0)
    assert line.send(10.0) == ["people 2"]


def test_a_stream_that_needs_no_subscriber_counts_nobody_as_taken(outbox: Outbox) -> None:
    fill(outbox, "people", 30)
    line = Line(streams_of(outbox, require_subscriber=False))
    assert line.run(0.0, NOBODY) == names("people", 1, 30)
    assert outbox.figures().sent == 30


def test_a_forbidden_stream_waits_with_an_alarm_and_the_others_go_on(outbox: Outbox) -> None:
    fill(outbox, "people", 5)
    fill(outbox, "cars", 5)
    streams = streams_of(outbox)
    line = Line(streams)
    for flow, kept in [found for _ in range(2) if (found := streams.next(0.0)) is not None]:
        flow.took(kept)
        streams.answered(flow, kept, flow.attempt, FORBIDDEN if kept.topic == "t/people" else TAKEN, 0.0)
    assert line.run(0.1) == names("cars", 2, 5)
    assert "t/people" in streams.alarms
    assert outbox.stream(1).stored == 5
    assert line.run(10.0) == names("people", 1, 5)
    assert not streams.alarms


def test_what_is_never_acceptable_is_a_dead_letter_and_announced(outbox: Outbox) -> None:
    fill(outbox, "people", 3)
    line = Line(streams_of(outbox))
    line.send(0.0)
    line.answer(TOO_LARGE, 0.0)
    assert line.run(0.0) == ["people 2", "people 3"]
    (gap,) = outbox.gaps()
    assert (gap.first, gap.last, gap.count) == (1, 1, 1)
    assert "larger than the broker accepts" in gap.reason
    assert [topic for _, topic, _, _ in outbox.dead_letters()] == ["t/people"]


@pytest.mark.parametrize(("code", "dead"), [(BUSY, 0), (NO_REASON, 1)])
def test_a_broker_may_be_busy_for_ever_but_not_refuse_the_same_document_without_a_reason(
    outbox: Outbox, code: int, dead: int
) -> None:
    fill(outbox, "people", 2)
    line = Line(streams_of(outbox))
    now_s = 0.0
    for _ in range(10):
        assert line.send(now_s) == ["people 1"]
        line.answer(code, now_s)
        now_s += 20.0
    assert line.run(now_s) == ["people 1", "people 2"][dead:]
    assert outbox.figures().dead == dead


def test_a_broken_connection_sends_again_what_was_unanswered_and_what_was_answered_lately(outbox: Outbox) -> None:
    streams = streams_of(outbox)
    line = Line(streams)
    fill(outbox, "people", 10)
    streams.look()
    assert line.run(100.0) == names("people", 1, 10)
    fill(outbox, "people", 10)
    assert line.run(103.0) == names("people", 11, 20)
    fill(outbox, "people", 5)
    line.send(103.5)
    streams.disconnected(heard_s=103.5)
    assert outbox.figures().stored == 15
    streams.connected()
    line.on_its_way.clear()
    assert line.run(104.0) == names("people", 11, 25)
    assert streams.resends == 15


def test_what_the_broker_has_had_for_long_is_deleted(outbox: Outbox) -> None:
    streams = streams_of(outbox)
    line = Line(streams)
    fill(outbox, "people", 10)
    streams.look()
    line.run(100.0)
    streams.tidy(now_s=101.9, heard_s=101.9)
    assert len(outbox.read(1, 0, most=100, most_bytes=1 << 20)) == 10
    streams.tidy(now_s=103.0, heard_s=102.1)
    assert outbox.read(1, 0, most=100, most_bytes=1 << 20) == []


def test_a_broker_that_says_nothing_more_does_not_keep_documents_for_ever(outbox: Outbox) -> None:
    streams = streams_of(outbox)
    line = Line(streams)
    fill(outbox, "people", 10)
    streams.look()
    line.run(100.0)
    streams.tidy(now_s=100.0 + KEPT_WITHOUT_SIGN_S - 1, heard_s=100.0)
    assert len(outbox.read(1, 0, most=100, most_bytes=1 << 20)) == 10
    streams.tidy(now_s=100.0 + KEPT_WITHOUT_SIGN_S, heard_s=100.0)
    assert outbox.read(1, 0, most=100, most_bytes=1 << 20) == []


def test_no_more_is_sent_again_than_a_broker_can_have_queued(outbox: Outbox) -> None:
    fill(outbox, "people", LINGERING + 500)
    streams = streams_of(outbox)
    line = Line(streams)
    line.run(100.0)
    streams.disconnected(heard_s=100.0)
    assert outbox.figures().stored == LINGERING


def test_a_line_that_breaks_every_second_still_gets_ahead(outbox: Outbox) -> None:
    fill(outbox, "people", 1000)
    streams = streams_of(outbox)
    line = Line(streams)
    for connection in range(40):
        for _ in range(20):
            line.send(100.0 + connection)
            line.answer(TAKEN, 100.0 + connection)
        streams.write_down(100.0 + connection)
        line.on_its_way.clear()
        streams.disconnected(heard_s=100.0 + connection)
        streams.connected()
    assert f"people {1000}" in line.sent


def test_end_to_end_a_document_stays_until_the_collector_has_it(outbox: Outbox) -> None:
    fill(outbox, "people", 100)
    streams = streams_of(outbox, end_to_end=True)
    line = Line(streams)
    assert line.run(0.0) == names("people", 1, 100)
    assert outbox.figures().sent == 0
    assert streams.confirm("people", outbox.epoch, 60, 0.1)
    streams.write_down(0.1)
    streams.tidy(0.2, 0.2)
    assert outbox.figures().sent == 60
    assert outbox.read(1, 0, most=1, most_bytes=1)[0].seq == 61
    streams.disconnected(heard_s=0.2)
    streams.connected()
    assert line.run(0.3) == names("people", 61, 100)


@pytest.mark.parametrize(
    ("name", "epoch", "seq"), [("cars", "", 5), ("people", "0" * 12, 5), ("people", "", 101), ("people", "", -1)]
)
def test_a_confirmation_of_what_was_never_sent_changes_nothing(outbox: Outbox, name: str, epoch: str, seq: int) -> None:
    fill(outbox, "people", 100)
    streams = streams_of(outbox, end_to_end=True)
    Line(streams).run(0.0)
    assert not streams.confirm(name, epoch or outbox.epoch, seq, 0.1)
    streams.write_down(0.1)
    assert outbox.figures().sent == 0


def test_end_to_end_no_more_is_on_its_way_than_a_broker_queues(outbox: Outbox) -> None:
    fill(outbox, "people", 2000)
    fill(outbox, "cars", 2000)
    streams = streams_of(outbox, end_to_end=True)
    line = Line(streams)
    assert len(line.run(0.0)) == MOST_UNCONFIRMED
    streams.confirm("people", outbox.epoch, 100, 0.1)
    assert len(line.run(0.1)) == 100


def test_end_to_end_silence_of_the_collector_sends_again_half_as_much(outbox: Outbox) -> None:
    fill(outbox, "people", 2000)
    streams = streams_of(outbox, end_to_end=True)
    line = Line(streams)
    line.run(0.0)
    streams.tidy(UNCONFIRMED_S - 1, 0.0)
    assert line.run(UNCONFIRMED_S - 1) == []
    streams.tidy(UNCONFIRMED_S + 1, 0.0)
    assert line.run(UNCONFIRMED_S + 1) == names("people", 1, MOST_UNCONFIRMED // 2)


def test_an_older_epoch_is_sent_whole_before_the_present_one(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    with Outbox(path, 4 << 20) as outbox:
        fill(outbox, "people", 5)
        old = outbox.epoch
    path.with_name(path.name + ".mark").unlink()
    with Outbox(path, 4 << 20) as outbox:
        fill(outbox, "people", 2)
        streams = streams_of(outbox)
        line = Line(streams)
        assert line.run(0.0) == names("people", 1, 5)
        assert line.run(0.1) == names("people", 1, 2)
        streams.tidy(20.0, 20.0)
        assert [stream.epoch for stream in outbox.streams()] == [outbox.epoch] != [old]
        assert outbox.figures().accepted == outbox.figures().sent == 5 + 2
