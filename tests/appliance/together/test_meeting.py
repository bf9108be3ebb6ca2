"""When something seen and something heard meet: pure rules, as a table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.result import Event
from appliance.together.gathering import together
from appliance.together.meeting import LATE_S, MOST, Meetings, Rule, Side
from tests.recordings import event

Told = tuple[Side, str, str, float]
"""Side, kind of event, id, time in seconds; of an `end` the time at which it ended."""

RULE = Rule(within_s=1.0, picture_patience_s=10.0, sound_patience_s=10.0)
P: Side = "picture"
S: Side = "sound"

CASES: dict[str, tuple[list[Told], list[tuple[str, str, float]]]] = {
    "the picture first": ([(P, "new", "p", 0.0), (S, "new", "s", 0.4)], [("p", "s", 0.4)]),
    "the sound first": ([(S, "new", "s", 0.0), (P, "new", "p", 0.4)], [("p", "s", -0.4)]),
    "told in the other order than it happened": ([(S, "new", "s", 0.4), (P, "new", "p", 0.0)], [("p", "s", 0.4)]),
    "nobody is there": ([(S, "new", "s", 0.4)], []),
    "one who is there hears everything": (
        [(P, "new", "p", 0.0), (S, "new", "s1", 2.0), (S, "new", "s2", 6.0), (P, "update", "p", 8.0)],
        [("p", "s1", 2.0), ("p", "s2", 6.0)],
    ),
    "gone just within the window": (
        [(P, "new", "p", 0.0), (P, "end", "p", 2.0), (S, "new", "s", 3.0)],
        [("p", "s", 3.0)],
    ),
    "gone just before the window": ([(P, "new", "p", 0.0), (P, "end", "p", 2.0), (S, "new", "s", 3.001)], []),
    "a sound that is over just within the window": (
        [(S, "new", "s", 0.0), (S, "end", "s", 0.5), (P, "new", "p", 1.5)],
        [("p", "s", -1.5)],
    ),
    "a sound that is over before the window": ([(S, "new", "s", 0.0), (S, "end", "s", 0.5), (P, "new", "p", 1.6)], []),
    "a sound that goes on meets who comes": (
        [(S, "new", "s", 0.0), (S, "update", "s", 5.0), (P, "new", "p", 9.0)],
        [("p", "s", -9.0)],
    ),
    "each sound meets one": (
        [(P, "new", "p1", 0.0), (P, "new", "p2", 1.0), (S, "new", "s", 1.5)],
        [("p2", "s", 0.5)],
    ),
    "rather one who is there than one who is gone": (
        [(P, "new", "p1", 0.0), (P, "new", "p2", 1.0), (P, "end", "p2", 1.2), (S, "new", "s", 1.5)],
        [("p1", "s", 1.5)],
    ),
    "who comes after the sound has met does not meet it": (
        [(P, "new", "p1", 0.0), (S, "new", "s", 0.2), (P, "new", "p2", 0.3)],
        [("p1", "s", 0.2)],
    ),
    "one who comes meets all that waited": (
        [(S, "new", "s1", 0.0), (S, "new", "s2", 0.1), (P, "new", "p", 0.5)],
        [("p", "s1", -0.5), ("p", "s2", -0.4)],
    ),
    "late, but not too late": (
        [(S, "new", "s", 0.0), (S, "end", "s", 0.2), (S, "new", "t", 10.0), (P, "new", "p", 0.1)],
        [("p", "s", -0.1), ("p", "t", 9.9)],
    ),
    "too late": (
        [(S, "new", "s", 0.0), (S, "end", "s", 0.2), (S, "new", "t", 12.0), (P, "new", "p", 0.1), (P, "end", "p", 0.2)],
        [],
    ),
    "one whose end is never told ends by itself": ([(P, "new", "p", 0.0), (S, "new", "s", 11.1)], []),
    "the same told twice is one": (
        [(P, "new", "p", 0.0), (S, "new", "s", 0.1), (S, "new", "s", 0.1)],
        [("p", "s", 0.1)],
    ),
    "an end without a beginning is nothing": ([(P, "end", "p", 0.0), (S, "new", "s", 0.1)], []),
}


def made(kind: str, name: str, at_s: float, begun: dict[str, float]) -> Event:
    begun.setdefault(name, at_s)
    return replace(event(0, kind, life=name, at_s=at_s), seconds=at_s - begun[name])


@pytest.mark.parametrize("case", CASES)
def test_what_is_there_at_the_same_time_meets(case: str) -> None:
    told, wanted = CASES[case]
    meetings, begun = Meetings(RULE), dict[str, float]()
    met = [m for side, kind, name, at_s in told for m in meetings.told(side, made(kind, name, at_s, begun), at_s)]
    assert [(m.picture.id, m.sound.id, round(m.apart_s, 6)) for m in met] == wanted


def test_only_the_labels_asked_for_meet() -> None:
    picky = Rule(1.0, picture_labels=["person"], sound_labels=["knock"])
    for seen, heard, count in (("person", "knock", 1), ("cat", "knock", 0), ("person", "bell", 0)):
        meetings = Meetings(picky)
        meetings.told("picture", event(0, label=seen, life="p"), 0.0)
        assert len(meetings.told("sound", event(0, label=heard, life="s"), 0.1)) == count


def test_what_can_meet_nothing_any_more_is_forgotten() -> None:
    meetings = Meetings(RULE)
    for number in range(10_000):
        meetings.told("picture", event(0, life=f"p{number}"), number / 100)
        meetings.told("sound", event(0, life=f"s{number}"), number / 100 + 50.0)
    assert max(len(meetings._pictures), len(meetings._sounds)) <= MOST
    meetings.told("picture", event(0, life="last"), 1000.0 + LATE_S)
    assert (len(meetings._pictures), len(meetings._sounds)) == (1, 0)


def test_the_document_is_of_the_later_of_the_two() -> None:
    meetings = Meetings(RULE)
    seen, heard = event(1, life="p", at_s=2.0), event(9, label="knock", life="s", at_s=2.5)
    meetings.told("picture", seen, 2.0)
    [met] = meetings.told("sound", replace(heard, clock="unsynced"), 2.5)
    document = together("door", met)
    assert (document.at, document.apart_ms, document.clock) == (heard.at, 500.0, "unsynced")
    assert (document.picture.event, document.picture.state.label) == ("p", "red")
    assert (document.sound.event, document.sound.state.label) == ("s", "knock")
