"""A video file at its own pace or as fast as possible, whole or broken."""

from __future__ import annotations

import struct
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from capture import CaptureError
from capture.container import read_container
from capture.options import VideoOptions
from capture.recording import VideoFile
from tests.capture.pictures_to_try import noise

FAST = VideoOptions(realtime=False)
SIZE = (160, 120)


def write_video(path: Path, count: int = 30, fps: float = 30.0) -> Path:
    """A video whose picture n has the brightness 40 + 5 (n mod 32)."""
    codec = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "mp4v", ".ts": "MPG1"}[path.suffix]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*codec), fps, SIZE)  # type: ignore[attr-defined]
    assert writer.isOpened()
    for n in range(count):
        pixels = noise(n, *SIZE, spread=20).astype(int) - 110 + 40 + 5 * (n % 32)
        writer.write(np.clip(pixels, 0, 255).astype(np.uint8))
    writer.release()
    return path


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "clip.mp4")


def complaint_of(path: Path, options: VideoOptions = FAST) -> str:
    with pytest.raises(CaptureError) as caught, VideoFile("clip", str(path), options) as source:
        list(source)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_every_picture_comes_once_in_order_with_its_number(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f"clip{suffix}")
    with VideoFile("clip", str(path), FAST) as source:
        assert source.description.startswith(f"{path}: 160x120, 30/s")
        frames = list(source)
    assert [frame.seq for frame in frames] == list(range(30))
    for frame in frames:
        assert abs(float(frame.pixels.mean()) - (40 + 5 * frame.seq)) < 4
        assert frame.source == "clip"
        assert not frame.pixels.flags.writeable


def test_it_ends_when_it_is_over_and_can_be_opened_again(video: Path) -> None:
    source = VideoFile("clip", str(video), FAST)
    for _ in range(2):
        with source:
            assert len(list(source)) == 30


def test_numbers_go_on_when_it_loops(video: Path) -> None:
    with VideoFile("clip", str(video), VideoOptions(realtime=False, loop=True)) as source:
        frames = iter(source)
        seqs = [next(frames).seq for _ in range(70)]
    assert seqs == list(range(70))


@pytest.mark.system
def test_at_its_own_pace_it_takes_as_long_as_it_was_recorded(video: Path) -> None:
    with VideoFile("clip", str(video), VideoOptions(loop=True)) as source:
        frames = iter(source)
        stamps = [next(frames).stamp.mono_ns for _ in range(40)]  # over the seam of the loop
    assert (stamps[-1] - stamps[0]) / 1e9 == pytest.approx(39 / 30, abs=0.15)


def test_another_pace_may_be_asked_for(video: Path) -> None:
    with VideoFile("clip", str(video), VideoOptions(fps=100)) as source:
        assert "read at 100/s" in source.description
        stamps = [frame.stamp.mono_ns for frame in source]
    assert (stamps[-1] - stamps[0]) / 1e9 == pytest.approx(29 / 100, abs=0.15)


@pytest.mark.system
def test_a_reader_that_was_held_up_goes_on_from_where_it_is(video: Path) -> None:
    with VideoFile("clip", str(video), VideoOptions()) as source:
        frames = iter(source)
        next(frames)
        threading.Event().wait(0.8)
        began = time.monotonic()
        for _ in range(10):
            next(frames)
    assert time.monotonic() - began > 0.2


def test_closing_from_another_thread_ends_a_long_wait_at_once(tmp_path: Path) -> None:
    path = write_video(tmp_path / "slow.mp4", count=5, fps=1.0)
    with VideoFile("clip", str(path), VideoOptions()) as source:
        frames = iter(source)
        next(frames)
        threading.Timer(0.2, source.close).start()
        began = time.monotonic()
        assert list(frames) == []
        assert time.monotonic() - began < 0.8
    source.close()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "it is empty"),
        (b"this is not a video at all" * 100, "not a video that can be decoded"),
        (bytes(range(256)) * 200, "not a video that can be decoded"),
    ],
)
def test_what_is_no_video_is_told(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "clip.mp4").write_bytes(content)
    assert complaint in complaint_of(tmp_path / "clip.mp4")


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    assert "cannot be read: No such file or directory" in complaint_of(tmp_path / "gone.mp4")
    assert f"write images:{tmp_path}" in complaint_of(tmp_path)


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_a_half_written_video_is_refused_wherever_it_was_cut(tmp_path: Path, suffix: str) -> None:
    data = write_video(tmp_path / f"whole{suffix}").read_bytes()
    path = tmp_path / f"cut{suffix}"
    for length in range(16, len(data) - 1, len(data) // 25):
        path.write_bytes(data[:length])
        assert "is not a whole video" in complaint_of(path)


def test_a_recording_that_was_never_finished_is_told(tmp_path: Path) -> None:
    path = tmp_path / "power-cut.mp4"
    path.write_bytes(struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + struct.pack(">I4s", 1000, b"mdat") + bytes(992))
    assert "no index ('moov'): its recording was never finished" in complaint_of(path)


def test_a_video_that_turns_unreadable_half_way_is_an_error_and_not_an_early_end(data: Path, tmp_path: Path) -> None:
    content = bytearray((data / "video" / "car-detection.mp4").read_bytes())
    half = len(content) // 2
    content[half : half + len(content) // 4] = bytes(len(content) // 4)
    path = tmp_path / "worn-out.mp4"
    path.write_bytes(content)
    message = complaint_of(path)
    assert "unreadable after picture" in message
    assert "of the 30.2 s that the file promises" in message


def test_a_video_that_shrinks_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mkv", count=200)
    with VideoFile("clip", str(path), FAST) as source:
        frames = iter(source)
        next(frames)
        with path.open("r+b") as file:
            file.truncate(2000)
        with pytest.raises(CaptureError, match=r"became shorter while it was read"):
            list(frames)


def test_the_length_of_a_real_video_is_read_from_its_index(data: Path) -> None:
    container = read_container(data / "video" / "car-detection.mp4")
    assert container.fault == ""
    assert container.video_s == pytest.approx(30.16)
    with VideoFile("cars", str(data / "video" / "car-detection.mp4"), FAST) as source:
        assert sum(1 for _ in source) == 377


def test_damaged_containers_never_raise_anything_but_what_they_should(video: Path, tmp_path: Path) -> None:
    good = np.frombuffer(video.read_bytes(), np.uint8)
    random = np.random.default_rng(0)
    path = tmp_path / "damaged.mp4"
    for _ in range(300):
        damaged = good.copy()
        places = random.integers(0, len(good), 6)
        damaged[places] = random.integers(0, 256, 6)
        path.write_bytes(damaged.tobytes())
        assert read_container(path).size == len(good)
