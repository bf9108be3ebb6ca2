"""OpenCV as our sources need it: settings that it reads only once, from the environment, and quiet.

`capture/__init__.py` imports this module so that the settings are made before anybody imports cv2. Whoever runs the
program may override each of them in the environment.
"""

from __future__ import annotations

import os
from types import ModuleType

from capture.source import CaptureError

MAX_PICTURE_PIXELS = 16_777_216
"""Larger pictures are refused: 691 bytes of JPEG can claim 900 million pixels and cost 5 GiB to decode."""

_ENVIRONMENT = {
    "OPENCV_IO_MAX_IMAGE_PIXELS": str(MAX_PICTURE_PIXELS),
    # Seconds that a V4L2 read may wait for a picture; 10 by default.
    "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "2",
    # For every network stream and file of the process, so nothing that changes what a file contains. TCP: no torn
    # pictures. Three frames are enough to tell the rate (20 by default: a stream opens in 0.4 s instead of 1.0 s);
    # with fewer, the rate of MPEG transport streams comes out doubled.
    "OPENCV_FFMPEG_CAPTURE_OPTIONS": "rtsp_transport;tcp|fpsprobesize;3",
    # FFmpeg and OpenCV write addresses, with their passwords, to standard error.
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
    "OPENCV_LOG_LEVEL": "SILENT",
    # A second thread saves 0.1 ms of waiting for a shrunk picture and costs a quarter more processor time; the models
    # need the cores. Decoding of video is not concerned: FFmpeg has threads of its own.
    "OPENCV_FOR_THREADS_NUM": "1",
}

for _key, _value in _ENVIRONMENT.items():
    os.environ.setdefault(_key, _value)


def load_opencv() -> ModuleType:
    """The module cv2; CaptureError, which says how to install it, where there is none."""
    try:
        import cv2
    except ModuleNotFoundError as e:
        raise CaptureError(
            "OpenCV is not installed: pip install 'edge-inference-appliance[desktop]', "
            "on a Jetson apt-get install python3-opencv and a virtual environment with --system-site-packages"
        ) from e
    except ImportError as e:
        raise CaptureError(
            f"OpenCV is installed but cannot be loaded ({e}): install the library it names "
            "(Debian: apt-get install libgl1 libglib2.0-0 libxcb1), or use opencv-python-headless, which needs none"
        ) from e
    return cv2
