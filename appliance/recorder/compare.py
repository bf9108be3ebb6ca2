"""Whether a replay says what was said, and where it first does not. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.pipeline.tracker import iou
from appliance.result import Event, ObjectState, Result
from engines.predictions import Detection, Label, Segment

NEAR_IOU = 0.5
"""Boxes that overlap so much are the same object, where pixels were lost."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far apart values may be that count as the same."""

    score: float
    box_px: float
    seconds: float = 0.001
    objects_only: bool = False
    """Compare what was detected, whatever its order; not tracks and events, which a score just above or below the
    threshold changes for good."""


EXACT = Tolerance(score=0.001, box_px=0.1)
"""Where the model is given what it was given: what remains is the arithmetic of another processor or back end."""
LOSSY = Tolerance(score=0.15, box_px=8.0, objects_only=True)
"""Where it is given the pictures of a video."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first field that is not as it was."""

    field: str
    was: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.field} was {self.was}, is {self.now}"


def results(was: Result, now: Result, tolerance: Tolerance, threshold: float) -> Difference | None:
    """`threshold`: least score that was asked for."""
    if was.status != now.status:
        return Difference("status", was.status, now.status)
    if tolerance.objects_only and was.detections is not None and now.detections is not None:
        return next(_objects(was.detections, now.detections, tolerance, threshold), None)
    return next(_predictions(was, now, tolerance), None)


def events(was: Sequence[Event], now: Sequence[Event], ids: dict[str, str], tolerance: Tolerance) -> Difference | None:
    """Of one sample. `ids`: of lives, from what they were to what they are in the replay; added to."""
    if len(was) != len(now):
        return Difference("events", [_brief(each) for each in was], [_brief(each) for each in now])
    for place, (before, after) in enumerate(zip(was, now, strict=True)):
        if ids.setdefault(before.id, after.id) != after.id:
            return Difference(f"events[{place}].id", ids[before.id], after.id)
        for field in ("event", "track", "reason", "model.name"):
            one, other = _at(before, field), _at(after, field)
            if one != other:
                return Difference(f"events[{place}].{field}", one, other)
        if abs(before.seconds - after.seconds) > tolerance.seconds:
            return Difference(f"events[{place}].seconds", before.seconds, after.seconds)
        for field, one_state, other_state in (
            ("before", before.before, after.before),
            ("after", before.after, after.after),
        ):
            found = next(_states(f"events[{place}].{field}", one_state, other_state, tolerance), None)
            if found is not None:
                return found
    return None


def _brief(event: Event) -> str:
    state = event.after or event.before
    return f"{event.event} {state.label if state else ''}".strip()


def _at(document: Any, path: str) -> Any:
    for step in path.split("."):
        document = getattr(document, step)
    return document


def _predictions(was: Result, now: Result, tolerance: Tolerance) -> Iterator[Difference]:
    for kind in ("detections", "labels", "segments"):
        before: Sequence[Any] = getattr(was, kind) or ()
        after: Sequence[Any] = getattr(now, kind) or ()
        for place, (one, other) in enumerate(zip(before, after, strict=False)):
            yield from _prediction(f"{kind}[{place}]", one, other, tolerance)
        if len(before) != len(after):
            yield Difference(kind, [each.label for each in before], [each.label for each in after])


def _prediction(
    where: str, was: Detection | Label | Segment, now: Detection | Label | Segment, tolerance: Tolerance
) -> Iterator[Difference]:
    yield from _same(where, was, now, "label")
    if isinstance(was, Segment) and isinstance(now, Segment):
        for field in ("start_s", "end_s"):
            yield from _near(f"{where}.{field}", getattr(was, field), getattr(now, field), tolerance.seconds)
        return
    if not isinstance(was, (Detection, Label)) or not isinstance(now, (Detection, Label)):
        return
    yield from _near(f"{where}.score", was.score, now.score, tolerance.score)
    if isinstance(was, Detection) and isinstance(now, Detection):
        yield from _same(where, was, now, "track")
        yield from _boxes(f"{where}.box", was.box, now.box, tolerance)


def _objects(
    was: Sequence[Detection], now: Sequence[Detection], tolerance: Tolerance, threshold: float
) -> Iterator[Difference]:
    """What is there on one side alone counts when its score says that it should be on both."""
    left = list(now)
    for place, one in enumerate(was):
        other = max(left, key=lambda each: _overlap(one, each), default=None)
        if other is not None and other.label == one.label and _overlap(one, other) >= NEAR_IOU:
            left.remove(other)
            yield from _near(f"detections[{place}].score", one.score, other.score, tolerance.score)
            yield from _boxes(f"detections[{place}].box", one.box, other.box, tolerance)
        elif one.score >= threshold + tolerance.score:
            yield Difference(f"detections[{place}]", f"{one.label} {one.score:.3f}", "not there")
    for other in left:
        if other.score >= threshold + tolerance.score:
            yield Difference("detections", "not there", f"{other.label} {other.score:.3f} at {list(other.box)}")


def _overlap(one: Detection, other: Detection) -> float:
    import numpy as np

    return float(iou(np.asarray([one.box]), np.asarray([other.box]))[0, 0])


def _states(where: str, was: ObjectState | None, now: ObjectState | None, tolerance: Tolerance) -> Iterator[Difference]:
    if was is None or now is None:
        if was is not now:
            yield Difference(where, was, now)
        return
    for field in ("label", "at", "zones"):
        yield from _same(where, was, now, field)
    yield from _near(f"{where}.score", was.score, now.score, tolerance.score)
    if was.box is not None and now.box is not None:
        yield from _boxes(f"{where}.box", was.box, now.box, tolerance)


def _same(where: str, was: Any, now: Any, field: str) -> Iterator[Difference]:
    one, other = getattr(was, field), getattr(now, field)
    if one != other:
        yield Difference(f"{where}.{field}", one, other)


def _near(where: str, was: float, now: float, apart: float) -> Iterator[Difference]:
    if not abs(was - now) <= apart:
        yield Difference(where, was, now)


def _boxes(where: str, was: Sequence[float], now: Sequence[float], tolerance: Tolerance) -> Iterator[Difference]:
    if not all(abs(one - other) <= tolerance.box_px for one, other in zip(was, now, strict=True)):
        yield Difference(where, list(was), list(now))
