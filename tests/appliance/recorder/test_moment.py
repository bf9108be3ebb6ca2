"""When a clip begins and ends: pure rules."""

from __future__ import annotations

import pytest

from appliance.recorder.entry import Entry
from appliance.recorder.moment import Limits, Moment, labels_of
from tests.recordings import entry, event

LIMITS = Limits(before_s=1.0, after_s=2.0, longest_s=6.0)


def played(moment: Moment, entries: list[Entry]) -> list[list[int]]:
    """Numbers of the entries of every clip; the last may still go on."""
    clips: list[list[int]] = []
    for each in entries:
        was_on = moment.on
        written = moment.take(each)
        if written and not was_on:
            clips.append([])
        if written:
            clips[-1] += [one.seq for one in written]
    return clips


def film(seconds: float, happens: dict[int, str], per_s: int = 4, label: str = "red") -> list[Entry]:
    """Entries with memory every second; `happens`: number of an entry to the kind of event in it."""
    return [
        entry(
            seq,
            seq / per_s,
            *([event(seq, happens[seq], label)] if seq in happens else []),
            memory=seq % per_s == 0,
            data=b"x",
        )
        for seq in range(int(seconds * per_s))
    ]


CASES = {
    "nothing happens, nothing is kept": ({}, []),
    "a second before and two after": ({10: "new"}, [range(4, 19)]),
    "what happens goes on, so does the clip": ({10: "new", 16: "update"}, [range(4, 25)]),
    "an end belongs to the clip": ({10: "new", 18: "end"}, [range(4, 27)]),
    "only what is new begins one": ({10: "update", 20: "end"}, []),
    "never longer than longest_s": ({10: "new"} | dict.fromkeys(range(12, 40), "update"), [range(4, 29)]),
    "two of them": ({8: "new", 30: "new"}, [range(4, 17), range(24, 39)]),
    "at the very start there is no past": ({0: "new"}, [range(9)]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_clip_is_what_is_around_an_event(case: str) -> None:
    happens, wanted = CASES[case]
    assert played(Moment(LIMITS), film(10, happens)) == [list(each) for each in wanted]


def test_only_events_of_the_labels_asked_for_begin_a_clip() -> None:
    picky = Limits(1.0, 2.0, 6.0, frozenset({"person"}))
    assert played(Moment(picky), film(10, {10: "new"}, label="cat")) == []
    assert played(Moment(picky), film(10, {10: "new"}, label="person")) == [list(range(4, 19))]


def test_the_past_begins_with_the_memory_of_the_pipeline() -> None:
    moment = Moment(LIMITS)
    [clip] = played(moment, film(4, {11: "new"}))
    assert clip[0] == 4, "a second before 2.75 s is 1.75 s; memory was kept at 1 s and 2 s"


def test_the_past_in_memory_has_a_bound() -> None:
    moment = Moment(Limits(60.0, 1.0, 60.0), most_bytes=100_000)
    for seq in range(1000):
        moment.take(entry(seq, seq / 10, memory=True, data=bytes(2000)))
        assert moment.bytes <= 100_000
    assert moment.bytes > 50_000


def test_an_hour_without_answers_is_no_part_of_the_clip_that_follows_it() -> None:
    moment = Moment(LIMITS)
    failed = [entry(seq, float(seq), data=b"x") for seq in range(3600)]
    answered = [
        entry(3600 + seq, 3600 + seq / 4, *([event(seq)] if seq == 2 else []), memory=seq % 4 == 0, data=b"x")
        for seq in range(20)
    ]
    assert played(moment, failed + answered) == [[3600, *range(3601, 3611)]]


def test_labels_are_told_once_and_in_order() -> None:
    assert labels_of([event(1, label="b"), event(2, label="a"), event(3, label="b"), event(4, "end", "c")]) == [
        "b",
        "a",
    ]
