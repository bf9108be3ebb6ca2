"""A network camera that is well, slow, killed, frozen, restarted, or was never there."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator

import pytest

from capture import CaptureError, Frame
from capture.open import open_source
from capture.options import VideoOptions
from capture.rtsp import RtspCamera
from tests.conftest import free_port
from tests.network_camera import NetworkCamera, Relay
from tests.rtsp_server import read_marks
from tests.waiting import until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

NOTICED_WITHIN_S = 3.0
BACK_WITHIN_S = 5.0
SECRET = "tOp-5ecret"


@pytest.fixture
def camera() -> Iterator[NetworkCamera]:
    with NetworkCamera() as camera:
        yield camera


def opened(uri: str) -> RtspCamera:
    source = open_source("gate", uri, VideoOptions())
    assert isinstance(source, RtspCamera)
    return source


def refusal_of(uri: str) -> str:
    with pytest.raises(CaptureError) as caught, opened(uri):
        pass
    assert caught.value.__cause__ is None
    return str(caught.value)


def seconds_until_lost(frames: Iterator[Frame]) -> float:
    """Time until CaptureError; every picture that comes before must be what it claims to be: fresh."""
    began = time.monotonic()
    with pytest.raises(CaptureError, match="the stream ended or no picture came"):
        deque(map(assert_honest, frames))
    return time.monotonic() - began


def assert_honest(frame: Frame) -> None:
    """The stamp may not be more than 0.3 s younger than the picture."""
    stamped_s = (time.monotonic_ns() - frame.stamp.mono_ns) / 1e9
    assert read_marks(frame.pixels).age_s() - stamped_s < 0.3


def first_frame(uri: str) -> Frame:
    """The first picture once the camera is back."""

    def attempt() -> list[Frame]:
        try:
            with opened(uri) as source:
                return [next(iter(source))]
        except CaptureError:
            return []

    return until(attempt, within_s=BACK_WITHIN_S)[0]


def test_pictures_come_complete_stamped_and_without_growing_lag(camera: NetworkCamera, long_run: bool) -> None:
    with opened(camera.uri) as source:
        assert source.description.startswith("640x360 h264 30/s from rtsp://127.0.0.1")
        frames = iter(source)
        ages, numbers = [], []
        for frame in (next(frames) for _ in range(3000 if long_run else 150)):
            marks = read_marks(frame.pixels)
            ages.append(marks.age_s())
            numbers.append(marks.number - frame.seq)
        assert max(ages) < 0.5
        assert len(set(numbers)) == 1, "a picture is missing, or numbered wrongly"


def test_a_slow_consumer_does_not_make_pictures_old_because_the_reader_drains(camera: NetworkCamera) -> None:
    newest: list[Frame] = []
    pause = threading.Event()
    with opened(camera.uri) as source:

        def drain() -> None:
            for frame in source:
                newest[:] = [frame]

        reader = threading.Thread(target=drain)
        reader.start()
        try:
            until(lambda: newest, within_s=5)
            for _ in range(8):  # a consumer that takes a picture every 0.4 s
                pause.wait(0.4)
                assert read_marks(newest[0].pixels).age_s() < 0.5
        finally:
            source.close()
            reader.join(timeout=5)
    assert not reader.is_alive()


def test_a_killed_camera_is_noticed_and_comes_back(camera: NetworkCamera, long_run: bool) -> None:
    for _ in range(10 if long_run else 2):
        with opened(camera.uri) as source:
            frames = iter(source)
            for _ in range(10):
                next(frames)
            camera.kill()
            assert seconds_until_lost(frames) < NOTICED_WITHIN_S
        camera.start()
        assert_honest(first_frame(camera.uri))


def test_a_frozen_camera_is_noticed_and_no_old_picture_is_passed_on(camera: NetworkCamera, long_run: bool) -> None:
    for _ in range(10 if long_run else 2):
        with opened(camera.uri) as source:
            frames = iter(source)
            for _ in range(10):
                next(frames)
            camera.freeze()
            assert seconds_until_lost(frames) < NOTICED_WITHIN_S
        camera.thaw()
        assert_honest(first_frame(camera.uri))


def test_pictures_held_up_by_the_network_are_stamped_when_they_should_have_come(camera: NetworkCamera) -> None:
    """The camera goes on, but its pictures arrive a second late and all at once."""
    with Relay(camera.port) as relay, opened(camera.uri.replace(str(camera.port), str(relay.port))) as source:
        frames = iter(source)
        for _ in range(30):
            assert_honest(next(frames))
        with relay.stalled():
            threading.Event().wait(1.0)
        late = [next(frames) for _ in range(45)]
        for frame in late:
            assert_honest(frame)
        assert late[-1].stamp.mono_ns > late[0].stamp.mono_ns


def test_a_camera_that_is_frozen_when_it_is_opened_is_refused(camera: NetworkCamera) -> None:
    camera.freeze()
    began = time.monotonic()
    assert "does not answer" in refusal_of(camera.uri)
    assert time.monotonic() - began < 6


def test_the_same_source_is_opened_again_and_goes_on_counting(camera: NetworkCamera) -> None:
    source = opened(camera.uri)
    with source:
        frames = iter(source)
        seen = [next(frames).seq for _ in range(3)]
    with source:
        seen.append(next(iter(source)).seq)
    assert seen == [0, 1, 2, 3]


def test_closing_ends_the_iteration_without_an_error(camera: NetworkCamera) -> None:
    with opened(camera.uri) as source:
        count = 0
        for _frame in source:
            count += 1
            source.close()
        assert count == 1


def test_a_camera_that_is_not_there_is_told_in_one_sentence() -> None:
    port = free_port()
    message = refusal_of(f"rtsp://127.0.0.1:{port}/cam")
    place = f"127.0.0.1:{port}"
    assert message == f"rtsp://{place}/cam: nothing listens at {place}: is the camera on, and is this its RTSP port?"


def test_a_wrong_path_is_told_from_a_camera_that_is_off(camera: NetworkCamera) -> None:
    assert "no stream of this name" in refusal_of(camera.uri.replace("/cam", "/nothing"))


def test_a_wrong_password_is_told_and_never_shown() -> None:
    with NetworkCamera("--user", "admin", "--password", SECRET, credentials="admin:wrong-pw") as camera:
        message = refusal_of(camera.uri)
        assert "refuses this user name and password" in message
        assert "wrong-pw" not in message
        assert "asks for a user name" in refusal_of(camera.uri.replace("admin:wrong-pw@", ""))


def test_the_right_password_opens_the_camera_and_is_shown_nowhere() -> None:
    with NetworkCamera("--user", "admin", "--password", SECRET, credentials=f"admin:{SECRET}") as camera:
        source = opened(camera.uri)
        with source:
            frames = iter(source)
            assert next(frames).pixels.shape == (360, 640, 3)
            camera.kill()
            with pytest.raises(CaptureError) as caught:
                for _frame in frames:
                    pass
        shown = f"{source.description} {source!r} {caught.value} {caught.value!r}"
        assert SECRET not in shown
        assert "***@127.0.0.1" in source.description


def test_neither_opencv_nor_ffmpeg_writes_anything_to_standard_error() -> None:
    """Their own messages go past Python's logging and may hold addresses, so a process of its own is watched."""
    program = (
        "import sys\n"
        "from capture import CaptureError\n"
        "from capture.open import open_source\n"
        "from capture.options import VideoOptions\n"
        "try:\n"
        "    with open_source('gate', sys.argv[1], VideoOptions()):\n"
        "        pass\n"
        "except CaptureError as e:\n"
        "    print(repr(e))\n"
    )
    for uri in (f"rtsp://admin:{SECRET}@127.0.0.1:{free_port()}/cam", f"rtsp://admin:{SECRET}/x@127.0.0.1:1/cam"):
        done = subprocess.run([sys.executable, "-c", program, uri], capture_output=True, text=True, check=False)
        assert done.stderr == ""
        assert done.stdout.startswith("CaptureError(")
        assert SECRET not in done.stdout
