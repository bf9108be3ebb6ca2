"""What a pipeline remembers from one sample to the next, as plain values: written into a recording, put back by a
replay, which then goes on exactly as the pipeline did."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from appliance.pipeline.lives import Life, ObjectLives, SoundLives
from appliance.pipeline.tracker import Track, Tracker

Memory = dict[str, Any]
"""JSON; the keys are those of `remembered`."""

_TRACK = tuple(name for name in Track.__slots__ if name != "votes")
_LIFE = Life.__slots__
_tracks = TypeAdapter(list[Track])
_lives = TypeAdapter(dict[str, Life])


def remembered(tracker: Tracker, objects: ObjectLives, sounds: SoundLives) -> Memory:
    """A copy: what happens later does not change it."""
    return {
        "tracks": [_track(track) for track in tracker.tracks],
        "next_track": tracker.next_number,
        "tracked_s": tracker.last_s,
        "objects": {str(number): _life(life) for number, life in objects.lives.items()},
        "sounds": {name: _life(life) for name, life in sounds.lives.items()},
        "heard_s": sounds.last_s,
    }


def put_back(memory: Memory, tracker: Tracker, objects: ObjectLives, sounds: SoundLives) -> None:
    """As it was when `remembered` was called. Raises KeyError or pydantic's ValidationError for anything else."""
    said = [{**track, "votes": {}} for track in memory["tracks"]]
    tracker.tracks = _tracks.validate_python(said)
    for track, told in zip(tracker.tracks, memory["tracks"], strict=True):
        track.votes = {(int(number), str(label)): float(score) for number, label, score in told["votes"]}
    tracker.next_number, tracker.last_s = int(memory["next_track"]), memory.get("tracked_s")
    objects.lives = {int(number): life for number, life in _lives.validate_python(memory["objects"]).items()}
    sounds.lives = _lives.validate_python(memory["sounds"])
    sounds.last_s = memory.get("heard_s")


def _track(track: Track) -> dict[str, Any]:
    votes = [[number, label, score] for (number, label), score in track.votes.items()]
    return {name: getattr(track, name) for name in _TRACK} | {"votes": votes}


def _life(life: Life) -> dict[str, Any]:
    """Its state never changes, a new one takes its place: it can be shared."""
    return {name: getattr(life, name) for name in _LIFE}
