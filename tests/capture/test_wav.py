"""Sound files as sources: the samples, the pace, the end, and files that are none."""

from __future__ import annotations

import itertools
import os
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]  # it has no types

from capture import AudioWindow, CaptureError
from capture.options import AudioOptions
from capture.samples import Samples
from capture.wav import WavFile, read_wav

RATE_HZ = 16_000
FAST = AudioOptions(realtime=False)
PLAYED = """
import itertools, sys
from pathlib import Path
from capture.options import AudioOptions
from capture.wav import WavFile

def resident_kb():
    return 4 * int(Path("/proc/self/statm").read_text().split()[1])

with WavFile("kitchen", sys.argv[1], AudioOptions(realtime=False, loop=True)) as source:
    windows = iter(source)
    next(itertools.islice(windows, 2_000, None))
    before = resident_kb()
    next(itertools.islice(windows, 100_000, None))
    print(resident_kb() - before)
"""
"""Hears a file for hours, and says how many kB that took."""


def noise(count: int) -> Samples:
    """Of int16, so that it survives a 16 bit file exactly."""
    return (np.random.default_rng(1).integers(-9_000, 9_000, count) / 32_768).astype(np.float32)


def written(path: Path, samples: Samples, rate_hz: int = RATE_HZ) -> Path:
    soundfile.write(path, samples, rate_hz)
    return path


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    return written(tmp_path / "speech.wav", noise(10_000))


def heard(path: Path, options: AudioOptions = FAST) -> list[AudioWindow]:
    with WavFile("kitchen", str(path), options) as source:
        return list(source)


def joined(windows: list[AudioWindow]) -> Samples:
    return np.concatenate([window.samples for window in windows])


def refusal(path: Path) -> str:
    with pytest.raises(CaptureError) as caught:
        heard(path)
    with pytest.raises(CaptureError):
        read_wav(path, RATE_HZ)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_every_sample_comes_out_as_it_is_in_the_file(speech: Path) -> None:
    windows = heard(speech)
    np.testing.assert_array_equal(joined(windows), noise(10_000))
    np.testing.assert_array_equal(read_wav(speech, RATE_HZ), noise(10_000))
    assert [len(window.samples) for window in windows] == [512] * 19 + [272]
    assert [window.seq for window in windows] == list(range(20))
    assert [window.start for window in windows] == list(range(0, 10_000, 512))
    assert {(window.source, window.rate_hz, window.gap) for window in windows} == {("kitchen", RATE_HZ, 0)}
    assert not windows[0].samples.flags.writeable


@pytest.mark.parametrize("kind", ["flac", "aiff", "w64"])
def test_other_lossless_files_are_the_same(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path / f"speech.{kind}", noise(5_000))
    np.testing.assert_array_equal(joined(heard(path)), noise(5_000))


def test_an_ogg_file_is_read_to_its_end(tmp_path: Path) -> None:
    path = written(tmp_path / "speech.ogg", noise(5_000))
    assert len(joined(heard(path))) == 5_000


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = noise(4_000), noise(4_000)[::-1]
    path = written(tmp_path / "stereo.wav", np.stack([left, right], axis=1))
    np.testing.assert_allclose(joined(heard(path)), (left + right) / 2, atol=1e-7)


def test_another_rate_is_converted_to_the_one_asked_for(tmp_path: Path) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100).astype(np.float32)
    path = written(tmp_path / "tone.wav", tone, rate_hz=44_100)
    windows = heard(path)
    sound = joined(windows)
    expected = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert len(sound) == 16_000
    np.testing.assert_allclose(sound[1_000:-1_000], expected[1_000:-1_000], atol=1e-3)
    np.testing.assert_array_equal(read_wav(path, RATE_HZ), sound)
    ends = np.cumsum([len(window.samples) for window in windows])
    assert [window.start for window in windows] == [0, *ends[:-1]]


def test_at_its_own_pace_it_takes_its_own_time_and_stamps_follow_the_samples(speech: Path) -> None:
    began_ns = time.monotonic_ns()
    windows = heard(speech, AudioOptions(realtime=True))
    took_s = (time.monotonic_ns() - began_ns) / 1e9
    assert took_s >= 10_000 / RATE_HZ
    for window in windows:
        assert window.complete_ns <= window.ready_ns
        assert window.stamp.mono_ns >= began_ns + window.start * 1_000_000_000 // RATE_HZ


def test_as_fast_as_possible_it_does_not_wait(tmp_path: Path) -> None:
    path = written(tmp_path / "long.wav", noise(60 * RATE_HZ))
    began_s = time.monotonic()
    assert len(joined(heard(path))) == 60 * RATE_HZ
    assert time.monotonic() - began_s < 10
    assert not WavFile("kitchen", str(path), FAST).live


