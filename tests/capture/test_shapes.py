"""The synthetic scene says what is in its pictures, and that is what is in them."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from capture.options import VideoOptions
from capture.samples import Pixels
from capture.shapes import LARGEST_PX, SMALLEST_PX, Shape, Shapes

FAST = VideoOptions(realtime=False)
CHANNEL = {"blue": 0, "green": 1, "red": 2}


def scene(seed: int = 0, width: int | None = None, height: int | None = None) -> Shapes:
    return Shapes("yard", VideoOptions(realtime=False, seed=seed, width=width, height=height))


def coloured(pixels: Pixels, colour: str, box: tuple[float, float, float, float]) -> tuple[int, ...] | None:
    """Bounds of the pixels of a colour in and around a box."""
    values = pixels.astype(int)
    others = [channel for channel in range(3) if channel != CHANNEL[colour]]
    strong = values[:, :, CHANNEL[colour]] - values[:, :, others].max(axis=2) > 60
    left, top = max(0, int(box[0]) - 4), max(0, int(box[1]) - 4)
    ys, xs = np.nonzero(strong[top : int(box[3]) + 4, left : int(box[2]) + 4])
    if len(xs) == 0:
        return None
    return xs.min() + left, ys.min() + top, xs.max() + 1 + left, ys.max() + 1 + top


def test_the_truth_is_in_the_picture_to_the_pixel() -> None:
    seen: Counter[str] = Counter()
    for seed in range(3):
        with scene(seed) as source:
            for seq in range(0, 600, 17):
                pixels = source.render(seq)
                for shape in source.truth(seq):
                    if shape.visible < 1:
                        continue
                    found = coloured(pixels, shape.colour, shape.box_px)
                    assert found is not None
                    np.testing.assert_allclose(found, shape.box_px, atol=1.01)
                    seen[shape.label] += 1
    assert len(seen) == 9, f"not every colour and shape came up: {seen}"


def test_nothing_else_in_the_picture_looks_like_a_shape() -> None:
    with scene() as source:
        for seq in range(0, 600, 41):
            pixels = source.render(seq)
            pixels.flags.writeable = True
            for shape in source.truth(seq):
                x1, y1, x2, y2 = (int(edge) for edge in shape.box_px)
                pixels[max(0, y1 - 2) : y2 + 3, max(0, x1 - 2) : max(0, x2 + 3)] = 0
            for colour in CHANNEL:
                assert coloured(pixels, colour, (0, 0, 640, 360)) is None


def test_a_picture_follows_from_the_seed_and_its_number_alone() -> None:
    with scene(7) as one, scene(7) as two, scene(8) as other:
        for seq in (500, 3, 90):
            np.testing.assert_array_equal(one.render(seq), two.render(seq))
            assert one.truth(seq) == two.truth(seq)
            assert (one.render(seq) != other.render(seq)).any()


def test_shapes_never_touch_and_keep_their_size() -> None:
    source = scene(3)
    for seq in range(0, 3000, 5):
        shapes = source.truth(seq)
        for shape in shapes:
            width, height = shape.box_px[2] - shape.box_px[0], shape.box_px[3] - shape.box_px[1]
            assert SMALLEST_PX <= round(width, 6) <= LARGEST_PX
            assert width == pytest.approx(height)
            assert shape.box_px[1] >= 0
            assert shape.box_px[3] <= 360
        for one, two in itertools.combinations(shapes, 2):
            assert one.box_px[3] <= two.box_px[1] or two.box_px[3] <= one.box_px[1]


def test_shapes_move_smoothly_leave_and_come_back_as_others() -> None:
    source = scene(1)
    before: dict[int, Shape] = {}
    arrivals = 0
    for seq in range(1800):
        now = {int(shape.box_px[1] // 120): shape for shape in source.truth(seq)}
        for lane, shape in now.items():
            if lane in before:
                assert abs(shape.box_px[0] - before[lane].box_px[0]) < 16
                assert shape.label == before[lane].label
            elif seq > 0:
                arrivals += 1
                assert shape.visible < 0.3
        before = now
    assert arrivals >= 12


def test_neighbouring_pictures_differ_as_a_sensors_would() -> None:
    with scene() as source:
        one, two = source.render(10), source.render(11)
    assert (one != two).mean() > 0.5


@pytest.mark.parametrize(("width", "height"), [(320, 240), (1280, 720), (641, 97)])
def test_it_comes_in_the_size_asked_for(width: int, height: int) -> None:
    with scene(0, width, height) as source:
        assert source.render(5).shape == (height, width, 3)
        assert f"{width}x{height}" in source.description
        for shape in source.truth(5):
            assert shape.box_px[3] <= height


def test_as_a_source_it_counts_from_zero_and_says_the_same_as_render() -> None:
    with Shapes("yard", FAST) as source:
        frames = list(itertools.islice(source, 3))
        assert [frame.seq for frame in frames] == [0, 1, 2]
        np.testing.assert_array_equal(frames[2].pixels, source.render(2))


def test_in_real_time_it_keeps_its_pace() -> None:
    with Shapes("yard", VideoOptions(fps=50)) as source:
        stamps = [frame.stamp.mono_ns for frame in itertools.islice(source, 26)]
    assert (stamps[-1] - stamps[0]) / 1e9 == pytest.approx(0.5, abs=0.1)


def test_too_small_a_scene_is_refused() -> None:
    with pytest.raises(ValueError, match="100x40 is too small: at least 240x48"):
        scene(0, 100, 40)
