"""Pictures into input tensors: every kind of input against the plain way to compute it."""

from __future__ import annotations

import itertools
import sys
from typing import Any, get_args

import cv2
import numpy as np
import pytest

from engines.engine import EngineError, EngineUnavailable
from engines.manifest import Fit, ImageInput
from engines.pictures import Pictures
from engines.placement import Placement, place
from tests.engines.models import pictures

SIZES = [(720, 1280), (1280, 720), (64, 96), (97, 31), (48, 64), (1, 300), (333, 1)]


def random_picture(height: int, width: int, seed: int = 0) -> Any:
    return np.random.default_rng((seed, height, width)).integers(0, 256, (height, width, 3), np.uint8)


def plain(spec: ImageInput, pixels: Any) -> Any:
    """The input tensor of one picture, without a thought for time or memory; letterbox and stretch only."""
    height, width = pixels.shape[:2]
    canvas = np.full((spec.height, spec.width, 3), spec.pad, np.uint8)
    if spec.fit == "letterbox":
        ratio = min(spec.height / height, spec.width / width)
        new_width, new_height = max(round(width * ratio), 1), max(round(height * ratio), 1)
        x, y = (spec.width - new_width) // 2, (spec.height - new_height) // 2
        canvas[y : y + new_height, x : x + new_width] = cv2.resize(pixels, (new_width, new_height))
    else:
        canvas[:] = cv2.resize(pixels, (spec.width, spec.height))
    values: Any = canvas[:, :, ::-1] if spec.channels == "rgb" else canvas
    if spec.dtype != "uint8":
        values = (values.astype(np.float64) - spec.mean) * spec.scale
    if spec.layout == "nchw":
        values = values.transpose(2, 0, 1)
    return values.astype(spec.dtype)


MEANS = ((123.675, 116.28, 103.53), (1 / 58.395, 1 / 57.12, 1 / 57.375))
VALUES: list[dict[str, Any]] = [
    {},
    {"dtype": "uint8", "scale": (1.0, 1.0, 1.0)},
    {"mean": MEANS[0], "scale": MEANS[1]},
    {"dtype": "float16"},
    {"dtype": "float16", "mean": MEANS[0], "scale": MEANS[1]},
]
KINDS: list[dict[str, Any]] = [
    {"fit": fit, "layout": layout, "channels": channels, **values}
    for fit, layout, channels, values in itertools.product(
        ["letterbox", "stretch"], ["nchw", "nhwc"], ["rgb", "bgr"], VALUES
    )
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(str(value)[:8] for value in kind.values()))
def test_a_picture_becomes_the_tensor_that_the_manifest_describes(kind: dict[str, Any]) -> None:
    spec = pictures(64, 48, **kind)
    inputs = Pictures(spec, rows=1)
    for height, width in SIZES:  # one after the other: nothing of the last picture may be left
        pixels = random_picture(height, width)
        inputs.put(0, pixels)
        tensor = inputs.tensors(1)["x"]
        assert tensor.dtype == spec.dtype
        tolerance = {"uint8": 0, "float32": 1e-6, "float16": 2e-3}[spec.dtype]
        np.testing.assert_allclose(tensor[0], plain(spec, pixels), rtol=0, atol=tolerance)


def test_zero_to_one_is_exactly_the_value_divided_by_255() -> None:
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    inputs = Pictures(pictures(16, 16), rows=1)
    inputs.put(0, pixels)
    expected = pixels[:, :, ::-1].transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(inputs.tensors(1)["x"][0], expected)


def test_rows_of_a_batch_do_not_touch_each_other_and_the_tensor_grows() -> None:
    spec = pictures(64, 48, batch=None)
    inputs = Pictures(spec, rows=1)
    samples = [random_picture(*size, seed=1) for size in SIZES]
    for row, pixels in enumerate(samples):
        inputs.put(row, pixels)
    tensor = inputs.tensors(len(samples))["x"]
    assert tensor.shape == (len(samples), 3, 48, 64)
    for row, pixels in enumerate(samples):
        np.testing.assert_allclose(tensor[row], plain(spec, pixels), rtol=0, atol=1e-6)


