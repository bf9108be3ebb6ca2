"""The process that encodes the live page's pictures."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from appliance.page import pictures
from appliance.page.jpeg_child import GIVING_WAY
from appliance.page.jpeg_process import JpegProcess
from appliance.pipeline.snapshot import jpeg
from capture.samples import Pixels
from tests.children import children, open_files
from tests.waiting import until

pytestmark = pytest.mark.system

SOON_S = 20.0


@pytest.fixture
def process() -> Iterator[JpegProcess]:
    process = JpegProcess()
    yield process
    process.end()


def noise(width: int, height: int, seed: int = 0) -> Pixels:
    small = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return np.asarray(cv2.resize(small, (width, height)), np.uint8)


def awaited(process: JpegProcess, pixels: Pixels) -> bytes:
    height, width = pixels.shape[:2]
    made = until(lambda: process.encode(pixels, width, height), SOON_S, what="a JPEG")
    assert made is not None
    return made


def test_its_jpeg_is_the_one_that_we_would_make(process: JpegProcess) -> None:
    for seed, (width, height) in enumerate([(640, 360), (1280, 720), (320, 184)]):
        pixels = noise(width, height, seed)
        assert awaited(process, pixels) == jpeg(pixels)


@pytest.mark.parametrize("width", [2560, 1920])
def test_what_is_too_wide_is_made_smaller_there_as_here(process: JpegProcess, width: int) -> None:
    pixels = noise(width, 720)
    awaited(process, noise(64, 64))
    assert pictures.shown(pixels, process) == pictures.shown(pixels)


def test_until_it_is_there_the_picture_is_made_here(process: JpegProcess) -> None:
    pixels = noise(640, 360)
    assert process.encode(pixels, 640, 360) is None
    assert pictures.shown(pixels, process) == jpeg(pixels)


def test_it_gives_way_to_us_in_the_same_session(process: JpegProcess) -> None:
    awaited(process, noise(64, 64))
    (child,) = children(os.getpid())
    assert os.getpriority(os.PRIO_PROCESS, child) == os.getpriority(os.PRIO_PROCESS, 0) + GIVING_WAY
    assert os.getsid(child) == os.getsid(0)


def test_one_that_is_killed_is_told_once_and_replaced_later(
    process: JpegProcess, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.page.jpeg_process.AGAIN_S", 0.5)
    pixels = noise(640, 360)
    awaited(process, pixels)
    (child,) = children(os.getpid())
    os.kill(child, signal.SIGKILL)
    until(lambda: process.encode(pixels, 640, 360) is None, SOON_S)
    assert pictures.shown(pixels, process) == jpeg(pixels)
    assert awaited(process, pixels) == jpeg(pixels)
    assert len([record for record in caplog.records if "replaced" in record.message]) == 1
    assert children(os.getpid()) != [child]


def test_one_that_hangs_is_replaced(process: JpegProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.page.jpeg_process.WITHIN_S", 0.5)
    pixels = noise(64, 64)
    awaited(process, pixels)
    (child,) = children(os.getpid())
    os.kill(child, signal.SIGSTOP)
    until(lambda: process.encode(pixels, 64, 64) is None, SOON_S)
    assert children(os.getpid()) == []


def test_it_ends_with_whoever_uses_it() -> None:
    before = open_files()
    process = JpegProcess()
    awaited(process, noise(64, 64))
    process.end()
    assert children(os.getpid()) == []
    assert open_files() == before
    process.end()
