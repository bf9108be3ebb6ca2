"""What a pipeline remembers, written down and put back, goes on as if nothing had been in between."""

from __future__ import annotations

import json

import numpy as np
from pydantic_core import to_json

from appliance.pipeline.lives import ObjectLives, SoundLives
from appliance.pipeline.memory import put_back, remembered
from appliance.pipeline.tracker import Tracker
from engines.predictions import Detection, Label

Parts = tuple[Tracker, ObjectLives, SoundLives]


def new() -> Parts:
    return Tracker(confirm=2, forget_s=0.5), ObjectLives(update_s=1.0), SoundLives(2, 0.5, 1.0)


def scene(rng: np.random.Generator) -> list[Detection]:
    boxes = rng.uniform(0, 400, (rng.integers(0, 6), 2)) // 40 * 40 + rng.uniform(0, 6, 2)
    labels = ("red", "green")
    return [
        Detection(labels[n % 2], n % 2, float(rng.uniform(0.4, 1)), (x, y, x + 38.0, y + 38.0))
        for n, (x, y) in enumerate(boxes.tolist())
    ]


def step(parts: Parts, number: int, seen: list[Detection], heard: list[Label]) -> list[object]:
    tracker, objects, sounds = parts
    now_s = number / 10
    numbered, ended = tracker.update(seen, now_s)
    steps = objects.steps(tracker.believed, ended, now_s, str(now_s)) + sounds.steps(heard, now_s, str(now_s))
    return [numbered, [(one.event, one.reason, one.track, one.before, one.after, one.seconds) for one in steps]]


def test_through_json_and_back_everything_goes_on_to_the_last_digit() -> None:
    rng = np.random.default_rng(5)
    parts = new()
    for number in range(60):
        step(parts, number, scene(rng), [Label("yes", 1, 0.5)] if number % 7 < 4 else [])
    again = new()
    put_back(json.loads(to_json(remembered(*parts), exclude_none=True)), *again)
    ids = {life.id for life in parts[1].lives.values()}
    assert ids == {life.id for life in again[1].lives.values()}
    assert ids
    for number in range(60, 200):
        seen, heard = scene(rng), [Label("yes", 1, 0.5)] if number % 7 < 4 else []
        assert step(parts, number, seen, heard) == step(again, number, seen, heard), number


def test_what_is_remembered_is_a_copy() -> None:
    rng = np.random.default_rng(5)
    parts = new()
    for number in range(20):
        step(parts, number, scene(rng), [])
    kept = remembered(*parts)
    said = to_json(kept)
    for number in range(20, 40):
        step(parts, number, scene(rng), [])
    assert to_json(kept) == said


def test_the_memory_of_a_pipeline_that_has_seen_nothing_can_be_put_back() -> None:
    parts = new()
    put_back(json.loads(to_json(remembered(*new()), exclude_none=True)), *parts)
    assert parts[0].tracks == []
    assert parts[0].next_number == 1
