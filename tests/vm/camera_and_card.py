"""Run inside the virtual machine: our Camera on a real V4L2 driver, our Microphone on a real ALSA card.

Each observation is printed as a line `name<TAB>JSON`; the test outside judges them.
"""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np

from appliance.config import Config
from appliance.doctor import camera_findings
from capture import CaptureError, Source
from capture.camera import Camera, cameras
from capture.formats import formats
from capture.microphone import Microphone
from capture.open import open_source
from capture.options import AudioOptions, VideoOptions

CAMERA_DRIVER = Path("/sys/bus/platform/drivers/vivid")
CARD_DRIVER = Path("/sys/bus/platform/drivers/snd_aloop")
TONE_HZ = 440.0


def tell(name: str, **facts: object) -> None:
    print(f"{name}\t{json.dumps(facts)}", flush=True)


def failure(action: Callable[[], object]) -> str:
    """The sentence with which `action` fails; empty when it does not."""
    try:
        action()
    except CaptureError as e:
        return str(e)
    return ""


def opened_once(source: Source) -> str:
    with source:
        return source.description


def drain(source: Source) -> None:
    for _sample in source:
        pass


def unbind(driver: Path, device: str, after_s: float = 0.0) -> threading.Thread:
    """Take the device from its driver, which is what unplugging does; may wait for whoever has it open."""

    def write() -> None:
        time.sleep(after_s)
        (driver / "unbind").write_text(device)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def device_of(driver: Path) -> str:
    return next(entry.name for entry in driver.iterdir() if "." in entry.name)


def watch_camera() -> None:
    tell("cameras", found=[str(camera) for camera in cameras()])
    tell("formats", offered={each.pixel_format: each.sizes for each in formats("/dev/video0")})
    tell("doctor", found=[finding.text for finding in camera_findings(Config()) if finding.state == "ok"])
    for name, options in {
        "plain": VideoOptions(width=640, height=360, fps=30),
        "impossible": VideoOptions(width=10_000, height=9_000, fps=500, pixel_format="MJPG"),
        "anything": VideoOptions(),
    }.items():
        tell(f"negotiated {name}", description=opened_once(Camera("gate", "0", options)))

    source = Camera("gate", "0", VideoOptions(width=640, height=360, fps=15))
    with source:
        began = time.monotonic()
        frames = list(itertools.islice(source, 30))
        ended = time.monotonic()
        time.sleep(1.0)  # at once: an age of more than two seconds is taken for another clock
        waited = next(iter(source))
        tell("waited", age_s=(waited.ready_ns - waited.stamp.mono_ns) / 1e9, left_alone_s=time.monotonic() - ended)
        gaps = np.diff([frame.stamp.mono_ns for frame in frames]) / 1e6
        tell(
            "frames",
            seqs=[frame.seq for frame in frames],
            shape=frames[0].pixels.shape,
            distinct=len({frame.pixels.tobytes() for frame in frames}),
            seconds=ended - began,
            gap_ms={"median": float(np.median(gaps)), "least": float(gaps.min())},
            age_ms=float(np.median([(frame.ready_ns - frame.stamp.mono_ns) / 1e6 for frame in frames])),
        )
        device = device_of(CAMERA_DRIVER)
        unbind(CAMERA_DRIVER, device)
        began = time.monotonic()
        message = failure(lambda: drain(source))
        tell("unplugged", message=message, seconds=time.monotonic() - began)
    tell("absent", message=failure(lambda: opened_once(source)))
    (CAMERA_DRIVER / "bind").write_text(device)
    began = time.monotonic()
    while failure(lambda: opened_once(source)) and time.monotonic() - began < 20:
        time.sleep(0.2)
    with source:
        frame = next(iter(source))
    tell("back", seconds=time.monotonic() - began, seq=frame.seq, shape=frame.pixels.shape)


def play_tone(path: Path, seconds: float) -> subprocess.Popen[bytes]:
    """A sine into one end of the loopback card; what is played there is heard at the other end."""
    rate = 16_000
    samples = (8000 * np.sin(2 * math.pi * TONE_HZ * np.arange(int(rate * seconds)) / rate)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return subprocess.Popen(["aplay", "-q", "-D", "hw:0,0", str(path)])


def watch_microphone() -> None:
    player = play_tone(Path("/tmp/tone.wav"), seconds=60)
    source = open_source("hall", "mic:hw:0,1", AudioOptions(rate_hz=16_000))
    assert isinstance(source, Microphone)
    with source:
        windows = list(itertools.islice(source, 60))
        samples = np.concatenate([window.samples for window in windows])[-16_000:]
        spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
        tell(
            "heard",
            description=source.description,
            loudest_hz=float(np.argmax(spectrum) * 16_000 / len(samples)),
            peak=float(np.abs(samples).max()),
            seqs=[window.seq for window in windows],
            rate_hz=windows[0].rate_hz,
        )
        unbinding = unbind(CARD_DRIVER, device_of(CARD_DRIVER))
        began = time.monotonic()
        message = failure(lambda: drain(source))
        tell("card gone", message=message, seconds=time.monotonic() - began)
    player.kill()
    player.wait()
    unbinding.join(timeout=10)
    tell("card absent", message=failure(lambda: opened_once(source)), unbound=not unbinding.is_alive())


if __name__ == "__main__":
    {"camera": watch_camera, "microphone": watch_microphone}[sys.argv[1]]()
