"""`csi:`: a camera on the ribbon connector of a Jetson, through NVIDIA's Argus and GStreamer."""

from __future__ import annotations

import re

from capture.grabbing import GrabbingCamera
from capture.opencv import load_opencv
from capture.options import VideoOptions
from capture.source import CaptureError


def csi_pipeline(sensor: int, width: int, height: int, fps: float) -> str:
    """GStreamer pipeline from sensor to BGR: scaled and converted by the ISP, the newest picture kept, no clock."""
    rate = f"{fps:g}/1" if float(fps).is_integer() else f"{round(fps * 1000)}/1000"
    return (
        f"nvarguscamerasrc sensor-id={sensor} ! "
        f"video/x-raw(memory:NVMM),width={width},height={height},framerate={rate} ! "
        "nvvidconv ! video/x-raw,format=BGRx ! videoconvert ! video/x-raw,format=BGR ! "
        "appsink drop=1 max-buffers=1 sync=false"
    )


def has_gstreamer(build_information: str) -> bool:
    """Whether cv2.getBuildInformation() names GStreamer as built in; pip's OpenCV never does."""
    return re.search(r"^\s*GStreamer:\s+YES", build_information, re.MULTILINE) is not None


class CsiCamera(GrabbingCamera):
    """A CSI camera by its sensor number; 1280x720 at 30/s unless the options ask for something else."""

    def __init__(self, name: str, sensor: str, options: VideoOptions) -> None:
        super().__init__(name, options)
        if not sensor.isdecimal():
            raise ValueError(f"csi:{sensor}: expected the number of the sensor, such as csi:0")
        self._sensor = int(sensor)

    def _open(self) -> str:
        cv2 = load_opencv()
        if not has_gstreamer(cv2.getBuildInformation()):
            raise CaptureError(
                f"csi:{self._sensor}: this OpenCV ({cv2.__version__}) has no GStreamer, which CSI cameras need: use "
                "JetPack's own (apt-get install python3-opencv, a virtual environment with --system-site-packages, "
                "and no opencv-python from pip in it)"
            )
        wish = self._options
        width, height, fps = wish.width or 1280, wish.height or 720, wish.fps or 30.0
        self._capture = cv2.VideoCapture(csi_pipeline(self._sensor, width, height, fps), cv2.CAP_GSTREAMER)
        if not self._capture.isOpened() or not self._capture.grab():
            raise CaptureError(self._lost())
        return f"{width}x{height} {fps:g}/s from CSI sensor {self._sensor}"

    def _lost(self) -> str:
        return (
            f"csi:{self._sensor}: the CSI camera delivers no picture: check the ribbon cable and the sensor number, "
            "then restart Argus (systemctl restart nvargus-daemon)"
        )