def test_a_read_only_view_that_is_not_contiguous_is_read_right() -> None:
    spec = pictures(64, 48)
    inputs = Pictures(spec, rows=1)
    whole = random_picture(200, 300)
    part = whole[20:180:2, 290:10:-1]
    part.flags.writeable = False
    inputs.put(0, part)
    np.testing.assert_allclose(inputs.tensors(1)["x"][0], plain(spec, part.copy()), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(str(value)[:8] for value in kind.values()))
def test_a_picture_of_the_inputs_own_size_is_read_and_never_written(kind: dict[str, Any]) -> None:
    spec = pictures(64, 48, **kind)
    pixels = random_picture(48, 64)
    before = pixels.copy()
    pixels.flags.writeable = False
    inputs = Pictures(spec, rows=1)
    inputs.put(0, pixels)
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_allclose(inputs.tensors(1)["x"][0], plain(spec, before), rtol=0, atol=2e-3)


def test_more_sizes_than_are_remembered_are_still_right() -> None:
    spec = pictures(32, 32)
    inputs = Pictures(spec, rows=1)
    for _, width in itertools.product(range(2), range(20, 60)):
        pixels = random_picture(30, width)
        inputs.put(0, pixels)
        np.testing.assert_allclose(inputs.tensors(1)["x"][0], plain(spec, pixels), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((48, 64), np.uint8),
        np.zeros((48, 64, 4), np.uint8),
        np.zeros((48, 64, 3), np.float32),
        np.zeros((0, 64, 3), np.uint8),
    ],
    ids=["grey", "alpha", "float", "empty"],
)
def test_anything_else_than_a_colour_picture_is_refused(wrong: Any) -> None:
    with pytest.raises(EngineError, match=r"a picture must be uint8 \(height, width, 3\)"):
        Pictures(pictures(64, 48), rows=1).put(0, wrong)


def test_uint8_with_a_scale_is_refused() -> None:
    with pytest.raises(EngineError, match="uint8 takes pixels as they are"):
        Pictures(pictures(64, 48, dtype="uint8"), rows=1)


def test_a_scale_of_zero_is_refused() -> None:
    with pytest.raises(EngineError, match="scale of 0"):
        Pictures(pictures(64, 48, scale=(0, 1, 1)), rows=1)


# -- the middle, for classifiers --------------------------------------------------------------------------------------


def triangle_resize(line: Any, size: int) -> Any:
    """Antialiased bilinear along the first axis, one output value after the other."""
    scale = len(line) / size
    reach = max(scale, 1.0)
    out = []
    for index in range(size):
        centre = (index + 0.5) * scale
        weights = [max(0.0, 1 - abs(at + 0.5 - centre) / reach) for at in range(len(line))]
        out.append(sum(weight * line[at] for at, weight in enumerate(weights) if weight) / sum(weights))
    return np.array(out)


@pytest.mark.parametrize(("height", "width"), [(60, 90), (90, 60), (31, 32), (20, 25), (32, 32), (100, 33)])
def test_the_middle_is_antialiased_as_classifiers_are_trained(height: int, width: int) -> None:
    spec = pictures(32, 32, fit="center-crop", dtype="uint8", scale=(1, 1, 1), channels="bgr", layout="nhwc")
    pixels = random_picture(height, width)
    inputs = Pictures(spec, rows=1)
    placement = inputs.put(0, pixels)
    high = triangle_resize(pixels.astype(np.float64), placement.height)
    whole = triangle_resize(high.transpose(1, 0, 2), placement.width).transpose(1, 0, 2)
    middle = whole[-placement.top :, -placement.left :][:32, :32]
    assert np.abs(inputs.tensors(1)["x"][0] - middle).max() <= 0.51  # rounded once, at the end


@pytest.mark.parametrize(("height", "width"), [(60, 90), (90, 60), (24, 48), (20, 25), (31, 300), (300, 31)])
def test_the_whole_picture_is_antialiased_into_an_oblong_as_classifiers_get_it(height: int, width: int) -> None:
    spec = pictures(48, 24, fit="stretch-antialiased", dtype="uint8", scale=(1, 1, 1), channels="bgr", layout="nhwc")
    pixels = random_picture(height, width)
    inputs = Pictures(spec, rows=1)
    assert inputs.put(0, pixels) == Placement(width, height, 48, 24, 0, 0)
    high = triangle_resize(pixels.astype(np.float64), 24)
    whole = triangle_resize(high.transpose(1, 0, 2), 48).transpose(1, 0, 2)
    assert np.abs(inputs.tensors(1)["x"][0] - whole).max() <= 0.51  # rounded once, at the end


