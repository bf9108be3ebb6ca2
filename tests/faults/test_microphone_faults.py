"""A microphone of a real PulseAudio daemon: exact, on time, unplugged, crashed, frozen, and back."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import numpy.typing as npt
import pytest

from appliance.pipeline.feed import Feed
from capture import AudioWindow, CaptureError, Sample
from capture.microphone import Microphone
from capture.options import AudioOptions
from tests.chaos.telling import tell
from tests.children import children, open_files, resident_kb
from tests.pulse import RATE_HZ, PulseAudio
from tests.waiting import until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

NOTICED_WITHIN_S = 3.0
BACK_WITHIN_S = 5.0
STAMPED_WITHIN_NS = 100_000_000
GROWTH_KB = 3_000


@pytest.fixture
def pulse(monkeypatch: pytest.MonkeyPatch) -> Iterator[PulseAudio]:
    with PulseAudio() as daemon:
        for key, value in daemon.environment.items():
            monkeypatch.setenv(key, value)
        yield daemon


# -- well --------------------------------------------------------------------------------------------------------------


def test_ten_seconds_of_sound_arrive_bit_by_bit(pulse: PulseAudio) -> None:
    lead = 4 * RATE_HZ  # the monitor of a sink takes up to 2 s until its first sound
    played = np.random.default_rng(1).integers(-16_000, 16_000, lead + 11 * RATE_HZ).astype(np.int16)
    gathered: deque[npt.NDArray[np.float32]] = deque()
    with pulse.playing(played), Microphone("kitchen", "", AudioOptions()) as microphone:
        assert microphone.description == "default: 16000 Hz, 1 channel"
        for window in microphone:
            assert window.gap == 0
            assert window.start == 512 * len(gathered)
            gathered.append(window.samples)
            if window.start >= 12 * RATE_HZ:
                break
    heard = np.concatenate(gathered)[2 * RATE_HZ : 12 * RATE_HZ]
    at = place_of(heard[:4_000], played)
    np.testing.assert_array_equal(heard, played[at : at + 10 * RATE_HZ] / np.float32(32_768))


def place_of(part: npt.NDArray[np.float32], whole: npt.NDArray[np.int16]) -> int:
    """Where in `whole` the sound `part` begins, by correlation."""
    size = len(whole) + len(part)
    likeness = np.fft.irfft(np.fft.rfft(whole.astype(np.float64), size) * np.fft.rfft(part, size).conj(), size)
    return int(likeness[: len(whole)].argmax())


@pytest.mark.parametrize("rate_hz", [16_000, 500_000], ids=["as asked", "converted"])
def test_stamps_tell_when_a_click_was_made(pulse: PulseAudio, rate_hz: int) -> None:
    """PulseAudio refuses 500 kHz, so that the sound is converted on our side.

    On a busy machine the first blocks may all have been read late; from the first that was not, every stamp is right.
    """
    clicks: list[int] = []
    found: list[int] = []
    microphone = Microphone("kitchen", "", AudioOptions(rate_hz=rate_hz))
    with pulse.fed_by_hand() as hand, clicking(hand, clicks), microphone:
        assert ("converted" in microphone.description) == (rate_hz != RATE_HZ)
        for window in microphone:
            if window.samples.max() > 0.4:
                place = int(window.samples.argmax())
                found_ns = window.stamp.mono_ns + place * 1_000_000_000 // rate_hz
                off_ns = min((found_ns - click_ns for click_ns in clicks), key=abs)
                if found or abs(off_ns) < STAMPED_WITHIN_NS:
                    found.append(off_ns)
            if len(found) == 10:
                break
            assert len(clicks) < 60, "no stamp is right"
    assert max(map(abs, found)) < STAMPED_WITHIN_NS


@contextmanager
def clicking(hand: int, clicks: list[int]) -> Iterator[None]:
    """Write faint noise to `hand` as time goes by, with a click every half second, whose time is noted.

    That is when it was due, which is what a converter's own clock would say; the thread that writes it may be late, and
    then catches up.
    """
    stopping = threading.Event()

    def write() -> None:
        chance = np.random.default_rng(2)
        next_s = time.monotonic()
        for step in range(10**6):
            sound = chance.integers(-30, 30, RATE_HZ // 100).astype("<i2")
            if step % 50 == 25:
                sound[:8] = 30_000
                clicks.append(round(next_s * 1e9))
            os.write(hand, sound.tobytes())
            next_s += 0.01
            if stopping.wait(max(0.0, next_s - time.monotonic())):
                return

    writer = threading.Thread(target=write)
    writer.start()
    yield
    stopping.set()
    writer.join()


def test_a_microphone_is_found_by_its_own_name_and_a_wrong_one_is_answered_with_the_right_ones(
    pulse: PulseAudio,
) -> None:
    pulse.make_noise()
    with Microphone("kitchen", "kitch", AudioOptions()) as microphone:
        assert microphone.description == "kitchen: 16000 Hz, 1 channel"
        assert next(iter(microphone)).samples.any()
    with (
        pytest.raises(CaptureError, match=r"mic:cellar: no input device of this name; write one of .*mic:kitchen"),
        Microphone("kitchen", "cellar", AudioOptions()),
    ):
        pass


def test_it_works_where_memory_may_not_be_written_and_executed(pulse: PulseAudio) -> None:
    """What `MemoryDenyWriteExecute=yes` of systemd means; the process of the microphone inherits it."""
    pulse.make_noise()
    program = """
