"""The kernel's arithmetic, compiled for this machine's processor, against the path through OpenCV.

The bound that is promised is one grey level of 255 before normalisation; what is met here is none at all.
"""

from __future__ import annotations

import ctypes
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from engines.engine import Array, EngineError
from engines.manifest import ImageInput
from engines.pictures import Pictures
from engines.placement import place
from engines.tensorrt import kernels, taps
from engines.tensorrt.letterbox_layout import ARGUMENTS, PICTURE, input_fields, size_of
from tests.engines import models

FAKE_GPU = Path(__file__).parent / "fake_gpu"

SIZES = [
    (1280, 720),
    (1920, 1080),
    (640, 640),
    (640, 480),
    (352, 288),
    (300, 700),
    (97, 53),
    (33, 17),
    (2, 2),
    (1, 1),
    (4000, 10),
]
"""Width and height of pictures; the first is exactly twice a 640 input, which OpenCV does in another way."""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """letterbox.cuh for the host."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed: apt-get install g++")
    library = tmp_path_factory.mktemp("kernels") / "kernels.so"
    header = kernels.SOURCES[0].parent
    # Without fused multiplication: the GPU's kernel has none either.
    options = ["-O2", "-ffp-contract=off", "-shared", "-fPIC", "-I", str(header)]
    subprocess.run(["g++", *options, "-o", str(library), str(FAKE_GPU / "kernels.cpp")], check=True)
    return ctypes.CDLL(str(library))


def picture(width: int, height: int, seed: int = 0) -> Array:
    """Noise over soft shapes: every step of the arithmetic is met."""
    random = np.random.default_rng(seed)
    noise = random.integers(0, 256, (height, width, 3)).astype(np.float32)
    slow = np.sin(np.arange(width) / 17)[None, :, None] * np.cos(np.arange(height) / 11)[:, None, None]
    return np.asarray(np.clip(0.5 * noise + 64 + 60 * slow, 0, 255), np.uint8)


def on_the_kernel(compiled: ctypes.CDLL, spec: ImageInput, *pictures: Array) -> Array:
    """What the kernel puts into the input for these pictures."""
    size = (spec.height, spec.width)
    target = np.empty((len(pictures), 3, *size) if spec.layout == "nchw" else (len(pictures), *size, 3), spec.dtype)
    described = np.zeros(len(pictures), PICTURE)
    kept: list[Array] = []
    for row, pixels in enumerate(pictures):
        height, width = size_of(pixels)
        placement = place(spec, height, width)
        columns, rows = taps.across(width, placement.width), taps.down(height, placement.height)
        kept += [columns, rows]
        described[row] = (
            *(each.ctypes.data for each in (pixels, columns, rows)),
            *(width, height, placement.left, placement.top, placement.width, placement.height),
            *(pixels.ndim == 2, pixels.size),
        )
    fields = struct.pack(ARGUMENTS[2:], *input_fields(spec))
    getattr(compiled, f"letterbox_{spec.dtype}")(
        described.ctypes.data_as(ctypes.c_void_p), len(pictures), target.ctypes.data_as(ctypes.c_void_p), fields
    )
    return target


def on_the_processor(spec: ImageInput, *pictures: Array) -> Array:
    into = Pictures(spec, rows=len(pictures))
    for row, pixels in enumerate(pictures):
        into.put(row, pixels)
    return np.array(into.tensors(len(pictures))[spec.tensor])


def grey_levels(spec: ImageInput, difference: Array) -> float:
    """The largest difference, on the scale of 0 to 255."""
    shape = (1, 3, 1, 1) if spec.layout == "nchw" else (1, 1, 1, 3)
    scale = np.array(spec.scale).reshape(shape)
    return float(np.abs(difference / scale).max())


def test_both_sides_lay_the_structures_out_alike(compiled: ctypes.CDLL) -> None:
    assert compiled.size_of_picture() == PICTURE.itemsize
    assert compiled.size_of_tap() == taps.TAP.itemsize
    assert compiled.size_of_input() == struct.calcsize(ARGUMENTS[2:])
    assert struct.calcsize(ARGUMENTS) == 16 + compiled.size_of_input()


@pytest.mark.parametrize("fit", ["letterbox", "stretch"])
@pytest.mark.parametrize("size", SIZES)
def test_a_picture_comes_out_as_opencv_makes_it(compiled: ctypes.CDLL, size: tuple[int, int], fit: str) -> None:
    spec = models.pictures(640, 640, fit=fit)
    pixels = picture(*size)
    difference = on_the_kernel(compiled, spec, pixels) - on_the_processor(spec, pixels)
    assert grey_levels(spec, difference) == 0


@pytest.mark.parametrize(
    "more",
    [
        {"channels": "bgr"},
        {"layout": "nhwc"},
        {"mean": (123.7, 116.3, 103.5), "scale": (1 / 58.4, 1 / 57.1, 1 / 57.4)},
        {"mean": (127.0,) * 3, "scale": (1 / 128,) * 3, "layout": "nhwc", "channels": "bgr"},
        {"dtype": "float16"},
        {"dtype": "uint8", "scale": (1.0,) * 3},
        {"dtype": "uint8", "scale": (1.0,) * 3, "layout": "nhwc", "channels": "bgr", "pad": 0},
    ],
)
def test_every_form_of_input_is_the_same_to_the_last_bit(compiled: ctypes.CDLL, more: dict[str, Any]) -> None:
    spec = models.pictures(354, 289, **more)
    pixels = picture(517, 403)
    np.testing.assert_array_equal(on_the_kernel(compiled, spec, pixels), on_the_processor(spec, pixels))


def test_pictures_of_several_sizes_fill_their_own_rows(compiled: ctypes.CDLL) -> None:
    spec = models.pictures(320, 240, batch=None)
    pictures = [picture(640, 480, 1), picture(200, 300, 2), picture(320, 240, 3)]
    np.testing.assert_array_equal(on_the_kernel(compiled, spec, *pictures), on_the_processor(spec, *pictures))


@pytest.mark.parametrize("size", [(640, 480), (98, 54), (2, 2)])
def test_nv12_comes_out_as_if_opencv_had_converted_it_first(compiled: ctypes.CDLL, size: tuple[int, int]) -> None:
    spec = models.pictures(320, 320)
    width, height = size
    nv12 = np.random.default_rng(0).integers(0, 256, (height * 3 // 2, width), np.uint8)
    converted = np.asarray(cv2.cvtColor(nv12, cv2.COLOR_YUV2BGR_NV12))
    difference = on_the_kernel(compiled, spec, nv12) - on_the_processor(spec, converted)
    assert grey_levels(spec, difference) == 0


@pytest.mark.parametrize("shape", [(5, 5, 4), (5, 5), (0, 8, 3), (4, 3), (3,)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(EngineError, match="a picture must be uint8"):
        size_of(np.zeros(shape, np.uint8))


@pytest.mark.system
@pytest.mark.parametrize("architecture", ["87", "89", "90", "110", "120"])
def test_nvcc_compiles_the_kernel_for(architecture: str, tmp_path: Path) -> None:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("nvcc is not installed")
    known = subprocess.run([nvcc, "--list-gpu-code"], capture_output=True, text=True, check=True).stdout.split()
    if f"sm_{architecture}" not in known:
        pytest.skip(f"this nvcc does not know sm_{architecture}")
    capability = (int(architecture[:-1]), int(architecture[-1]))
    path = kernels.compile_for(capability, tmp_path)
    content = path.read_bytes()
    assert path == kernels.fatbin_path(capability, tmp_path)
    assert content == kernels.load(capability, tmp_path)
    for name in (b"letterbox_float32", b"letterbox_float16", b"letterbox_uint8"):
        assert name in content
