"""What can be said of V4L2 cameras on a machine without any; tests/faults/test_v4l2_vm.py has a real one."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from capture import CaptureError
from capture.camera import Camera, CameraDevice, Mode, cameras, negotiated
from capture.options import VideoOptions

SIZES = [(640, 480), (1280, 720), (1920, 1080)]
YUYV_FPS = {(640, 480): 30.0, (1280, 720): 10.0, (1920, 1080): 5.0}


class Webcam:
    """The driver of a usual USB webcam as cv2.VideoCapture shows it: it rounds every wish to what it can do."""

    def __init__(self, formats: tuple[str, ...] = ("YUYV", "MJPG")) -> None:
        self._formats = formats
        self._format = formats[0]
        self._wish = [640.0, 480.0, 30.0]

    def set(self, key: int, value: float) -> bool:
        if key == cv2.CAP_PROP_FOURCC:
            wanted = int(value).to_bytes(4, "little").decode()
            if wanted in self._formats:
                self._format = wanted
        else:
            self._wish[[cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS].index(key)] = value
        return True

    def get(self, key: int) -> float:
        width, height, fps = self._wish
        size = min(SIZES, key=lambda size: abs(size[0] - width) + abs(size[1] - height))
        answers: dict[int, float] = {
            cv2.CAP_PROP_FOURCC: int.from_bytes(self._format.encode(), "little"),
            cv2.CAP_PROP_FRAME_WIDTH: size[0],
            cv2.CAP_PROP_FRAME_HEIGHT: size[1],
            cv2.CAP_PROP_FPS: min(fps, YUYV_FPS[size] if self._format != "MJPG" else 30.0),
        }
        return answers[key]


HD = {"width": 1280, "height": 720}
NEGOTIATIONS = {
    "nothing asked, nothing changed": ({}, ("YUYV", "MJPG"), "640x480 YUYV 30/s"),
    "a rate that plain pictures reach": (
        {"width": 640, "height": 480, "fps": 30},
        ("YUYV", "MJPG"),
        "640x480 YUYV 30/s",
    ),
    "a slow rate needs no compression": ({**HD, "fps": 10}, ("YUYV", "MJPG"), "1280x720 YUYV 10/s"),
    "MJPG is the only way to the rate": ({**HD, "fps": 30}, ("YUYV", "MJPG"), "1280x720 MJPG 30/s"),
    "MJPG reaches more of the rate": ({**HD, "fps": 60}, ("YUYV", "MJPG"), "1280x720 MJPG 30/s"),
    "there is no MJPG": ({**HD, "fps": 30}, ("YUYV",), "1280x720 YUYV 10/s"),
    "there is nothing but MJPG": ({**HD, "fps": 30}, ("MJPG",), "1280x720 MJPG 30/s"),
    "only a rate": ({"fps": 15}, ("YUYV", "MJPG"), "640x480 YUYV 15/s"),
    "the format is asked for": ({**HD, "fps": 30, "pixel_format": "YUYV"}, ("YUYV", "MJPG"), "1280x720 YUYV 10/s"),
}


@pytest.mark.parametrize("case", NEGOTIATIONS)
def test_compression_is_chosen_only_where_it_is_the_only_way(case: str) -> None:
    wish, formats, expected = NEGOTIATIONS[case]
    assert str(negotiated(Webcam(formats), VideoOptions(**wish))) == expected  # type: ignore[arg-type]  # a table


def test_a_rate_just_below_the_one_asked_for_will_do() -> None:
    assert Mode("YUYV", 640, 480, 29.97).fulfils(VideoOptions(fps=30))
    assert not Mode("YUYV", 640, 480, 25).fulfils(VideoOptions(fps=30))
    assert not Mode("YUYV", 640, 360, 30).fulfils(VideoOptions(height=480))


def put(root: Path, node: str, name: str, index: int = 0) -> None:
    folder = root / "sys/class/video4linux" / node
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "index").write_text(f"{index}\n")
    (root / "dev").mkdir(exist_ok=True)
    (root / "dev" / node).touch()


def test_cameras_are_listed_with_their_lasting_names_and_without_their_second_nodes(tmp_path: Path) -> None:
    put(tmp_path, "video0", "HD Webcam")
    put(tmp_path, "video1", "HD Webcam", index=1)
    put(tmp_path, "video10", "Capture Stick")
    put(tmp_path, "video2", "Door Cam")
    by_id = tmp_path / "dev/v4l/by-id"
    by_id.mkdir(parents=True)
    (by_id / "usb-ACME_HD-video-index0").symlink_to("../../video0")
    assert cameras(tmp_path) == [
        CameraDevice("/dev/video0", "HD Webcam", "/dev/v4l/by-id/usb-ACME_HD-video-index0"),
        CameraDevice("/dev/video2", "Door Cam", ""),
        CameraDevice("/dev/video10", "Capture Stick", ""),
    ]
    assert str(cameras(tmp_path)[0]) == "camera:/dev/v4l/by-id/usb-ACME_HD-video-index0 (HD Webcam)"


def link(root: Path, name: str, node: str) -> None:
    path = root / "dev/v4l" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(f"../../{node}")


BOARD = "by-path/platform-vivid.0-video-index0"
FRONT, BACK = (f"by-path/pci-0000:00:14.0-usb-0:{port}:1.0-video-index0" for port in (1, 2))
KEPT = {
    "different ones": (("Lens: Lens", "Door"), {"by-id/usb-Lens": 0, "by-id/usb-Door": 1, FRONT: 0, BACK: 1}, "id id"),
    "of one make, numbered": (
        ("Lens: Lens", "Lens: Lens"),
        {"by-id/usb-1": 0, "by-id/usb-2": 1, FRONT: 0, BACK: 1},
        "id id",
    ),
    "of one make, with one number": (("Lens: Lens", "Lens: Lens"), {"by-id/usb-1": 0, FRONT: 0, BACK: 1}, "path path"),
    "two lenses in a housing": (("Lens: Colour", "Lens: Infrared"), {"by-id/usb-1": 1, FRONT: 0, BACK: 1}, "path path"),
    "one without an id": (("Lens: Lens", "Card"), {"by-id/usb-1": 0, FRONT: 0, BACK: 1}, "id path"),
    "one without a port": (("Lens: Lens", "Virtual"), {"by-id/usb-1": 0, FRONT: 0}, "id node"),
    "two of a board": (("vivid-000", "vivid-001"), {BOARD: 1}, "node node"),
    "of one make, without ports": (("Lens: Lens", "Lens: Lens"), {"by-id/usb-1": 0}, "node node"),
}


@pytest.mark.parametrize("case", KEPT)
def test_a_name_lasts_that_no_other_camera_could_have_after_the_next_start(case: str, tmp_path: Path) -> None:
    """Of two cameras with one id udev gives the link to either; the other has none."""
    labels, links, expected = KEPT[case]
    for number, label in enumerate(labels):
        put(tmp_path, f"video{number}", label)
    for name, number in links.items():
        link(tmp_path, name, f"video{number}")
    uris = [device.uri.removeprefix("camera:/dev/") for device in cameras(tmp_path)]
    kinds = [uri.removeprefix("v4l/by-").split("/")[0] if "/" in uri else "node" for uri in uris]
    assert " ".join(kinds) == expected
    assert [(tmp_path / "dev" / uri).resolve().name for uri in uris] == ["video0", "video1"]


def test_a_machine_without_cameras_has_none(tmp_path: Path) -> None:
    assert cameras(tmp_path) == []


def test_a_missing_camera_is_told_with_those_that_are_there() -> None:
    source = Camera("gate", "97", VideoOptions())
    with (
        pytest.raises(CaptureError, match=r"/dev/video97: there is no such camera\. (This machine|Cameras here)"),
        source,
    ):
        pass


def test_something_that_is_no_camera_is_told(tmp_path: Path) -> None:
    (tmp_path / "video0").write_bytes(b"no camera")
    source = Camera("gate", str(tmp_path / "video0"), VideoOptions())
    with pytest.raises(CaptureError, match="does not open as a camera: it may be in use by another program"), source:
        pass
