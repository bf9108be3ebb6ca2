"""When something seen and something heard meet. Pure: told what began, went on and ended, it says which met.

An object is there from its `new` to its `end`, and so is a sound. The two meet when both are there, or when no more
than `within_s` lies between them. Each sound meets one object at most: the nearest in time, of several the one that
came last. An object may meet any number of sounds. In which order the two are told does not matter, as long as neither
comes later than LATE_S after it was due.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, TypeAlias

from appliance.result import Event

LATE_S = 10.0
"""Of an answer that a model service gave, or of a window of sound that is long."""
MOST = 256
"""Objects, and sounds, that may be there at once; the oldest gives way."""

Side: TypeAlias = Literal["picture", "sound"]


@dataclass(slots=True)
class Presence:
    """Something that is, or was, there."""

    event: Event
    """Its `new`."""
    begin_s: float
    told_s: float
    """When it was last told to be there."""
    end_s: float | None = None
    met: bool = False

    def last_s(self, patience_s: float) -> float:
        """Until when it counts as there: a life whose end is never told ends by itself."""
        return self.told_s + patience_s if self.end_s is None else self.end_s


@dataclass(frozen=True, slots=True)
class Met:
    """An object and a sound."""

    picture: Event
    sound: Event
    apart_s: float
    """From the beginning of what was seen to the beginning of what was heard; negative when the sound came first."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What may meet. `patience_s`: how long each side counts as there without being told of."""

    within_s: float
    picture_labels: Collection[str] | None = None
    sound_labels: Collection[str] | None = None
    picture_patience_s: float = 10.0
    sound_patience_s: float = 10.0


class Meetings:
    """Of one pair of pipelines."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._pictures: dict[str, Presence] = {}
        self._sounds: dict[str, Presence] = {}
        self._newest_s = float("-inf")

    def told(self, side: Side, event: Event, at_s: float) -> list[Met]:
        """What meets because of this event; `at_s`: when it was captured, on one clock for both sides."""
        there = self._pictures if side == "picture" else self._sounds
        known = there.get(event.id)
        if event.event == "new":
            if known is not None or not self._wanted(side, event):
                return []
            there[event.id] = known = Presence(event, at_s, at_s)
            if len(there) > MOST:
                del there[next(iter(there))]
        elif known is None:
            return []
        elif event.event == "update":
            known.told_s = max(known.told_s, at_s)
        else:
            known.end_s = known.begin_s + event.seconds
        self._newest_s = max(self._newest_s, at_s)
        met = self._meet(side, known) if event.event == "new" else []
        self._forget()
        return met

    def _wanted(self, side: Side, event: Event) -> bool:
        only = self._rule.picture_labels if side == "picture" else self._rule.sound_labels
        return only is None or (event.after is not None and event.after.label in only)

    def _meet(self, side: Side, new: Presence) -> list[Met]:
        if side == "picture":
            waiting = [sound for sound in self._sounds.values() if not sound.met]
            return [self._pair(new, sound) for sound in waiting if self._between_s(new, sound) <= self._rule.within_s]
        near = [each for each in self._pictures.values() if self._between_s(each, new) <= self._rule.within_s]
        if not near:
            return []
        return [self._pair(min(near, key=lambda each: (self._between_s(each, new), -each.begin_s)), new)]

    def _pair(self, picture: Presence, sound: Presence) -> Met:
        sound.met = True
        return Met(picture.event, sound.event, sound.begin_s - picture.begin_s)

    def _between_s(self, picture: Presence, sound: Presence) -> float:
        """Time in which neither is there; 0 when both are at once."""
        picture_last_s = picture.last_s(self._rule.picture_patience_s)
        sound_last_s = sound.last_s(self._rule.sound_patience_s)
        return max(0.0, sound.begin_s - picture_last_s, picture.begin_s - sound_last_s)

    def _forget(self) -> None:
        """What nothing can meet any more."""
        keep_s = self._newest_s - self._rule.within_s - LATE_S
        for there, patience_s in (
            (self._pictures, self._rule.picture_patience_s),
            (self._sounds, self._rule.sound_patience_s),
        ):
            for key in [key for key, each in there.items() if each.last_s(patience_s) < keep_s]:
                del there[key]