import ctypes
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1  # <linux/prctl.h>, since Linux 6.3
if ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
    raise SystemExit("too old")
from capture.microphone import Microphone
from capture.options import AudioOptions
with Microphone("kitchen", "", AudioOptions()) as microphone:
    print(len(next(iter(microphone)).samples))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    if "too old" in done.stderr:
        pytest.skip("this kernel cannot forbid executable memory to one process (Linux 6.3 can)")
    assert done.stdout == "512\n", done.stderr


# -- lost and found ----------------------------------------------------------------------------------------------------


class Listener:
    """A pipeline's end of the microphone: when it last heard noise, and what the silence in between was."""

    def __init__(self) -> None:
        self.heard_at_s = 0.0
        self.still_windows = 0

    def offer(self, sample: Sample) -> None:
        assert isinstance(sample, AudioWindow)
        if sample.samples.any():
            self.heard_at_s = time.monotonic()
        else:
            self.still_windows += 1


@contextmanager
def listening(device: str) -> Iterator[tuple[Feed, Listener]]:
    """A microphone read and opened again as the appliance does it."""
    listener, stopping = Listener(), threading.Event()
    feed = Feed("kitchen", lambda: Microphone("kitchen", device, AudioOptions()), [listener], 1.0, sensor=True)
    thread = threading.Thread(target=feed.run, args=[stopping])
    thread.start()
    try:
        yield feed, listener
    finally:
        stopping.set()
        feed.close()
        thread.join(10)
        assert not thread.is_alive()


def crashed(pulse: PulseAudio) -> AbstractContextManager[None]:
    @contextmanager
    def outage() -> Iterator[None]:
        pulse.kill()
        yield
        pulse.start()
        pulse.make_noise()

    return outage()


def unplugged(pulse: PulseAudio) -> AbstractContextManager[None]:
    @contextmanager
    def outage() -> Iterator[None]:
        pulse.unplug()
        yield
        pulse.plug()

    return outage()


def frozen(pulse: PulseAudio) -> AbstractContextManager[None]:
    return pulse.frozen()


@pytest.mark.parametrize("device", ["", "kitchen"], ids=["default", "named"])
@pytest.mark.parametrize("outage", [unplugged, crashed, frozen])
def test_a_lost_microphone_is_noticed_and_comes_back_without_help(
    pulse: PulseAudio, outage: Callable[[PulseAudio], AbstractContextManager[None]], device: str, long_run: bool
) -> None:
    pulse.make_noise()
    with listening(device) as (feed, listener):
        until(lambda: listener.heard_at_s, within_s=BACK_WITHIN_S)
        files, memory_kb = open_files(), 0
        cycles, noticed_s, back_s = 10 if long_run else 5, [], []
        for cycle in range(cycles):
            lost_s = time.monotonic()
            with outage(pulse):
                until(
                    lambda: feed.status(time.monotonic_ns()) == "offline",
                    within_s=NOTICED_WITHIN_S,
                    what=f"outage {cycle} is noticed",
                )
                noticed_s.append(time.monotonic() - lost_s)
                still_windows = listener.still_windows
                threading.Event().wait(cycle % 3 * 0.7)  # it returns in the middle of an attempt, or between two
                assert listener.still_windows == still_windows, "an unplugged microphone looked well"
            listener.heard_at_s, returned_s = 0.0, time.monotonic()
            until(lambda: listener.heard_at_s, within_s=BACK_WITHIN_S, what=f"sound comes back after outage {cycle}")
            back_s.append(time.monotonic() - returned_s)
            assert len(children()) <= 3  # the daemon, the noise, the microphone
            memory_kb = memory_kb or resident_kb()
        assert resident_kb() - memory_kb < GROWTH_KB
        until(lambda: open_files() <= files, what="handles are given back")
    until(lambda: len(children()) <= 2, what="the microphone's process has gone")
    tell(
        "G27 microphone",
        how=outage.__name__,
        outages=cycles,
        noticed_s=round(max(noticed_s), 2),
        back_s=round(max(back_s), 2),
    )
