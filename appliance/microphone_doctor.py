"""Whether the configured microphones hear something, and how loud."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator

import numpy as np

from appliance.assembly import DEFAULT_RATE_HZ, state_folder
from appliance.config import Config
from appliance.config_sources import Microphone
from appliance.finding import Finding
from appliance.outbox.file import OUTBOX, is_taken
from capture.open import open_source
from capture.options import AudioOptions
from capture.samples import AudioWindow
from capture.source import CaptureError

LISTEN_S = 1.0
PATIENCE_S = 8.0
QUIET_DBFS = -70.0
"""A microphone in a quiet room is at some -60."""
CLIPPED_SHARE = 0.001
FULL_SCALE = 0.999
STOP_IT = "stop it to measure: systemctl stop appliance"


def is_held(config: Config) -> bool:
    """Whether an appliance runs with this configuration: it has its sound cards for itself, and PortAudio leaves those
    out of its list."""
    return is_taken(state_folder(config, dict(os.environ)) / OUTBOX)


def level_findings(config: Config) -> Iterator[Finding]:
    """A second of each that is enabled."""
    held = is_held(config)
    for microphone in config.microphone:
        if microphone.enabled and microphone.uri.startswith("mic:"):
            yield _listen(microphone, held)


def _listen(microphone: Microphone, held: bool) -> Finding:
    subject = f"level of {microphone.name}"
    try:
        samples = _second(microphone)
    except (CaptureError, ValueError) as error:
        if held:
            return Finding(subject, "note", f"not measured, the running appliance may hold it: {error}", STOP_IT)
        fix = f"where the appliance runs, {STOP_IT}; else plug it in, unmute it (alsamixer, pavucontrol)"
        return Finding(subject, "problem", str(error), fix)
    return judge(subject, samples)


def judge(subject: str, samples: np.ndarray) -> Finding:
    """`samples`: float32 (n,), full scale at 1."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    if power == 0.0:
        return Finding(subject, "problem", "exact silence", "unmute it, or plug it in: alsamixer, pavucontrol")
    dbfs = 10 * math.log10(power)
    clipped = float(np.mean(np.abs(samples) >= FULL_SCALE))
    if clipped > CLIPPED_SHARE:
        text = f"{dbfs:.0f} dBFS, {clipped:.1%} of the samples at full scale: it is overdriven"
        return Finding(subject, "note", text, "lower its gain: alsamixer, pavucontrol")
    if dbfs < QUIET_DBFS:
        return Finding(subject, "note", f"{dbfs:.0f} dBFS: hardly anything", "raise its gain: alsamixer, pavucontrol")
    return Finding(subject, "ok", f"{dbfs:.0f} dBFS")


def _second(microphone: Microphone) -> np.ndarray:
    options = AudioOptions(rate_hz=DEFAULT_RATE_HZ, zeros_after_s=microphone.zeros_after_s)
    heard: list[np.ndarray] = []
    until_s = time.monotonic() + PATIENCE_S
    with open_source(microphone.name, microphone.uri, options) as source:
        for window in source:
            assert isinstance(window, AudioWindow)
            heard.append(window.samples)
            if sum(map(len, heard)) >= LISTEN_S * DEFAULT_RATE_HZ or time.monotonic() > until_s:
                break
    return np.concatenate(heard) if heard else np.zeros(0, np.float32)
