"""Sensor to sample: cameras, microphones, files, synthetic scenes, windows of sound."""

from capture.samples import AudioWindow, Frame, Sample, Stamp
from capture.source import CaptureError, Source

__all__ = ["AudioWindow", "CaptureError", "Frame", "Sample", "Source", "Stamp"]
