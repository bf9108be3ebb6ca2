"""Gives every object a number that stays the same from picture to picture.

Association by overlap with a constant-velocity prediction, in two rounds: first within a label, then across labels
(a detector that wavers between "car" and "truck" sees one object). After ByteTrack's idea of matching by motion
first (Zhang et al., 2022), reduced to what a detector that already filters by score leaves to do.
See docs/decisions/0002-own-tracker.md for why no library.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from engines.predictions import Detection

Boxes = npt.NDArray[np.float64]

SAME_LABEL_IOU = 0.2
OTHER_LABEL_IOU = 0.6
_NOTHING = float(np.finfo(np.float64).tiny)
"""Instead of no area at all: two boxes without any do not overlap."""
VELOCITY_MEMORY = 0.5
"""Weight of the old velocity against the newest step."""
MOST_VOTES = 30.0
"""Sum of the scores that count for a label: what stood there for hours is outvoted within seconds."""


@dataclass(slots=True)
class Track:
    """One object. Times are seconds on the caller's clock."""

    number: int
    box: tuple[float, float, float, float]
    score: float
    class_id: int
    label: str
    first_s: float
    last_s: float
    sightings: int = 1
    unseen_s: float = 0.0
    """Answered time without a sighting: outages and failed inferences do not count."""
    velocity: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Of the four sides, pixels per second."""
    votes: dict[tuple[int, str], float] = field(default_factory=dict)

    def predicted(self, now_s: float) -> tuple[float, float, float, float]:
        """Where the box should be at `now_s`, if it goes on as it went."""
        passed = now_s - self.last_s
        left, top, right, bottom = self.box
        of_left, of_top, of_right, of_bottom = self.velocity
        return left + of_left * passed, top + of_top * passed, right + of_right * passed, bottom + of_bottom * passed

    def saw(self, detection: Detection, now_s: float) -> None:
        passed = now_s - self.last_s
        if passed > 0:
            # Side by side in plain floats: for four numbers NumPy, or a loop, costs more than the sums.
            left, top, right, bottom = self.box
            to_left, to_top, to_right, to_bottom = detection.box
            of_left, of_top, of_right, of_bottom = self.velocity
            keep, take = VELOCITY_MEMORY, (1 - VELOCITY_MEMORY) / passed
            self.velocity = (
                keep * of_left + take * (to_left - left),
                keep * of_top + take * (to_top - top),
                keep * of_right + take * (to_right - right),
                keep * of_bottom + take * (to_bottom - bottom),
            )
        self.box, self.score = detection.box, detection.score
        self.last_s, self.unseen_s = now_s, 0.0
        self.sightings += 1
        vote = (detection.class_id, detection.label)
        self.votes[vote] = self.votes.get(vote, 0.0) + detection.score
        if self.votes[vote] > MOST_VOTES:
            self.votes = {each: score / 2 for each, score in self.votes.items()}
        self.class_id, self.label = max(self.votes, key=self.votes.__getitem__)


class Tracker:
    """Follows the objects of one picture source."""

    def __init__(self, confirm: int = 3, forget_s: float = 1.5) -> None:
        """`confirm`: sightings until an object is believed; `forget_s`: answered seconds unseen until it has ended."""
        self._confirm = confirm
        self._forget_s = forget_s
        self.next_number = 1
        self.last_s: float | None = None
        self.tracks: list[Track] = []

    @property
    def believed(self) -> list[Track]:
        return [track for track in self.tracks if track.sightings >= self._confirm]

    def update(self, detections: Sequence[Detection], now_s: float) -> tuple[list[Detection], list[Track]]:
        """One answered picture: the detections with their track numbers, and the believed tracks that ended.

        Only call it for a valid answer: a failed inference must not end anything.
        """
        passed = 0.0 if self.last_s is None else max(0.0, now_s - self.last_s)
        self.last_s = now_s
        pairs = self._associate(detections, now_s)
        numbered = []
        for position, detection in enumerate(detections):
            track = pairs.get(position)
            if track is None:
                track = self._begin(detection, now_s)
            else:
                track.saw(detection, now_s)
            # Not `replace`, which takes four times as long.
            numbered.append(
                Detection(detection.label, detection.class_id, detection.score, detection.box, track.number)
            )
        # A long pause between answers counts as half the patience at most: one look does not end an object.
        patience = min(passed, self._forget_s / 2)
        for track in self.tracks:
            if track.last_s != now_s:
                track.unseen_s += patience
        ended = [t for t in self.tracks if t.unseen_s >= self._forget_s]
        self.tracks = [t for t in self.tracks if t.unseen_s < self._forget_s]
        return numbered, [t for t in ended if t.sightings >= self._confirm]

    def _begin(self, detection: Detection, now_s: float) -> Track:
        track = Track(
            number=self.next_number,
            box=detection.box,
            score=detection.score,
            class_id=detection.class_id,
            label=detection.label,
            first_s=now_s,
            last_s=now_s,
            votes={(detection.class_id, detection.label): detection.score},
        )
        self.next_number += 1
        self.tracks.append(track)
        return track

    def _associate(self, detections: Sequence[Detection], now_s: float) -> dict[int, Track]:
        """Detection position to track: best overlap first, within a label, then across labels."""
        if not self.tracks or not detections:
            return {}
        overlap = iou(
            np.asarray([detection.box for detection in detections]),
            np.asarray([track.predicted(now_s) for track in self.tracks]),
        )
        # Most boxes are far from most tracks: only those that overlap are sorted and looked at.
        rows, columns = np.nonzero(overlap >= SAME_LABEL_IOU)
        near = overlap[rows, columns]
        order = np.argsort(-near, kind="stable")
        candidates = list(zip(rows[order].tolist(), columns[order].tolist(), near[order].tolist(), strict=True))
        pairs: dict[int, Track] = {}
        taken: set[int] = set()
        for same, least in ((True, SAME_LABEL_IOU), (False, OTHER_LABEL_IOU)):
            for row, column, share in candidates:
                if share < least:
                    break
                track = self.tracks[column]
                if row not in pairs and column not in taken and (detections[row].label == track.label) is same:
                    pairs[row] = track
                    taken.add(column)
        return pairs


def iou(some: Boxes, others: Boxes) -> Boxes:
    """Intersection over union of (n, 4) and (m, 4) corner boxes: (n, m)."""
    sides = np.minimum(some[:, None, 2:], others[None, :, 2:])
    sides -= np.maximum(some[:, None, :2], others[None, :, :2])
    np.maximum(sides, 0.0, out=sides)
    inner = sides[..., 0] * sides[..., 1]

    def area(boxes: Boxes) -> Boxes:
        return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))

    union = area(some)[:, None] + area(others)[None, :] - inner
    return np.asarray(inner / np.maximum(union, _NOTHING))
