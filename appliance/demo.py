"""The appliance at work with nothing attached: a synthetic scene, synthetic sounds, a broker of its own.

A camera and a microphone that are there are used instead.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from capture.source import CaptureError

TONE_HZ = {"low": 220.0, "middle": 880.0, "high": 3520.0}
"""One tone inside each band of the model `tones`."""

RATE_HZ = 16_000
TONE_S, PAUSE_S = 1.0, 1.0


def write_demo(folder: Path, broker: str) -> Path:
    """A configuration (and the sounds it plays) in `folder`; returns the configuration's path."""
    camera, microphone = _camera(), _microphone(folder)
    path = folder / "appliance.toml"
    path.write_text(
        f"""# Written by `appliance demo`. `appliance config example` shows every key.
[device]
name = "demo"
state_dir = "{folder}"
log = "warning"

[mqtt]
broker = "{broker}"

[[camera]]
name = "camera"
uri = "{camera}"

[[microphone]]
name = "microphone"
uri = "{microphone}"
loop = {str(microphone.startswith("wav:")).lower()}

[[pipeline]]
name = "shapes"
source = "camera"
model = "shapes"

[[pipeline]]
name = "tones"
source = "microphone"
model = "tones"
""",
        encoding="utf-8",
    )
    return path


def start_appliance(config: Path) -> subprocess.Popen[bytes]:
    """`appliance run` as a process of its own, as systemd would start it."""
    return subprocess.Popen([sys.executable, "-m", "appliance", "run", "--config", str(config)])


def _camera() -> str:
    devices = sorted(Path("/dev").glob("video*"))
    usable = [device for device in devices if os.access(device, os.R_OK | os.W_OK)]
    return f"camera:{usable[0]}" if usable else "scene:shapes"


def _microphone(folder: Path) -> str:
    from capture.microphones import input_devices

    try:
        if input_devices():
            return "mic:"
    except CaptureError:  # no PortAudio, or no sound system: the synthetic sounds it is
        pass
    return f"wav:{_write_tones(folder)}"


def _write_tones(folder: Path) -> Path:
    """Each tone for a second, a second of near silence between them."""
    import soundfile  # type: ignore[import-untyped] # it has no types

    rng = np.random.default_rng(0)
    time_s = np.arange(int(TONE_S * RATE_HZ)) / RATE_HZ
    parts = []
    for hertz in TONE_HZ.values():
        parts.append(rng.standard_normal(int(PAUSE_S * RATE_HZ)) * 1e-3)
        parts.append(0.3 * np.sin(2 * np.pi * hertz * time_s) + rng.standard_normal(len(time_s)) * 1e-3)
    path = folder / "tones.wav"
    soundfile.write(path, np.concatenate(parts).astype(np.float32), RATE_HZ)
    return path
