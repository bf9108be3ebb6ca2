"""What of a picture may be shown to a service, under each setting."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from appliance.remote.pictures import LEAST_SIDE_PX, REMEMBER_S, Viewer
from appliance.remote.privacy import Withheld
from appliance.remote.settings import Offload
from appliance.remote.view import View
from capture.samples import Frame, Pixels, Stamp
from engines.predictions import Detection, Label

WIDTH, HEIGHT = 640, 360
MASK = ((100, 100), (200, 100), (200, 200), (100, 200))


def frame(pixels: Pixels, at_s: float = 0.0) -> Frame:
    stamp = Stamp(int(at_s * 1e9), 0)
    return Frame("door", int(at_s * 10), stamp, pixels, stamp.mono_ns)


def grey(value: int = 90) -> Pixels:
    return np.full((HEIGHT, WIDTH, 3), value, np.uint8)


def with_visitor(x: int, y: int) -> Pixels:
    pixels = grey()
    pixels[y : y + 40, x : x + 40] = 250
    return pixels


def person(box: tuple[float, float, float, float]) -> Detection:
    return Detection("person", 0, 0.9, box)


@pytest.mark.parametrize("offload", ["never", "features"])
def test_under_some_settings_no_picture_leaves(offload: Offload) -> None:
    with pytest.raises(Withheld, match=f'offload = "{offload}"'):
        Viewer(offload).view(frame(grey()))


def test_whole_frames_are_shown_only_when_asked_for() -> None:
    assert Viewer("frames").view(frame(grey())) == View(0, 0, WIDTH, HEIGHT)


def test_a_crop_is_withheld_while_nothing_moves_and_nothing_was_found() -> None:
    viewer = Viewer("crops")
    for n in range(5):
        viewer.watch(frame(grey(), n / 10))
    with pytest.raises(Withheld, match="nothing moves"):
        viewer.view(frame(grey(), 0.5))


def test_a_crop_holds_what_moves_and_a_margin_and_not_much_else() -> None:
    viewer = Viewer("crops")
    for n in range(5):
        viewer.watch(frame(grey(), n / 10))
    moving = frame(with_visitor(300, 150), 0.5)
    viewer.watch(moving)
    view = viewer.view(moving)
    assert view.left <= 300 - 16
    assert view.left + view.width >= 340 + 16
    assert view.top <= 150 - 16
    assert view.top + view.height >= 190 + 16
    assert view.width * view.height < 0.1 * WIDTH * HEIGHT


def test_a_crop_holds_all_the_objects_of_the_last_answer() -> None:
    viewer = Viewer("crops")
    viewer.found(frame(grey()), [person((10, 20, 60, 120)), person((400, 200, 500, 300)), Label("x", 0, 1.0)])
    view = viewer.view(frame(grey(), 1.0))
    assert (view.left, view.top) == (0, 0)
    assert view.left + view.width == 500 + 74  # 15 % of 490, rounded up
    assert view.top + view.height == 300 + 42


def test_objects_are_forgotten_after_a_while() -> None:
    viewer = Viewer("crops")
    viewer.found(frame(grey()), [person((10, 20, 60, 120))])
    with pytest.raises(Withheld):
        viewer.view(frame(grey(), REMEMBER_S + 0.1))


@pytest.mark.parametrize("corner", [(0, 0), (WIDTH - 4, HEIGHT - 4), (WIDTH - 4, 0), (0, HEIGHT - 4)])
def test_a_crop_is_never_tiny_and_never_outside(corner: tuple[int, int]) -> None:
    x, y = corner
    viewer = Viewer("crops")
    viewer.found(frame(grey()), [person((x, y, x + 4, y + 4))])
    view = viewer.view(frame(grey()))
    assert view.width >= LEAST_SIDE_PX
    assert view.height >= LEAST_SIDE_PX
    assert 0 <= view.left <= x
    assert x + 4 <= view.left + view.width <= WIDTH
    assert 0 <= view.top <= y
    assert y + 4 <= view.top + view.height <= HEIGHT


def test_a_picture_smaller_than_the_least_crop_is_shown_whole() -> None:
    viewer = Viewer("crops")
    small = frame(np.zeros((40, 50, 3), np.uint8))
    viewer.found(small, [person((10, 10, 20, 20))])
    assert viewer.view(small) == View(0, 0, 50, 40)


def test_the_jpeg_holds_the_part_and_nothing_else() -> None:
    pixels = grey()
    pixels[:, :300] = 0, 0, 255  # red beside the part
    viewer = Viewer("frames")
    data = viewer.encode(frame(pixels), View(left=300, top=10, width=101, height=77))
    shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    assert shown.shape == (77, 101, 3)
    np.testing.assert_allclose(shown.astype(int), 90, atol=2)


def test_the_jpeg_has_no_metadata() -> None:
    data = Viewer("frames").encode(frame(grey()), View(0, 0, WIDTH, HEIGHT))
    markers = set()
    at = 2
    while data[at + 1] != 0xDA:  # up to the start of the scan
        markers.add(data[at + 1])
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    assert markers <= {0xE0, 0xDB, 0xC0, 0xC4}  # JFIF, tables, size: no APP1 with EXIF, no comment


def test_a_mask_that_is_not_painted_stops_the_picture() -> None:
    viewer = Viewer("frames", [MASK])
    whole = View(0, 0, WIDTH, HEIGHT)
    with pytest.raises(Withheld, match="mask"):
        viewer.encode(frame(grey()), whole)
    painted = grey()
    cv2.fillPoly(painted, [np.array(MASK, np.int32)], (0, 0, 0))
    assert viewer.encode(frame(painted), whole)
    one_pixel = painted.copy()
    one_pixel[150, 150] = 1
    with pytest.raises(Withheld, match="mask"):
        viewer.encode(frame(one_pixel), whole)
