"""CSI cameras exist on a Jetson only; what leads to them is tested everywhere."""

from __future__ import annotations

import cv2
import pytest

from capture import CaptureError
from capture.csi import CsiCamera, csi_pipeline, has_gstreamer
from capture.options import VideoOptions


def test_the_pipeline_scales_in_hardware_and_keeps_the_newest_picture() -> None:
    assert csi_pipeline(1, 1280, 720, 30) == (
        "nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),width=1280,height=720,framerate=30/1 ! "
        "nvvidconv ! video/x-raw,format=BGRx ! videoconvert ! video/x-raw,format=BGR ! "
        "appsink drop=1 max-buffers=1 sync=false"
    )


def test_a_rate_that_is_no_whole_number_is_written_as_a_fraction() -> None:
    assert "framerate=29970/1000" in csi_pipeline(0, 640, 480, 29.97)


@pytest.mark.parametrize(
    ("information", "there"),
    [
        ("  Video I/O:\n    GStreamer:                   YES (1.20.3)\n", True),
        ("  Video I/O:\n    GStreamer:                   NO\n", False),
        ("  Video I/O:\n    FFMPEG:                      YES\n", False),
    ],
)
def test_gstreamer_is_read_from_the_build_information(information: str, there: bool) -> None:
    assert has_gstreamer(information) is there


def test_an_opencv_without_gstreamer_is_told_with_the_way_out() -> None:
    if has_gstreamer(cv2.getBuildInformation()):
        pytest.skip("this OpenCV has GStreamer")
    source = CsiCamera("front", "0", VideoOptions())
    with pytest.raises(CaptureError, match=r"csi:0: this OpenCV \(.*\) has no GStreamer.*python3-opencv"), source:
        pass