def test_closing_wakes_it_while_it_waits_for_its_next_moment(tmp_path: Path) -> None:
    path = written(tmp_path / "long.wav", noise(60 * RATE_HZ))
    source = WavFile("kitchen", str(path), AudioOptions(block_s=30.0))
    began_s = time.monotonic()
    with source:
        threading.Timer(0.1, source.close).start()
        assert list(source) == []
    assert time.monotonic() - began_s < 5


def test_once_closed_it_delivers_nothing_any_more(speech: Path) -> None:
    source = WavFile("kitchen", str(speech), FAST)
    source.close()
    with source:
        assert list(source) == []


def test_looping_it_goes_on_and_on_without_a_seam(speech: Path) -> None:
    with WavFile("kitchen", str(speech), AudioOptions(realtime=False, loop=True)) as source:
        windows = list(itertools.islice(source, 50))
    np.testing.assert_array_equal(joined(windows)[:25_000], np.tile(noise(10_000), 3)[:25_000])
    assert [window.seq for window in windows] == list(range(50))
    ends = np.cumsum([len(window.samples) for window in windows])
    assert [window.start for window in windows] == [0, *ends[:-1]]


@pytest.mark.system
def test_playing_for_hours_it_takes_no_more_memory_than_at_first(tmp_path: Path) -> None:
    path = written(tmp_path / "silence.wav", np.zeros(RATE_HZ, np.float32))
    done = subprocess.run([sys.executable, "-c", PLAYED, str(path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 500


def test_it_says_what_it_is_once_it_is_open(speech: Path) -> None:
    source = WavFile("kitchen", str(speech), FAST)
    assert source.description == ""
    with source:
        assert source.description == f"{speech}: 16000 Hz, 1 channel, 0.6 s, read as fast as possible"


def test_it_can_be_opened_again_and_leaves_no_file_open(speech: Path) -> None:
    source = WavFile("kitchen", str(speech), FAST)
    open_files = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with source:
            assert len(list(source)) == 20
    assert len(list(Path("/proc/self/fd").iterdir())) == open_files


def test_a_missing_file_a_folder_and_garbage_are_named(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "absent.wav")
    assert "is not a file" in refusal(tmp_path)
    for name, content in {"garbage.wav": os.urandom(5_000), "empty.wav": b"", "short.wav": b"RI"}.items():
        (tmp_path / name).write_bytes(content)
        assert "is not a sound file" in refusal(tmp_path / name)


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3"])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_file_that_was_cut_short_is_not_taken_for_a_shorter_one(tmp_path: Path, kind: str, share: float) -> None:
    path = written(tmp_path / f"speech.{kind}", noise(50_000))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert "is cut short" in refusal(path) or "unreadable after" in refusal(path)


def test_a_wav_cut_inside_its_header_is_cut_short(speech: Path) -> None:
    speech.write_bytes(speech.read_bytes()[:30])
    assert "is cut short" in refusal(speech)


@pytest.mark.parametrize("size", [0xFFFF_FFFF, 0x7FFF_FFFF])
def test_a_wav_written_into_a_pipe_does_not_know_its_size_and_is_read(speech: Path, size: int) -> None:
    content = bytearray(speech.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = struct.pack("<I", size)
    speech.write_bytes(content)
    np.testing.assert_array_equal(joined(heard(speech)), noise(10_000))


def test_a_recording_that_was_never_finished_says_so(speech: Path) -> None:
    content = bytearray(speech.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = bytes(4)
    speech.write_bytes(content)
    assert "was the recording finished" in refusal(speech)


def test_a_header_that_promises_a_thousand_channels_is_refused(speech: Path) -> None:
    content = bytearray(speech.read_bytes())
    content[22:24] = struct.pack("<H", 1_000)
    content[32:34] = struct.pack("<H", 2_000)
    speech.write_bytes(content)
    assert "is it damaged" in refusal(speech)


def test_without_soundfile_the_error_says_what_to_install(speech: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(CaptureError, match="pip install soundfile"):
        heard(speech)


@pytest.mark.data
def test_a_minute_of_real_speech_and_spoken_digits_at_half_the_rate(data: Path) -> None:
    speech = read_wav(data / "speech.wav", RATE_HZ)
    assert len(speech) == 960_000
    assert 0.01 < speech.std() < 0.5
    digit = next((data / "speech_digits").glob("7_*.wav"))
    frames = soundfile.info(digit).frames
    assert len(read_wav(digit, RATE_HZ)) == 2 * frames
