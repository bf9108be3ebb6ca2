from __future__ import annotations

import numpy as np

from appliance.pipeline.tracker import Tracker
from engines.predictions import Detection


def seen(x: float, label: str = "car", y: float = 0.0, size: float = 40.0, score: float = 0.9) -> Detection:
    return Detection(label, {"car": 0, "truck": 1}[label], score, (x, y, x + size, y + size))


def test_a_moving_object_keeps_its_number() -> None:
    tracker = Tracker()
    numbers = {tracker.update([seen(10.0 * step)], step / 10)[0][0].track for step in range(30)}
    assert numbers == {1}


def test_a_fast_object_is_followed_by_its_speed() -> None:
    """Once its speed is known, steps of most of its own width do not confuse it with a new one."""
    tracker = Tracker()
    positions = np.cumsum([0, 10, 20, 28, 30, 30, 30, 30])
    numbers = [tracker.update([seen(float(x))], step / 10)[0][0].track for step, x in enumerate(positions)]
    assert set(numbers) == {1}


def test_two_objects_that_pass_each_other_keep_their_numbers() -> None:
    tracker = Tracker()
    for step in range(40):
        numbered, _ = tracker.update([seen(10.0 * step, y=0), seen(400 - 10.0 * step, y=25)], step / 10)
    assert [detection.track for detection in numbered] == [1, 2]


def test_a_wavering_label_is_one_object_with_the_label_seen_most() -> None:
    tracker = Tracker()
    for step in range(10):
        label = "truck" if step == 4 else "car"
        tracker.update([seen(2.0 * step, label)], step / 10)
    assert len(tracker.believed) == 1
    assert tracker.believed[0].label == "car"


def test_what_takes_the_place_of_a_car_that_was_parked_for_long_is_named_within_seconds() -> None:
    tracker = Tracker()
    for step in range(6000):
        tracker.update([seen(0)], step / 10)
    labels = []
    for step in range(6000, 6050):
        tracker.update([seen(0, "truck")], step / 10)
        labels.append(tracker.tracks[0].label)
    assert labels[0] == "car", "one look may be a slip"
    assert labels[-1] == "truck"


def test_a_single_sighting_is_not_believed() -> None:
    tracker = Tracker(confirm=3)
    tracker.update([seen(0)], 0.0)
    assert tracker.believed == []
    _, ended = tracker.update([], 10.0)
    assert ended == []


def test_an_object_ends_after_the_time_it_was_not_seen_in_answers() -> None:
    tracker = Tracker(confirm=1, forget_s=1.0)
    tracker.update([seen(0)], 0.0)
    ends = [bool(tracker.update([], step / 10)[1]) for step in range(1, 12)]
    assert ends.index(True) == 9


def test_one_look_after_a_long_outage_ends_nothing() -> None:
    """The camera was away for a minute: time without answers is not evidence."""
    tracker = Tracker(confirm=1, forget_s=1.0)
    tracker.update([seen(0)], 0.0)
    assert tracker.update([], 60.0)[1] == []


def test_a_short_absence_is_bridged() -> None:
    tracker = Tracker(confirm=1, forget_s=1.0)
    tracker.update([seen(0)], 0.0)
    tracker.update([], 0.1)
    tracker.update([], 0.2)
    assert tracker.update([seen(2)], 0.3)[0][0].track == 1


def test_objects_apart_are_different_objects() -> None:
    tracker = Tracker()
    numbered, _ = tracker.update([seen(0), seen(200)], 0.0)
    assert [detection.track for detection in numbered] == [1, 2]
