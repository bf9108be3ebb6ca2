"""What happens to a picture before anybody sees it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from capture import CaptureError, Frame, Stamp
from capture.geometry import Geometry
from capture.options import VideoOptions
from capture.samples import Pixels
from capture.shapes import Shapes

HIDDEN = ((10, 10), (60, 10), (60, 40), (10, 40))


def numbered(width: int = 6, height: int = 4) -> Pixels:
    """Each pixel says where it was: blue is x, green is y."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x, y, np.full_like(x, 7)], axis=2).astype(np.uint8)


def places(pixels: Pixels) -> list[list[tuple[int, int]]]:
    return [[(int(x), int(y)) for x, y in row] for row in pixels[:, :, :2]]


def test_with_nothing_asked_the_very_same_array_comes_back() -> None:
    pixels = numbered()
    assert Geometry().apply(pixels) is pixels


def test_rotation_is_clockwise() -> None:
    turned = Geometry(rotate=90).apply(numbered(3, 2))
    assert places(turned) == [[(0, 1), (0, 0)], [(1, 1), (1, 0)], [(2, 1), (2, 0)]]
    np.testing.assert_array_equal(Geometry(rotate=180).apply(numbered()), numbered()[::-1, ::-1])
    np.testing.assert_array_equal(Geometry(rotate=270).apply(numbered()), np.rot90(numbered()))


def test_flipping_horizontally_exchanges_left_and_right() -> None:
    np.testing.assert_array_equal(Geometry(flip="horizontal").apply(numbered()), numbered()[:, ::-1])
    np.testing.assert_array_equal(Geometry(flip="vertical").apply(numbered()), numbered()[::-1])
    np.testing.assert_array_equal(Geometry(flip="both").apply(numbered()), numbered()[::-1, ::-1])


def test_the_order_is_rotate_flip_crop_mask() -> None:
    pixels = numbered(300, 200)
    geometry = Geometry(rotate=90, flip="vertical", crop=(20, 30, 100, 120), masks=(HIDDEN,))
    expected = np.rot90(pixels, -1)[::-1][30:150, 20:120].copy()
    expected[10:41, 10:61] = 0
    np.testing.assert_array_equal(geometry.apply(pixels.copy()), expected)


def test_the_result_is_contiguous_and_writable_by_its_owner() -> None:
    result = Geometry(crop=(5, 5, 50, 40)).apply(numbered(100, 80))
    assert result.flags.c_contiguous
    assert result.shape == (40, 50, 3)


def test_overlapping_masks_hide_their_overlap_too() -> None:
    one = ((0, 0), (60, 0), (60, 60), (0, 60))
    two = ((30, 30), (90, 30), (90, 90), (30, 90))
    masked = Geometry(masks=(one, two)).apply(np.full((100, 100, 3), 255, np.uint8))
    assert not masked[:61, :61].any()
    assert not masked[30:91, 30:91].any()
    assert masked[95, 95].all()


def test_a_picture_shared_with_others_is_copied_before_a_mask_is_painted() -> None:
    pixels = np.full((100, 100, 3), 255, np.uint8)
    Frame("gate", 0, Stamp(0, 0), pixels, 0)  # from now on read-only
    masked = Geometry(masks=(HIDDEN,)).apply(pixels)
    assert pixels.all()
    assert not masked[10:41, 10:61].any()


@pytest.mark.parametrize(
    ("geometry", "complaint"),
    [
        (Geometry(crop=(80, 0, 30, 30)), "crop 30x30 at \\(80, 0\\) reaches outside the picture of 100x100"),
        (Geometry(masks=(((0, 0), (120, 0), (50, 50)),)), "the point \\(120, 0\\) outside the picture of 100x100"),
    ],
)
def test_what_does_not_fit_the_picture_is_an_error_and_no_uncovered_picture(geometry: Geometry, complaint: str) -> None:
    with pytest.raises(CaptureError, match=complaint):
        geometry.apply(np.zeros((100, 100, 3), np.uint8))


def test_a_mask_may_reach_to_the_very_edge() -> None:
    whole = ((0, 0), (100, 0), (100, 100), (0, 100))
    assert not Geometry(masks=(whole,)).apply(np.full((100, 100, 3), 255, np.uint8)).any()


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"rotate": 45}, "rotate = 45: expected 0, 90, 180 or 270"),
        ({"flip": "sideways"}, "flip = 'sideways'"),
        ({"crop": (0, 0, 0, 10)}, "crop = \\[0, 0, 0, 10\\]"),
        ({"masks": (((0, 0), (1, 1)),)}, "at least 3 points"),
    ],
)
def test_impossible_wishes_are_refused_at_once(wrong: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        dataclasses.replace(Geometry(), **wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_a_source_delivers_only_masked_pictures() -> None:
    options = VideoOptions(realtime=False, geometry=Geometry(rotate=90, masks=(HIDDEN,)))
    with Shapes("yard", options) as source:
        frame = next(iter(source))
    assert frame.pixels.shape == (640, 360, 3)
    assert not frame.pixels[10:41, 10:61].any()
    assert frame.ready_ns >= frame.stamp.mono_ns
    assert not frame.pixels.flags.writeable
