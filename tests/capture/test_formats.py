"""What a camera's formats say about it; tests/faults/test_v4l2_vm.py asks a real driver for them."""

from __future__ import annotations

import pytest

from capture.formats import Format, only_raw

OFFERED = {
    "a Jetson's CSI camera": (["RG10"], True),
    "in several depths": (["RG10", "BG12", "BA14", "GB16", "BYR2", "pRAA"], True),
    "in 8 bits, which are read as any picture": (["BA81", "GBRG", "GRBG", "RGGB"], False),
    "a webcam": (["YUYV", "MJPG"], False),
    "a webcam with raw data as well": (["YUYV", "BA81", "RG10"], False),
    "a grey one": (["Y10 ", "GREY"], False),
    "nothing": ([], False),
}


@pytest.mark.parametrize("name", OFFERED)
def test_a_csi_camera_offers_nothing_but_what_its_sensor_measures(name: str) -> None:
    pixel_formats, expected = OFFERED[name]
    assert only_raw([Format(each, ((1920, 1080),)) for each in pixel_formats]) is expected
