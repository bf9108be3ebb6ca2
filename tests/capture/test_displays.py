"""The scene of digits says what is in its pictures, and that is what is in them."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from capture.displays import COUNTS_EVERY_S, ROLL_S, ROLLS_EVERY_S, Displays, Reading
from capture.numerals import segments, strokes
from capture.options import VideoOptions
from capture.samples import Pixels


def scene(seed: int = 0, width: int | None = None, height: int | None = None) -> Displays:
    return Displays("hall", VideoOptions(realtime=False, seed=seed, width=width, height=height))


def inked(pixels: Pixels, box: tuple[float, float, float, float], margin: int) -> tuple[int, ...]:
    """Bounds of what differs strongly from the lower left corner of a box with a margin around it."""
    left, top, right, bottom = (round(edge) for edge in box)
    patch = pixels[top - margin : bottom + margin, left - margin : right + margin].astype(int)
    contrast = np.abs(patch - np.median(patch[-margin:, :margin], axis=(0, 1))).max(axis=2)
    ys, xs = np.nonzero(contrast > 0.5 * np.percentile(contrast, 98))
    return xs.min() + left - margin, ys.min() + top - margin, xs.max() + 1 + left - margin, ys.max() + 1 + top - margin


def test_the_ink_is_where_the_truth_says() -> None:
    seen: Counter[str] = Counter()
    for seed in range(3):
        with scene(seed) as source:
            for seq in range(0, 900, 45):
                pixels = source.render(seq)
                for reading in source.truth(seq):
                    if reading.display == "drums":  # too close to their neighbours for any margin
                        continue
                    for each in reading.numerals:
                        if each.visible < 1 or each.box_px[0] < 4 or each.box_px[2] > 636:
                            continue
                        found = inked(pixels, each.box_px, 3)
                        np.testing.assert_allclose(found, each.box_px, atol=2.01)
                        seen[reading.display] += 1
    assert min(seen["segments"], seen["label"]) > 50


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_digit_can_be_told_from_the_others_by_the_ink_in_its_box(seed: int) -> None:
    """Of all ten digits drawn into the box, the true one looks most like what is there."""
    draws = {"segments": segments, "drums": strokes, "label": strokes}
    told: Counter[bool] = Counter()
    with scene(seed) as source:
        for seq in range(0, 900, 60):
            pixels = source.render(seq).astype(np.float32).mean(axis=2)
            for reading in source.truth(seq):
                for each in reading.numerals:
                    x1, y1, x2, y2 = (round(edge) for edge in each.box_px)
                    if each.visible < 1 or reading.display == "label":  # which is tilted
                        continue
                    patch = pixels[y1:y2, x1:x2]
                    likeness = {}
                    for digit in range(10):
                        mask = draws[reading.display](digit, 62 if reading.display == "segments" else 48)
                        ys, xs = np.nonzero(mask >= 128)
                        shape = mask[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1].astype(np.float32)
                        if shape.shape == patch.shape:
                            likeness[digit] = abs(np.corrcoef(shape.ravel(), patch.ravel())[0, 1])
                    told[max(likeness, key=lambda digit: likeness[digit]) == each.digit] += 1
    assert told[True] > 50
    assert not told[False]


def numbers(source: Displays, seconds: float) -> dict[str, str]:
    return {reading.display: reading.number for reading in source.truth(round(seconds * 30))}


def test_the_display_counts_up_in_even_steps() -> None:
    source = scene(4)
    shown = [int(numbers(source, COUNTS_EVERY_S * (count + 0.5))["segments"]) for count in range(6)]
    [step] = {(after - before) % 10_000 for before, after in itertools.pairwise(shown)}
    assert step in (1, 3, 7)


def test_the_counter_counts_by_one_and_every_drum_takes_the_next_along() -> None:
    source = scene(0)
    before = int(numbers(source, 0.1)["drums"])
    for turn in range(1, 25):  # over a hundred, so that three drums turn at once
        count = (before + turn) % 100_000
        assert numbers(source, ROLLS_EVERY_S * turn + 0.1)["drums"] == f"{count:05d}"


def test_a_drum_that_turns_shows_parts_of_two_digits_in_its_window_and_then_the_next_whole() -> None:
    source = scene(0)
    middle = ROLLS_EVERY_S - ROLL_S / 2
    [turning] = [each for each in source.truth(round(middle * 30)) if each.display == "drums"]
    old, new = turning.numerals[-2:]
    assert new.digit == (old.digit + 1) % 10
    assert old.box_px[1] < new.box_px[1]
    assert 0.3 < old.visible < 0.6
    assert 0.3 < new.visible < 0.6
    assert all(each.visible == 1 for each in turning.numerals[:-2])


def test_a_label_goes_through_from_the_left_and_another_one_follows() -> None:
    source, way = scene(5), dict[str, list[float]]()
    for seq in range(0, 1800, 3):
        for reading in source.truth(seq):
            x1, x2 = bounds(reading)[::2]
            if reading.display == "label" and x1 > 40 and x2 < 600:  # all of it is in the picture
                way.setdefault(reading.number, []).append(x1)
    assert len(way) == 7
    for lefts in way.values():
        assert lefts[0] < 60 or lefts[0] > 200, "the first is on its way already"
        assert all(0 < after - before < 15 for before, after in itertools.pairwise(lefts))


def test_a_picture_follows_from_the_seed_and_its_number_alone() -> None:
    with scene(7) as one, scene(7) as two, scene(8) as other:
        for seq in (500, 3, 118, 90):
            np.testing.assert_array_equal(one.render(seq), two.render(seq))
            assert one.truth(seq) == two.truth(seq)
            assert one.truth(seq) != other.truth(seq)


def test_no_digit_is_less_than_14_pixels_tall_to_a_network_that_takes_256() -> None:
    source = scene()
    for reading in source.truth(0):
        for each in reading.numerals:
            assert (each.box_px[3] - each.box_px[1]) * 256 / 640 >= 14


@pytest.mark.parametrize(("width", "height"), [(320, 180), (1280, 720), (641, 481)])
def test_it_comes_in_the_size_asked_for_with_all_displays_inside(width: int, height: int) -> None:
    with scene(0, width, height) as source:
        assert source.render(5).shape == (height, width, 3)
        for seq in range(0, 900, 30):
            for reading in source.truth(seq):
                if reading.display != "label":
                    assert all(inside(each.box_px, width, height) for each in reading.numerals)


def inside(box: tuple[float, float, float, float], width: int, height: int) -> bool:
    return box[0] >= 0 and box[1] >= 0 and box[2] <= width and box[3] <= height


def test_displays_never_lie_over_each_other() -> None:
    source = scene(3)
    for seq in range(0, 2000, 7):
        around = [bounds(reading) for reading in source.truth(seq)]
        for one, other in itertools.combinations(around, 2):
            apart = one[2] < other[0] or other[2] < one[0] or one[3] < other[1] or other[3] < one[1]
            assert apart, seq


def bounds(reading: Reading) -> tuple[float, float, float, float]:
    boxes = np.array([each.box_px for each in reading.numerals])
    left, top = boxes[:, :2].min(axis=0)
    right, bottom = boxes[:, 2:].max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def test_too_small_a_scene_is_refused() -> None:
    with pytest.raises(ValueError, match="scene:digits: 100x40 is too small: at least 320x180"):
        scene(0, 100, 40)
