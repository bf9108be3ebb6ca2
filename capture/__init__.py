"""Sensor to sample: cameras, microphones, files, synthetic scenes, windows of sound."""

from capture import opencv as _settings  # noqa: F401 - before anybody imports cv2
from capture.samples import AudioWindow, Frame, Sample, Stamp
from capture.source import CaptureError, Source

__all__ = ["AudioWindow", "CaptureError", "Frame", "Sample", "Source", "Stamp"]
