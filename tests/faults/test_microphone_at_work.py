"""A running appliance that listens: a tone becomes an event, an unplugged microphone is told on its topic."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.appliance_process import ApplianceProcess, Ear
from tests.conftest import Broker
from tests.pulse import RATE_HZ, PulseAudio

pytestmark = [pytest.mark.faults, pytest.mark.broker]

NOTICED_WITHIN_S = 3.5
BACK_WITHIN_S = 6.0
STATUS = "source/hall/available"


@pytest.fixture
def pulse(monkeypatch: pytest.MonkeyPatch) -> Iterator[PulseAudio]:
    with PulseAudio() as daemon:
        for key, value in daemon.environment.items():
            monkeypatch.setenv(key, value)
        yield daemon


def test_a_tone_is_heard_and_a_lost_microphone_is_told_and_taken_up_again(
    pulse: PulseAudio, broker: Broker, tmp_path: Path
) -> None:
    config = f"""
[mqtt]
broker = "{broker.url}"
[[microphone]]
name = "hall"
uri = "mic:"
[[pipeline]]
name = "tones"
source = "hall"
model = "tones"
"""
    with pulse.playing(_beeps()), Ear(broker.port) as ear, ApplianceProcess(tmp_path, config):
        ear.await_payload(STATUS, b"online", within_s=15)
        event = ear.await_document("pipeline/tones/event", within_s=10, event="new")
        assert event["after"]["label"] == "middle"
        for _ in range(3):
            since_s = time.monotonic()
            pulse.unplug()
            ear.await_payload(STATUS, b"offline", since_s, NOTICED_WITHIN_S)
            since_s = time.monotonic()
            pulse.plug()
            ear.await_payload(STATUS, b"online", since_s, BACK_WITHIN_S)
        ear.await_document("pipeline/tones/result", time.monotonic(), within_s=5, status="ok")


def _beeps() -> npt.NDArray[np.int16]:
    """A minute of faint noise with a tone of 880 Hz in every other second."""
    time_s = np.arange(60 * RATE_HZ) / RATE_HZ
    noise = np.random.default_rng(0).normal(0, 20, len(time_s))
    beeps = noise + 9000 * np.sin(2 * np.pi * 880 * time_s) * (time_s.astype(int) % 2)
    return np.asarray(beeps, np.int16)
