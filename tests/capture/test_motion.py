"""Is anything moving? Noise is not, a person is."""

from __future__ import annotations

import numpy as np
import pytest

from capture.motion import MotionGate
from capture.samples import Frame
from tests.capture.pictures_to_try import frame, noise

PERIOD_S = 1 / 15


def still(count: int, first: int = 0) -> list[Frame]:
    return [frame(noise(first + n), (first + n) * PERIOD_S, first + n) for n in range(count)]


def with_visitor(seq: int, x: int) -> Frame:
    pixels = noise(seq)
    pixels[60:120, x : x + 30] = 200
    return frame(pixels, seq * PERIOD_S, seq)


def test_the_first_picture_counts_as_moved() -> None:
    assert MotionGate().moved(still(1)[0])


def test_sensor_noise_alone_does_not_hold_the_gate_open() -> None:
    gate = MotionGate(hold_s=1.0)
    answers = [gate.moved(each) for each in still(60)]
    assert answers == [n * PERIOD_S <= 1.0 for n in range(60)]


def test_something_that_moves_opens_the_gate_and_holds_it_open_a_while_longer() -> None:
    gate = MotionGate(hold_s=1.0)
    for each in still(30):
        gate.moved(each)
    assert all(gate.moved(with_visitor(30 + n, 10 + 5 * n)) for n in range(20))
    after = [gate.moved(each) for each in still(150, first=50)]
    assert after[:15] == [True] * 15
    assert after[-1] is False


def test_what_stops_moving_becomes_background() -> None:
    gate = MotionGate(hold_s=0.5)
    for each in still(10):
        gate.moved(each)
    assert gate.moved(with_visitor(10, 100))
    answers = [gate.moved(with_visitor(11 + n, 100)) for n in range(15 * 20)]
    assert not answers[-1]


def test_the_threshold_is_a_share_of_the_picture() -> None:
    gate = MotionGate(threshold=0.5, hold_s=0.1)
    for each in still(10):
        gate.moved(each)
    assert not gate.moved(with_visitor(10, 100))
    assert 0.02 < gate.share < 0.06  # 30x60 of 320x180 is 0.031
    assert gate.moved(frame(np.full((180, 320, 3), 250, np.uint8), 11 * PERIOD_S))


def test_pictures_too_close_to_the_last_one_get_its_answer() -> None:
    gate = MotionGate(min_interval_s=1.0, hold_s=0.0)
    gate.moved(frame(noise(1), 0.0))
    assert not gate.moved(frame(noise(2), 1.0))
    assert not gate.moved(frame(np.zeros((180, 320, 3), np.uint8), 1.5))
    assert gate.moved(frame(np.zeros((180, 320, 3), np.uint8), 2.0))


def test_a_picture_of_another_size_counts_as_moved() -> None:
    gate = MotionGate(hold_s=0.0)
    gate.moved(frame(noise(0), 0.0))
    assert not gate.moved(frame(noise(1), 1.0))
    assert gate.moved(frame(noise(2, width=180, height=320), 2.0))


def test_a_threshold_outside_of_zero_to_one_is_refused() -> None:
    with pytest.raises(ValueError, match="motion threshold = 30: expected a share"):
        MotionGate(threshold=30)


def test_where_it_moves_is_told_as_a_part_of_the_picture() -> None:
    gate = MotionGate()
    for each in still(10):
        gate.moved(each)
    gate.moved(with_visitor(10, 100))
    assert gate.where is not None
    left, top, right, bottom = gate.where
    assert 85 / 320 < left <= 100 / 320
    assert 130 / 320 <= right < 145 / 320
    assert 45 / 180 < top <= 60 / 180
    assert 120 / 180 <= bottom < 135 / 180


def test_it_moves_nowhere_in_the_first_picture_and_in_still_ones() -> None:
    gate = MotionGate()
    for each in still(10):
        gate.moved(each)
        assert gate.where is None
