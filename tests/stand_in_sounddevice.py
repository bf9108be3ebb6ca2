"""Takes the place of the package `sounddevice` in a microphone's process, for what no sound server here can do:
lose samples, refuse rates, hang. Copied under that name to where the process looks first; STAND_IN tells it what to do.

Sample n is taken n / rate seconds after the stream was started. Its value counts n, so that a loss shows.
"""

from __future__ import annotations

import array
import json
import os
import threading
import time
from typing import Any

PERIOD = 1_000
"""Values repeat after this many samples."""

WISH = {
    "absent": "",
    "name": "USB Audio: (hw:1,0)",
    "channels": 1,
    "default": 1,
    "rates_hz": [16_000, 48_000],
    "silent_after": None,
    "constant": None,
    "dies_after": None,
    "lose_after": None,
    "lost": 8_000,
    "says_so": True,
    "list_hangs": False,
    **json.loads(os.environ.get("STAND_IN", "{}")),
}

if WISH["absent"] == "package":
    raise ImportError("No module named 'sounddevice'")
if WISH["absent"] == "library":
    raise OSError("PortAudio library not found")


class PortAudioError(Exception):
    pass


if WISH["absent"] == "start":
    raise PortAudioError("Error initializing PortAudio")


class default:  # noqa: N801 - the package calls it so
    device = (WISH["default"], 0)


def query_devices() -> list[dict[str, Any]]:
    for descriptor in (1, 2):
        os.write(descriptor, b"ALSA lib: chatter\n")
    if WISH["list_hangs"]:
        threading.Event().wait()
    rate = float((WISH["rates_hz"] or [44_100])[-1])
    speaker = {"name": "HDMI", "max_input_channels": 0, "default_samplerate": rate}
    return [speaker, {"name": WISH["name"], "max_input_channels": WISH["channels"], "default_samplerate": rate}]


class RawInputStream:
    def __init__(self, device: int, samplerate: int, channels: int, dtype: str, latency: float) -> None:
        if device != 1 or samplerate not in WISH["rates_hz"] or channels > WISH["channels"] or dtype != "float32":
            raise PortAudioError("Invalid sample rate")
        self._rate_hz = samplerate
        self._channels = channels
        self._at = 0
        self._began_s = 0.0

    def start(self) -> None:
        self._began_s = time.monotonic()

    @property
    def read_available(self) -> int:
        return max(0, round((time.monotonic() - self._began_s) * self._rate_hz) - self._at)

    def read(self, frames: int) -> tuple[bytes, bool]:
        if WISH["dies_after"] is not None and self._at >= WISH["dies_after"]:
            raise RuntimeError("a fault in the program")
        if WISH["silent_after"] is not None and self._at >= WISH["silent_after"]:
            threading.Event().wait()
        lose = WISH["lose_after"] is not None and self._at >= WISH["lose_after"]
        if lose:
            WISH["lose_after"] = None
            self._at += WISH["lost"]
        first, self._at = self._at, self._at + frames
        threading.Event().wait(max(0.0, self._began_s + self._at / self._rate_hz - time.monotonic()))
        data = array.array("f", [self._value(n, c) for n in range(first, self._at) for c in range(self._channels)])
        return data.tobytes(), lose and WISH["says_so"]

    def _value(self, n: int, channel: int) -> float:
        """The first channel counts; the second is always a half."""
        if WISH["constant"] is not None:
            return float(WISH["constant"])
        return 0.5 if channel else n % PERIOD / PERIOD
