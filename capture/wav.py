"""`wav:`: a sound file as a source, at its own pace or as fast as it is read."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from capture.options import AudioOptions
from capture.pace import Pace
from capture.place import kind_of
from capture.resample import Resampler
from capture.samples import AudioWindow, Samples, Stamp
from capture.source import CaptureError
from capture.track import Track

MOST_CHANNELS = 32
RATES_HZ = range(1_000, 768_001)
"""A header that says otherwise is damaged, or is there to make us allocate."""

UNKNOWN_SIZE = 0x7FFF_0000
"""Programs that write a WAV into a pipe cannot know its size, and put this or more into the header."""


class WavFile:
    """A recording: WAV, FLAC, OGG and whatever else libsndfile reads; channels are averaged.

    Raises CaptureError, which names the file and the reason, when it is missing, no sound, shorter than its header
    promises, or becomes unreadable on the way. A cut OGG cannot be told from a short one. `seq` and `start` go on
    counting when it loops.
    """

    def __init__(self, name: str, path: str, options: AudioOptions) -> None:
        self.name = name
        self.live = options.realtime
        self._path = Path(path)
        self._options = options
        self._closing = threading.Event()
        self._file: Any = None
        self._description = ""

    @property
    def description(self) -> str:
        return self._description

    def __enter__(self) -> WavFile:
        self._file = _opened(self._path)
        pace = "at its own pace" if self.live else "as fast as possible"
        seconds = self._file.frames / self._file.samplerate
        self._description = f"{self._path}: {_format(self._file)}, {seconds:.1f} s, read {pace}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def close(self) -> None:
        self._closing.set()

    def __iter__(self) -> Iterator[AudioWindow]:
        rate_in_hz = self._file.samplerate
        track = Track(self.name, rate_in_hz, self._options.rate_hz)
        pace = Pace(self._closing)
        pace.wait_until(0.0)
        heard = 0
        for piece in self._laps():
            heard += len(piece)
            if self._closing.is_set() or (self.live and not pace.wait_until(heard / rate_in_hz)):
                return
            window = track.add(piece, Stamp.now().shifted(-len(piece) * 1_000_000_000 // rate_in_hz))
            if window is not None:
                yield window
        window = track.finish()
        if window is not None:
            yield window

    def _laps(self) -> Iterator[Samples]:
        block = max(1, round(self._options.block_s * self._file.samplerate))
        yield from _pieces(self._path, self._file, block)
        while self._options.loop:
            self._file.seek(0)
            yield from _pieces(self._path, self._file, block)


def read_wav(path: str | Path, rate_hz: int) -> Samples:
    """A whole sound file at once: float32 (n,), one channel, full scale is 1.0, at `rate_hz`; CaptureError as above."""
    path = Path(path)
    with _opened(path) as file:
        resampler = Resampler(file.samplerate, rate_hz)
        pieces = [resampler.push(piece) for piece in _pieces(path, file, block=file.samplerate)]
    return np.concatenate([*pieces, resampler.flush()])


def _opened(path: Path) -> Any:
    """A soundfile.SoundFile at its beginning, of plausible format, that holds sound."""
    try:
        import soundfile  # type: ignore[import-untyped] # it has no types
    except ImportError as e:
        raise CaptureError("soundfile is not installed: pip install soundfile") from e
    except OSError as e:
        raise CaptureError("libsndfile is not installed: apt-get install libsndfile1") from e
    if kind_of(path) in ("folder", "device"):
        raise CaptureError(f"{path} is not a file: write wav: and the path of one sound file")
    _refuse_cut_wav(path)
    try:
        file = soundfile.SoundFile(str(path))
    except soundfile.LibsndfileError as e:
        raise CaptureError(f"{path} is not a sound file that can be read: {e.error_string}") from e
    fault = ""
    if file.samplerate not in RATES_HZ or file.channels > MOST_CHANNELS:
        fault = f"its header says {_format(file)}: is it damaged?"
    elif not file.frames:
        fault = "it holds no sound: was the recording finished?"
    if fault:
        file.close()
        raise CaptureError(f"{path}: {fault}")
    return file


def _format(file: Any) -> str:
    return f"{file.samplerate} Hz, {file.channels} channel{'s' if file.channels > 1 else ''}"


def _pieces(path: Path, file: Any, block: int) -> Iterator[Samples]:
    """The whole file from its beginning, averaged over channels, (`block`,) at a time.

    `read` of soundfile asks NumPy for an array's address in a way that adds a word to Python's table of interned
    strings and takes it out again: after half an hour the table was made anew, with 2 MB.
    """
    import soundfile

    read = 0
    while True:
        samples = np.empty((block, file.channels), np.float32)
        try:
            samples = samples[: file.buffer_read_into(samples, "float32")]
        except soundfile.SoundFileRuntimeError as e:
            raise CaptureError(f"{path}: {_broken_off(file, read)}: {e}") from e
        if not len(samples):
            break
        read += len(samples)
        with np.errstate(invalid="ignore", over="ignore"):  # values that are no numbers stay so, for whoever hears them
            mixed = samples[:, 0] if file.channels == 1 else samples.mean(axis=1)
        yield mixed
    if read < file.frames:
        raise CaptureError(f"{path}: {_broken_off(file, read)}: copy or record it again")


def _broken_off(file: Any, read: int) -> str:
    rate = file.samplerate
    return f"unreadable after {read / rate:.2f} s of the {file.frames / rate:.2f} s that it promises"


def _refuse_cut_wav(path: Path) -> None:
    """libsndfile reads a WAV that was cut short as if it had been meant so; its header knows better.

    Format: RIFF, Multimedia Programming Interface and Data Specifications 1.0: chunks of four letters, a size, and an
    even number of bytes.
    """
    try:
        with path.open("rb") as file:
            if struct.unpack("<4s4x4s", file.read(12).ljust(12, b"\0")) != (b"RIFF", b"WAVE"):
                return
            while len(header := file.read(8)) == 8:
                letters, size = struct.unpack("<4sI", header)
                if letters == b"data":
                    break
                file.seek(size + size % 2, 1)
            else:
                raise CaptureError(f"{path} is cut short: it ends before its sound begins; copy or record it again")
            present = path.stat().st_size - file.tell()
    except OSError as e:
        raise CaptureError(f"{path}: cannot be read: {e.strerror}") from e
    if present < size < UNKNOWN_SIZE:
        raise CaptureError(
            f"{path} is cut short: {present} of its {size} bytes of sound are there; copy or record it again"
        )
