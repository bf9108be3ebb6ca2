"""The life of an object or a sound as steps: `new`, `update`, `end`, under one id.

Pure: told what a valid answer showed, it says which steps that makes. A failed inference is never shown to it, so
nothing ends because an engine stumbled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ulid import ULID

from appliance.pipeline.tracker import Track
from appliance.pipeline.zones import Zone, zones_of
from appliance.result import ObjectState
from engines.predictions import Label

QUIET = frozenset({"silence", "unknown", "background"})
"""Labels of sound that say nothing happened: they make no events."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step in one life."""

    id: str
    event: Literal["new", "update", "end"]
    reason: str
    before: ObjectState | None
    after: ObjectState | None
    track: int | None
    seconds: float


@dataclass(slots=True)
class Life:
    """What is remembered of one object or one sound."""

    id: str
    state: ObjectState
    first_s: float
    told_s: float
    """When a step was last published."""
    last_s: float = 0.0
    heard: int = 1
    unheard_s: float = 0.0
    born: bool = True


class ObjectLives:
    """Steps from the tracks of one picture source."""

    def __init__(self, zones: Sequence[Zone] = (), update_s: float = 5.0) -> None:
        self._zones = zones
        self._update_s = update_s
        self.lives: dict[int, Life] = {}

    def steps(self, believed: Sequence[Track], ended: Sequence[Track], now_s: float, at: str) -> list[Step]:
        """The steps of one answered picture; `now_s` is the tracker's clock, `at` its capture time in words."""
        steps = [step for track in believed if (step := self._shown(track, now_s, at))]
        return steps + [step for track in ended if (step := self._gone(track))]

    def counts(self) -> Counter[str]:
        """How many objects of each label are alive."""
        return Counter(life.state.label for life in self.lives.values())

    def _shown(self, track: Track, now_s: float, at: str) -> Step | None:
        life = self.lives.get(track.number)
        if life is not None and track.last_s != now_s:
            return None
        state = ObjectState(
            label=track.label,
            class_id=track.class_id,
            score=track.score,
            at=at,
            box=track.box,
            zones=zones_of(track.box, self._zones),
        )
        if life is None:
            life = self.lives[track.number] = Life(str(ULID()), state, track.first_s, now_s)
            return Step(life.id, "new", "seen often enough to be believed", None, state, track.number, 0.0)
        before, life.state = life.state, state
        reason = _change(before, state) or ("still there" if now_s - life.told_s >= self._update_s else None)
        if reason is None:
            return None
        life.told_s = now_s
        return Step(life.id, "update", reason, before, state, track.number, now_s - life.first_s)

    def _gone(self, track: Track) -> Step | None:
        life = self.lives.pop(track.number, None)
        if life is None:
            return None
        seconds = track.last_s - life.first_s
        return Step(life.id, "end", "not seen any more", life.state, None, track.number, seconds)


def _change(before: ObjectState, after: ObjectState) -> str | None:
    """What a subscriber should be told at once."""
    if before.label != after.label:
        return f"{before.label} turned out to be {after.label}"
    entered = [zone for zone in after.zones if zone not in before.zones]
    if entered:
        return f"entered {', '.join(entered)}"
    left = [zone for zone in before.zones if zone not in after.zones]
    return f"left {', '.join(left)}" if left else None


class SoundLives:
    """Steps from the labels of one sound source: a sound begins when it was heard `confirm` windows in a row."""

    def __init__(self, confirm: int = 1, forget_s: float = 0.5, update_s: float = 5.0) -> None:
        self._confirm = confirm
        self.forget_s = forget_s
        """Seconds unheard until a sound has ended; 0: with the first window without it."""
        self._update_s = update_s
        self.lives: dict[str, Life] = {}
        self.last_s: float | None = None

    def steps(self, labels: Sequence[Label], now_s: float, at: str) -> list[Step]:
        """The steps of one answered window; `now_s` is the time of its first sample in seconds."""
        passed = 0.0 if self.last_s is None else max(0.0, now_s - self.last_s)
        self.last_s = now_s
        heard = {label.label: label for label in labels if label.label not in QUIET}
        steps = [step for label in heard.values() if (step := self._heard(label, now_s, at))]
        for name in [name for name in self.lives if name not in heard]:
            step = self._unheard(name, min(passed, self.forget_s / 2))
            if step is not None:
                steps.append(step)
        return steps

    def counts(self) -> Counter[str]:
        """1 for every sound that is heard now."""
        return Counter(name for name, life in self.lives.items() if life.born)

    def _heard(self, label: Label, now_s: float, at: str) -> Step | None:
        state = ObjectState(label=label.label, class_id=label.class_id, score=label.score, at=at)
        life = self.lives.get(label.label)
        if life is None:
            life = Life(str(ULID()), state, now_s, now_s, now_s, heard=0, born=False)
            self.lives[label.label] = life
        before, life.state = life.state, state
        life.heard += 1
        life.last_s, life.unheard_s = now_s, 0.0
        if not life.born:
            if life.heard < self._confirm:
                return None
            life.born, life.told_s = True, now_s
            return Step(life.id, "new", "heard", None, state, None, 0.0)
        if now_s - life.told_s < self._update_s:
            return None
        life.told_s = now_s
        return Step(life.id, "update", "still heard", before, state, None, now_s - life.first_s)

    def _unheard(self, name: str, passed: float) -> Step | None:
        life = self.lives[name]
        life.unheard_s += passed
        if not life.born:
            del self.lives[name]
            return None
        if life.unheard_s < self.forget_s:
            return None
        del self.lives[name]
        return Step(life.id, "end", "not heard any more", life.state, None, None, life.last_s - life.first_s)
