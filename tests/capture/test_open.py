"""From an address to a source, and what an address may show of itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from capture import CaptureError
from capture.address import redacted
from capture.camera import Camera
from capture.csi import CsiCamera
from capture.displays import Displays
from capture.open import is_audio, is_sensor, open_source
from capture.options import AudioOptions, VideoOptions
from capture.pictures import Pictures
from capture.recording import VideoFile
from capture.rtsp import RtspCamera
from capture.shapes import Shapes

VIDEO: dict[str, type] = {
    "camera:0": Camera,
    "camera:/dev/v4l/by-id/usb-cam": Camera,
    "csi:0": CsiCamera,
    "rtsp://host/path": RtspCamera,
    "rtsps://user:secret@host:322/path": RtspCamera,
    "file:video.mp4": VideoFile,
    "file:///srv/video.mp4": VideoFile,
    "images:folder": Pictures,
    "images:/srv/*.jpg": Pictures,
    "scene:shapes": Shapes,
    "scene:digits": Displays,
}


@pytest.mark.parametrize("uri", VIDEO)
def test_every_picture_source_opens_by_its_address_and_touches_nothing_yet(uri: str) -> None:
    source = open_source("gate", uri, VideoOptions())
    assert type(source) is VIDEO[uri]
    assert source.name == "gate"
    assert source.description == ""
    assert not is_audio(uri)


@pytest.mark.parametrize("uri", ["mic:", "mic:USB Audio", "wav:speech.wav", "wav:///srv/speech.wav"])
def test_every_sound_source_opens_by_its_address(uri: str) -> None:
    source = open_source("hall", uri, AudioOptions())
    assert source.name == "hall"
    assert is_audio(uri)


def test_only_devices_that_watch_the_world_are_sensors() -> None:
    sensors = [uri for uri in [*VIDEO, "mic:", "wav:a.wav"] if is_sensor(uri)]
    assert sensors == [*list(VIDEO)[:5], "mic:"]


def test_a_recording_is_live_only_at_its_own_pace() -> None:
    assert open_source("a", "file:v.mp4", VideoOptions()).live
    assert not open_source("a", "file:v.mp4", VideoOptions(realtime=False)).live
    assert open_source("a", "camera:0", VideoOptions(realtime=False)).live


REFUSED = {
    "video.mp4": "'video.mp4' is not the address of a source: write one of camera:0",
    "cam:0": "did you mean camera:0",
    "RTSP://host/path": "did you mean rtsp://host/path",
    "rstp://host/path": "did you mean rtsp://host/path",
    "http://host/video.mjpg": "is not the address of a source",
    "camera:": "camera: is not complete: write for example camera:0",
    "rtsp:host/path": "expected an address such as rtsp://host:554/path",
    "rtsp:///": "expected an address such as rtsp://host:554/path",
    "csi:front": "csi:front: expected the number of the sensor",
    "scene:cats": "scene:cats: there is no such scene; known: scene:shapes, scene:digits",
    "file://nas/video.mp4": "a file must be on this machine: write file:///path",
}


@pytest.mark.parametrize("uri", REFUSED)
def test_a_wrong_address_is_told_with_the_next_step(uri: str) -> None:
    with pytest.raises(ValueError, match=re.escape(REFUSED[uri])):
        open_source("gate", uri, VideoOptions())


def test_the_wrong_kind_of_options_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(TypeError, match="takes AudioOptions"):
        open_source("hall", "mic:", VideoOptions())
    with pytest.raises(TypeError, match="takes VideoOptions"):
        open_source("gate", "camera:0", AudioOptions())


def test_a_file_url_is_decoded_and_a_plain_path_is_not(tmp_path: Path) -> None:
    (tmp_path / "a b%20c.mp4").write_bytes(b"")
    url = (tmp_path / "a b%20c.mp4").as_uri()
    for uri in (url, f"file:{tmp_path}/a b%20c.mp4"):
        with pytest.raises(Exception, match="it is empty"), open_source("a", uri, VideoOptions()):
            pass


SECRETS = {
    "rtsp://host:554/path": "rtsp://host:554/path",
    "rtsp://admin:s3cret@host/path": "rtsp://***@host/path",
    "rtsp://admin:s3@cret@host/path": "rtsp://***@host/path",
    "rtsp://admin:s3/cr?et@host/path": "rtsp://***@host/path",
    "rtsps://admin@host": "rtsps://***@host",
    "rtsp://host/live?user=admin&password=s3cret&channel=1": "rtsp://host/live?user=***&password=***&channel=1",
    "rtsp://host/user=admin_password=s3cret_channel=1.sdp": "rtsp://host/user=***_password=***_channel=1.sdp",
    "rtsp://host/live?password=s3@cret": "rtsp://host/live?password=***",
    "rtsp://host/live?token=s3cret": "rtsp://host/live?token=***",
    "admin:s3cret@host/path": "***@host/path",
    "rtsp:admin:s3cret@host": "***@host",
    "file:rtsp://admin:s3cret@host": "file:rtsp://***@host",
    "file:holiday@sea.mp4": "file:holiday@sea.mp4",
    "camera:/dev/v4l/by-id/usb-cam": "camera:/dev/v4l/by-id/usb-cam",
}


@pytest.mark.parametrize("uri", SECRETS)
def test_credentials_are_hidden_and_nothing_else(uri: str) -> None:
    assert redacted(uri) == SECRETS[uri]


@pytest.mark.parametrize("uri", [uri for uri in SECRETS if "s3" in uri])
def test_no_error_and_no_representation_shows_credentials(uri: str) -> None:
    try:
        source = open_source("gate", uri, VideoOptions())
    except ValueError as e:
        shown = f"{e} {e!r} {e.__cause__} {e.__context__}"
    else:
        shown = f"{source!r} {source} {source.description}"
    assert "s3" not in shown
    assert "admin" not in shown


def test_opening_loads_nothing_heavy_before_it_is_used() -> None:
    code = (
        "import sys; from capture.open import open_source; from capture.options import VideoOptions\n"
        "for uri in ('camera:0', 'csi:0', 'rtsp://host', 'file:a', 'images:a', 'scene:shapes'):\n"
        "    open_source('a', uri, VideoOptions())\n"
        "assert 'cv2' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"fps": 0}, "fps = 0: expected a positive number"),
        ({"width": -1}, "width = -1: expected a positive number"),
        ({"pixel_format": "MJPEG"}, "pixel_format = 'MJPEG': expected four characters"),
    ],
)
def test_impossible_options_are_refused_at_once(wrong: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        VideoOptions(**wrong)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("scheme", ["file", "images", "wav"])
def test_a_pipe_or_a_device_is_no_recording_and_is_not_waited_for(scheme: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (str(tmp_path / "pipe"), "/dev/zero"):
        options = AudioOptions() if scheme == "wav" else VideoOptions()
        with pytest.raises(CaptureError, match=f"^{path} is (a device or a pipe|not a file)"):
            open_source("tape", f"{scheme}:{path}", options).__enter__()
