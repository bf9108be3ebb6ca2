"""Losses are told once, in ranges."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.outbox.gaps import Dropped
from appliance.outbox.outbox import Outbox
from tests.outbox_life import announce_all, entry, waiting

QUOTA_BYTES = 1 << 20


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    """With ten documents of one stream."""
    with Outbox(tmp_path / "outbox.db", QUOTA_BYTES) as outbox:
        outbox.append([entry(str(number)) for number in range(1, 11)])
        yield outbox


def in_short(gaps: list[Dropped]) -> list[tuple[int, int, int, str]]:
    return [(gap.first, gap.last, gap.count, gap.reason) for gap in gaps]


def said(outbox: Outbox) -> list[tuple[int, int, int, str]]:
    """What the announcements say that wait to be sent."""
    documents = [document for document in waiting(outbox).values() if document.get("type") == "gap"]
    return [(gap["first"], gap["last"], gap["count"], gap["reason"]) for gap in documents]


def test_what_is_gone_for_one_reason_is_one_gap(outbox: Outbox) -> None:
    for seq in (3, 4, 7):
        outbox.bury(1, seq, "poison")
    outbox.bury(1, 9, "too large for the broker")
    gaps = outbox.gaps()
    assert sorted(in_short(gaps)) == [(3, 7, 3, "poison"), (9, 9, 1, "too large for the broker")]
    assert {(gap.name, gap.epoch, gap.topic) for gap in gaps} == {("people", outbox.epoch, "t/people")}


def test_a_gap_is_told_in_the_stream_it_is_in_and_only_once(outbox: Outbox) -> None:
    outbox.bury(1, 3, "poison")
    announce_all(outbox)
    assert outbox.gaps() == []
    assert said(outbox) == [(3, 3, 1, "poison")]
    assert [place[2] for place in waiting(outbox)][-1] == 11, "after all that was there before"


def test_until_the_receiver_has_the_announcement_further_losses_add_up(outbox: Outbox) -> None:
    outbox.bury(1, 3, "poison")
    announce_all(outbox)
    for seq in (5, 6):
        outbox.bury(1, seq, "poison")
        announce_all(outbox)
    assert said(outbox) == [(3, 3, 1, "poison")]
    outbox.acknowledge({1: 11})
    announce_all(outbox)
    assert said(outbox) == [(5, 6, 2, "poison")]


def test_what_was_not_told_before_a_restart_is_told_after_it(outbox: Outbox) -> None:
    outbox.bury(1, 3, "poison")
    outbox.close()
    outbox.open()
    announce_all(outbox)
    outbox.close()
    outbox.open()
    assert outbox.gaps() == []
    assert said(outbox) == [(3, 3, 1, "poison")]


def test_a_loss_whose_topic_nobody_knows_waits_for_a_document_of_its_stream(outbox: Outbox, tmp_path: Path) -> None:
    """The only document of a stream is damaged on the disk, and with it where it was to go."""
    outbox.append([entry("11", stream="cars")])
    outbox.close()
    with sqlite3.connect(tmp_path / "outbox.db") as database:
        database.execute("UPDATE document SET topic = x'00' WHERE place = (SELECT max(place) FROM document)")
    database.close()
    outbox.open()
    assert len(waiting(outbox)) == 10
    assert outbox.gaps() == []
    outbox.append([entry("12", stream="cars")])
    (gap,) = outbox.gaps()
    assert (gap.first, gap.last, gap.count, gap.reason, gap.topic) == (1, 1, 1, "damaged on the disk", "t/cars")


def test_announcements_are_kept_when_everything_else_gives_way(outbox: Outbox) -> None:
    outbox.bury(1, 3, "poison")
    announce_all(outbox)
    while outbox.figures().dropped < 100:
        outbox.append([entry("alarm", priority=2, fill=9000) for _ in range(10)])
    assert said(outbox) == [(3, 3, 1, "poison")]
    assert in_short(outbox.gaps())[0][3] == "outbox full"


def test_the_counts_by_reason_are_those_of_the_books(outbox: Outbox) -> None:
    outbox.append([entry("too large", fill=QUOTA_BYTES)])
    while outbox.figures().dropped < 100:
        outbox.append([entry("alarm", priority=2, fill=9000) for _ in range(10)])
    figures = outbox.figures()
    assert figures.dropped_by_reason == {"too large for the outbox": 1, "outbox full": figures.dropped - 1}