@pytest.mark.parametrize(
    ("size", "expected"),
    {
        (480, 640): Placement(640, 480, 298, 224, -37, 0),  # torchvision: int(224 * 640 / 480), round(74 / 2)
        (640, 480): Placement(480, 640, 224, 298, 0, -37),
        (224, 224): Placement(224, 224, 224, 224, 0, 0),
        (100, 101): Placement(101, 100, 226, 224, -1, 0),
        (333, 500): Placement(500, 333, 336, 224, -56, 0),
    }.items(),
)
def test_the_shorter_side_fits_and_the_middle_stays(size: tuple[int, int], expected: Placement) -> None:
    assert place(pictures(224, 224, fit="center-crop"), *size) == expected


# -- the way back -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "expected"),
    {
        (720, 1280): Placement(1280, 720, 640, 360, 0, 140),
        (481, 333): Placement(333, 481, 443, 640, 98, 0),  # 98 on the left, 99 on the right
        (559, 1024): Placement(1024, 559, 640, 349, 0, 145),
        (1, 3000): Placement(3000, 1, 640, 1, 0, 319),
        (640, 640): Placement(640, 640, 640, 640, 0, 0),
        (32, 48): Placement(48, 32, 640, 427, 0, 106),
    }.items(),
)
def test_letterboxes_lie_where_ultralytics_puts_them(size: tuple[int, int], expected: Placement) -> None:
    assert place(pictures(640, 640), *size) == expected


@pytest.mark.parametrize("fit", get_args(Fit))
@pytest.mark.parametrize("size", [(720, 1280), (481, 333), (100, 100)])
def test_a_box_that_is_taken_there_comes_back_to_its_place(fit: str, size: tuple[int, int]) -> None:
    height, width = size
    placement = place(pictures(640, 480, fit=fit), height, width)
    box = np.array([width * 0.3, height * 0.35, width * 0.6, height * 0.55])
    gain = np.array([placement.width / width, placement.height / height] * 2)
    there = (box * gain + [placement.left, placement.top] * 2).astype(np.float32)
    np.testing.assert_allclose(placement.to_picture(there[np.newaxis])[0], box, atol=1e-3)


def test_boxes_are_clipped_to_the_picture() -> None:
    placement = place(pictures(640, 640), 720, 1280)
    wild = np.array([[-50, -50, 700, 700], [0, 0, 20, 100]], np.float32)
    assert placement.to_picture(wild).tolist() == [[0, 0, 1280, 720], [0, 0, 40, 0]]


def test_a_machine_without_opencv_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(EngineUnavailable, match=r"OpenCV is not installed.*pip install"):
        Pictures(pictures(64, 48), rows=1)


@pytest.mark.parametrize("fit", get_args(Fit))
@pytest.mark.parametrize("size", [*SIZES, (1500, 2000)])
def test_what_is_seen_of_a_picture_gives_the_network_the_same_numbers(fit: Fit, size: tuple[int, int]) -> None:
    whole, seen = Pictures(pictures(96, 64, fit=fit), rows=1), Pictures(pictures(96, 64, fit=fit), rows=1)
    picture = random_picture(*size)
    small = seen.seen(picture)
    assert small.nbytes <= min(picture.nbytes, 96 * 64 * 3)
    whole.put(0, picture)
    seen.put(0, small)
    np.testing.assert_array_equal(seen.tensors(1)["x"], whole.tensors(1)["x"])


def test_what_was_seen_of_a_picture_does_not_change_with_the_next() -> None:
    network = Pictures(pictures(96, 64), rows=1)
    first = network.seen(random_picture(720, 1280))
    before = first.copy()
    network.seen(random_picture(720, 1280, seed=1))
    np.testing.assert_array_equal(first, before)
