"""What every source of pictures promises, tried on each that needs no device."""

from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path

import pytest

from capture import Frame, Source
from capture.open import open_source
from capture.options import VideoOptions
from tests.capture.test_pictures import encoded
from tests.capture.test_recording import write_video

LOOPING = VideoOptions(loop=True, fps=100)


@pytest.fixture(params=["scene", "file", "images"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return f"file:{write_video(tmp_path / 'clip.mp4')}"
    if request.param == "images":
        for name in ("a.png", "b.png"):
            (tmp_path / name).write_bytes(encoded(".png"))
        return f"images:{tmp_path}"
    return "scene:shapes"


@pytest.fixture
def source(uri: str) -> Source:
    return open_source("gate", uri, LOOPING)


def test_it_describes_itself_once_it_is_open(source: Source) -> None:
    assert source.description == ""
    with source:
        assert source.description


def test_its_frames_are_numbered_stamped_ready_and_shared(source: Source) -> None:
    with source:
        frames = [frame for frame in itertools.islice(source, 5) if isinstance(frame, Frame)]
    assert [frame.seq for frame in frames] == [0, 1, 2, 3, 4]
    for before, after in itertools.pairwise(frames):
        assert before.stamp.mono_ns < after.stamp.mono_ns
        assert before.pixels is not after.pixels
    for frame in frames:
        assert frame.source == "gate"
        assert frame.stamp.mono_ns <= frame.ready_ns <= time.monotonic_ns()
        assert frame.pixels.ndim == 3
        assert not frame.pixels.flags.writeable


def test_closing_from_another_thread_ends_it_without_an_error(source: Source) -> None:
    with source:
        threading.Timer(0.1, source.close).start()
        for _ in source:
            pass
    source.close()


def test_once_closed_it_delivers_nothing_any_more(source: Source) -> None:
    source.close()
    with source:
        assert list(source) == []


def test_it_can_be_opened_again(source: Source) -> None:
    for _ in range(2):
        with source:
            assert len(list(itertools.islice(source, 3))) == 3
