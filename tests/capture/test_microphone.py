"""The microphone and its process, with a stand-in for PortAudio where no sound server here can do the same."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import threading
import time
from os import kill
from typing import Any

import numpy as np
import pytest

import capture.microphone
from capture import AudioWindow, CaptureError
from capture.microphone import Microphone
from capture.microphone_child import Refusal, choose
from capture.options import AudioOptions
from tests.children import alive, children, handles
from tests.conftest import StandIn
from tests.stand_in_sounddevice import PERIOD
from tests.waiting import until

pytestmark = pytest.mark.system

NOTICED_WITHIN_S = 3.0
RATE_HZ = 16_000


def heard(microphone: Microphone, seconds: float) -> list[AudioWindow]:
    """Windows until that much sound is together."""
    windows: list[AudioWindow] = []
    with microphone:
        for window in microphone:
            windows.append(window)
            if sum(len(each.samples) for each in windows) >= seconds * window.rate_hz:
                break
    return windows


def joined(windows: list[AudioWindow]) -> list[float]:
    return [float(value) for window in windows for value in window.samples]


def refusal(device: str = "", first_sound_s: float = capture.microphone.FIRST_SOUND_S) -> str:
    before = handles()
    source = Microphone("kitchen", device, AudioOptions(), first_sound_s=first_sound_s)
    with pytest.raises(CaptureError) as caught, source as microphone:
        list(microphone)
    assert children() == []
    assert handles() <= before  # less, when something of an earlier test is collected meanwhile
    return str(caught.value)


def test_sound_is_one_contiguous_count_from_the_first_sample(stand_in: StandIn) -> None:
    stand_in()
    microphone = Microphone("kitchen", "USB", AudioOptions())
    assert microphone.live
    assert microphone.description == ""
    began_ns = time.monotonic_ns()
    windows = heard(microphone, 0.5)
    assert microphone.description == "USB Audio: (hw:1,0): 16000 Hz, 1 channel"
    values = np.concatenate([window.samples for window in windows])
    np.testing.assert_array_equal(values, (np.arange(len(values)) % PERIOD / PERIOD).astype(np.float32))
    assert [window.seq for window in windows] == list(range(len(windows)))
    for window in windows:
        assert (window.source, window.rate_hz, window.gap, len(window.samples)) == ("kitchen", RATE_HZ, 0, 512)
        assert window.start == window.seq * 512
        assert not window.samples.flags.writeable
        assert began_ns < window.stamp.mono_ns < window.complete_ns <= window.ready_ns + 1_000_000
        assert abs(window.stamp.unix_ns - time.time_ns()) < 60e9


def test_a_rate_that_the_device_refuses_is_converted(stand_in: StandIn) -> None:
    stand_in(rates_hz=[48_000])
    microphone = Microphone("kitchen", "", AudioOptions())
    windows = heard(microphone, 0.5)
    assert microphone.description == "USB Audio: (hw:1,0): 48000 Hz, 1 channel, converted to 16000 Hz"
    for before, after in itertools.pairwise(windows):
        assert after.start == before.start + len(before.samples)
        assert after.stamp.mono_ns == pytest.approx(before.complete_ns, abs=1e6)
    sound = np.concatenate([window.samples for window in windows])[2_000:6_000]
    period = PERIOD // 3  # at a third of the rate
    assert np.abs(sound[:-PERIOD] - sound[PERIOD:]).max() < 0.01
    assert 0.4 < sound[:period].mean() < 0.6


def test_the_channels_of_a_stereo_device_are_averaged(stand_in: StandIn) -> None:
    stand_in(channels=2)
    microphone = Microphone("kitchen", "", AudioOptions())
    sound = np.concatenate([window.samples for window in heard(microphone, 0.2)])
    assert "mean of 2 channels" in microphone.description
    np.testing.assert_allclose(sound, (np.arange(len(sound)) % PERIOD / PERIOD + 0.5) / 2, atol=1e-6)


def test_of_a_device_with_many_channels_the_first_is_taken(stand_in: StandIn) -> None:
    stand_in(channels=32)
    sound = np.concatenate([window.samples for window in heard(Microphone("kitchen", "", AudioOptions()), 0.1)])
    np.testing.assert_allclose(sound[:100], np.arange(100) / PERIOD, atol=1e-6)


@pytest.mark.parametrize("says_so", [True, False], ids=["told", "untold"])
def test_samples_that_the_driver_lost_are_a_gap(stand_in: StandIn, says_so: bool) -> None:
    stand_in(lose_after=RATE_HZ // 10, lost=8_000, says_so=says_so)
    windows = heard(Microphone("kitchen", "", AudioOptions()), 0.3 if says_so else 1.4)
    gaps = [window for window in windows if window.gap]
    assert len(gaps) == 1
    assert gaps[0].gap == pytest.approx(8_000, abs=512)
    before = windows[gaps[0].seq - 1]
    assert gaps[0].start == before.start + len(before.samples) + gaps[0].gap
    assert abs(windows[-1].ready_ns - windows[-1].complete_ns) < 100e6


def test_sound_that_stops_coming_is_noticed(stand_in: StandIn) -> None:
    stand_in(silent_after=RATE_HZ // 5)
    began_s = time.monotonic()
    assert "no sound came for 2.0 s: is it unplugged?" in refusal("USB")
    assert time.monotonic() - began_s < 0.2 + NOTICED_WITHIN_S


def test_a_device_that_never_begins_is_given_more_time_but_not_for_ever(stand_in: StandIn) -> None:
    stand_in(silent_after=0)
    assert "no sound came for 0.5 s" in refusal(first_sound_s=0.5)


def test_a_portaudio_that_hangs_while_it_looks_for_devices_is_given_up(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(list_hangs=True)
    monkeypatch.setattr(capture.microphone, "OPEN_S", 0.5)
    assert "PortAudio did not open it within" in refusal()


@pytest.mark.parametrize("value", [0.0, -1 / 32_768], ids=["zero", "stuck"])
def test_sound_that_never_changes_is_no_sound(stand_in: StandIn, value: float) -> None:
    stand_in(constant=value)
    began_s = time.monotonic()
    with Microphone("kitchen", "USB", AudioOptions()) as microphone:
        windows = iter(microphone)
        with pytest.raises(CaptureError, match=r"mic:USB: its sound has not changed at all for 2\.0 s"):
            next(windows)
    assert time.monotonic() - began_s < NOTICED_WITHIN_S


def test_with_a_long_patience_silence_is_delivered_after_a_while(stand_in: StandIn) -> None:
    stand_in(constant=0.0)
    with Microphone("kitchen", "", AudioOptions(zeros_after_s=60.0)) as microphone:
        window = next(iter(microphone))
    assert not window.samples.any()


def test_a_digital_mute_is_a_matter_of_configuration(stand_in: StandIn) -> None:
    stand_in(constant=0.0)
    microphone = Microphone("kitchen", "", AudioOptions(zeros_after_s=None))
    assert set(joined(heard(microphone, 2.5))) == {0.0}


def test_a_fault_in_the_process_is_told_and_its_traceback_is_not_lost(
    stand_in: StandIn, capfd: pytest.CaptureFixture[str]
) -> None:
    stand_in(dies_after=RATE_HZ // 10)
    assert "its process ended with exit code 1" in refusal()
    assert "RuntimeError: a fault in the program" in capfd.readouterr().err


def test_a_killed_process_is_told_by_its_signal(stand_in: StandIn) -> None:
    stand_in()
    with Microphone("kitchen", "USB", AudioOptions()) as microphone:
        windows = iter(microphone)
        next(windows)
        (child,) = children()
        kill(child, signal.SIGKILL)
        with pytest.raises(CaptureError, match="mic:USB: its process was killed by SIGKILL"):
            list(windows)
    assert children() == []


@pytest.mark.parametrize("behaviour", [{}, {"silent_after": RATE_HZ // 10}], ids=["delivering", "hanging"])
def test_closing_from_another_thread_ends_it_without_an_error(stand_in: StandIn, behaviour: dict[str, int]) -> None:
    stand_in(**behaviour)
    began_s = time.monotonic()
    with Microphone("kitchen", "", AudioOptions()) as microphone:
        windows = iter(microphone)
        next(windows)
        threading.Timer(0.3, microphone.close).start()
        for _ in windows:
            pass
    assert time.monotonic() - began_s < 1.5
    assert children() == []
    microphone.close()


def test_closing_wakes_one_that_hangs_while_it_is_opened(stand_in: StandIn) -> None:
    stand_in(list_hangs=True)
    microphone = Microphone("kitchen", "", AudioOptions())
    threading.Timer(0.3, microphone.close).start()
    with microphone:
        assert list(microphone) == []
    assert children() == []


def test_once_closed_it_delivers_nothing_any_more(stand_in: StandIn) -> None:
    stand_in()
    microphone = Microphone("kitchen", "", AudioOptions())
    microphone.close()
    with microphone:
        assert list(microphone) == []


def test_opened_again_it_goes_on_counting_and_begins_a_new_sound(stand_in: StandIn) -> None:
    stand_in()
    microphone = Microphone("kitchen", "", AudioOptions())
    first, second = heard(microphone, 0.1), heard(microphone, 0.1)
    assert [window.seq for window in first + second] == list(range(len(first) + len(second)))
    assert [windows[0].start for windows in (first, second)] == [0, 0]


PARENT = """
from capture.microphone import Microphone
from capture.options import AudioOptions
with Microphone("kitchen", "", AudioOptions()) as microphone:
    for window in microphone:
        print(window.seq, flush=True)
