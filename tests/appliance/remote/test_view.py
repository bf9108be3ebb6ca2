"""An answer about a part of a picture, put back into the whole."""

from __future__ import annotations

import numpy as np

from appliance.remote.view import View
from engines.predictions import Answer, Detection, Keypoint, Label, Mask, Pose, StageTimes

TIMES = StageTimes(0, 0, 0)
FOUND = Detection(
    "person",
    0,
    0.9,
    (1.0, 2.0, 11.0, 22.0),
    mask=Mask((((1.0, 2.0), (11.0, 2.0), (1.0, 22.0)),)),
    pose=Pose((Keypoint(5.0, 6.0, 0.5),)),
    corners=((1.0, 2.0), (11.0, 2.0), (11.0, 22.0), (1.0, 22.0)),
)


def test_the_part_is_cut_out_exactly() -> None:
    pixels = np.arange(10 * 20 * 3, dtype=np.uint8).reshape(10, 20, 3)
    part = View(left=3, top=2, width=5, height=4).of(pixels)
    np.testing.assert_array_equal(part, pixels[2:6, 3:8])


def test_boxes_outlines_joints_and_corners_move_by_where_the_part_was() -> None:
    answer = View(left=100, top=50, width=64, height=64).back(Answer("detect", (FOUND,), TIMES))
    [moved] = answer.predictions
    assert isinstance(moved, Detection)
    assert moved.box == (101.0, 52.0, 111.0, 72.0)
    assert moved.mask == Mask((((101.0, 52.0), (111.0, 52.0), (101.0, 72.0)),))
    assert moved.pose == Pose((Keypoint(105.0, 56.0, 0.5),))
    assert moved.corners == ((101.0, 52.0), (111.0, 52.0), (111.0, 72.0), (101.0, 72.0))
    assert (moved.label, moved.class_id, moved.score) == ("person", 0, 0.9)


def test_the_whole_picture_and_labels_stay_as_they_are() -> None:
    whole = Answer("detect", (FOUND,), TIMES)
    assert View(0, 0, 640, 480).back(whole) is whole
    label = Answer("classify", (Label("dog", 1, 0.8),), TIMES)
    assert View(5, 5, 64, 64).back(label).predictions == label.predictions
