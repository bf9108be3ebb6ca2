from __future__ import annotations

from appliance.pipeline.lives import ObjectLives, SoundLives, Step
from appliance.pipeline.tracker import Tracker
from appliance.pipeline.zones import Zone
from engines.predictions import Detection, Label

GATE = Zone("gate", ((100, 0), (200, 0), (200, 100), (100, 100)))


class Scene:
    """A tracker and its lives, told one position per tenth of a second."""

    def __init__(self, update_s: float = 100.0) -> None:
        self.tracker = Tracker(confirm=2, forget_s=0.5)
        self.lives = ObjectLives([GATE], update_s)
        self.now_s = 0.0

    def shows(self, *lefts: float) -> list[Step]:
        self.now_s += 0.1
        found = [Detection("car", 2, 0.9, (x, 10, x + 40, 50)) for x in lefts]
        _, ended = self.tracker.update(found, self.now_s)
        return self.lives.steps(self.tracker.believed, ended, self.now_s, "now")


def test_an_object_is_new_once_then_ends_under_the_same_id() -> None:
    scene = Scene()
    steps = [step for _ in range(5) for step in scene.shows(0)]
    steps += [step for _ in range(10) for step in scene.shows()]
    assert [step.event for step in steps] == ["new", "end"]
    assert steps[0].id == steps[1].id
    assert steps[0].before is None
    assert steps[1].after is None


def test_entering_and_leaving_a_zone_are_updates_with_before_and_after() -> None:
    scene = Scene()
    steps = [step for x in range(0, 320, 10) for step in scene.shows(float(x))]
    assert [(step.event, step.reason) for step in steps[1:]] == [("update", "entered gate"), ("update", "left gate")]
    entered = steps[1]
    assert entered.before is not None
    assert entered.after is not None
    assert (entered.before.zones, entered.after.zones) == ((), ("gate",))


def test_an_object_that_stays_is_told_again_at_the_pace_asked_for() -> None:
    scene = Scene(update_s=1.0)
    steps = [step for _ in range(30) for step in scene.shows(0)]
    assert [step.event for step in steps] == ["new", "update", "update"]
    assert all(step.reason == "still there" for step in steps[1:])


def test_counts_are_the_objects_alive() -> None:
    scene = Scene()
    for _ in range(3):
        scene.shows(0, 200)
    assert scene.lives.counts() == {"car": 2}
    for _ in range(10):
        scene.shows(0)
    assert scene.lives.counts() == {"car": 1}


def test_a_sound_begins_and_ends_once() -> None:
    lives = SoundLives(confirm=2, forget_s=0.3)
    heard = [Label("low", 1, 0.9)]
    silence = [Label("silence", 0, 0.9)]
    windows = [silence, heard, heard, heard, silence, heard, silence, silence, silence, silence]
    steps = [step for number, labels in enumerate(windows) for step in lives.steps(labels, number / 10, "now")]
    assert [step.event for step in steps] == ["new", "end"]
    assert steps[0].id == steps[1].id


def test_silence_is_no_event() -> None:
    lives = SoundLives()
    assert lives.steps([Label("silence", 0, 1.0)], 0.0, "now") == []
    assert lives.counts() == {}


def test_a_sound_too_short_to_believe_leaves_no_trace() -> None:
    lives = SoundLives(confirm=3)
    steps = lives.steps([Label("low", 1, 0.9)], 0.0, "now") + lives.steps([], 0.1, "now")
    assert steps == []


def test_a_word_that_is_over_ends_at_once_and_said_again_it_is_another() -> None:
    lives = SoundLives(forget_s=0.0)
    windows = [[Label("five", 5, 0.9)]] * 3 + [[]] + [[Label("five", 5, 0.9)]] * 2 + [[]]
    steps = [step for number, labels in enumerate(windows) for step in lives.steps(labels, number / 10, "now")]
    assert [step.event for step in steps] == ["new", "end", "new", "end"]
    assert steps[0].id == steps[1].id != steps[2].id == steps[3].id