"""


@pytest.mark.parametrize("behaviour", [{}, {"silent_after": RATE_HZ // 10}], ids=["delivering", "hanging"])
def test_a_killed_daemon_leaves_no_process_behind(stand_in: StandIn, behaviour: dict[str, int]) -> None:
    stand_in(**behaviour)
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        (child,) = children(of=parent.pid)
        parent.kill()
    until(lambda: not alive(child), within_s=1.0, what="the microphone's process is gone")


@pytest.mark.parametrize(
    ("absent", "remedy"),
    [
        ("package", "sounddevice is not installed: pip install sounddevice"),
        ("library", "PortAudio is not installed: apt-get install libportaudio2"),
        ("start", "PortAudio cannot start: Error initializing PortAudio"),
    ],
)
def test_what_is_not_installed_is_told_with_its_remedy(stand_in: StandIn, absent: str, remedy: str) -> None:
    stand_in(absent=absent)
    assert remedy in refusal()


def test_a_wrong_name_is_answered_with_the_right_ones(stand_in: StandIn) -> None:
    stand_in()
    message = refusal("webcam")
    assert message.startswith("mic:webcam: no input device of this name; write one of mic:USB Audio: (hw:1,0)")


def test_a_device_that_takes_no_rate_is_told_with_each_refusal(stand_in: StandIn) -> None:
    stand_in(rates_hz=[])
    message = refusal()
    assert "'USB Audio: (hw:1,0)' cannot be opened, at 16000 Hz: Invalid sample rate; at 44100 Hz: Invalid" in message


DEVICES = [
    {"name": "HDMI", "max_input_channels": 0},
    {"name": "USB", "max_input_channels": 1},
    {"name": "USB Audio: (hw:1,0)", "max_input_channels": 2},
    {"name": "Camera: (hw:2,0)", "max_input_channels": 1},
    {"name": "default", "max_input_channels": 32},
]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("", "default"),
        ("USB", "USB"),
        ("USB Audio: (hw:1,0)", "USB Audio: (hw:1,0)"),
        ("hw:1", "USB Audio: (hw:1,0)"),
        ("camera", "Camera: (hw:2,0)"),
    ],
)
def test_a_device_is_chosen_by_its_name_or_a_part_of_it(wanted: str, found: str) -> None:
    assert DEVICES[choose(DEVICES, wanted, default=4)]["name"] == found


@pytest.mark.parametrize(
    ("devices", "wanted", "default", "message"),
    [
        (DEVICES, "HDMI", 4, "no input device of this name; write one of mic:USB, mic:USB Audio"),
        (DEVICES, "hw:", 4, "2 input devices are called so; write one of mic:USB Audio: .*, mic:Camera"),
        (DEVICES, "", -1, "there is no default input device; write one of mic:USB"),
        (DEVICES[:1], "", -1, "there is no input device at all: is one plugged in"),
        ([], "USB", -1, "there is no input device at all: is one plugged in"),
    ],
)
def test_a_name_that_does_not_choose_one_device_is_refused(
    devices: list[dict[str, Any]], wanted: str, default: int, message: str
) -> None:
    with pytest.raises(Refusal, match=message):
        choose(devices, wanted, default)
