"""`mic:`: a microphone as a source, by name, through a process of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from types import TracebackType

import numpy as np

from capture.microphone_child import Kind
from capture.microphone_process import Message, MicrophoneProcess
from capture.options import AudioOptions
from capture.sample_clock import SampleClock
from capture.samples import AudioWindow
from capture.source import CaptureError
from capture.stillness import Stillness
from capture.track import Track

OPEN_S = 8.0
"""A process starts, PortAudio tries every device it knows, a sound server answers."""

FIRST_SOUND_S = 5.0
"""The monitor of a PulseAudio sink takes up to 2 s until its first sound."""

SILENT_S = 2.0
"""After the first sound: without any for so long, the device is gone or its driver hangs."""


class Microphone:
    """A microphone chosen by its PortAudio name or a part of it; empty: the default one.

    One channel (microphone_child says which), converted to `options.rate_hz` where the device refuses that rate.
    Samples that the driver lost are a `gap`, estimated by the clock. `seq` goes on counting when it is opened again.

    Raises CaptureError when it is not there or cannot be opened, and within 3 s when it is lost: its process ends, no
    sound comes for 2 s, or the sound does not change at all for `options.zeros_after_s`. The last is what a sound
    server delivers for ever when a microphone is unplugged, so nothing is delivered before the first change. A real
    microphone has noise, except behind a digital mute or a noise gate: those need None.
    """

    def __init__(self, name: str, device: str, options: AudioOptions, *, first_sound_s: float = FIRST_SOUND_S) -> None:
        self.name = name
        self.live = True
        self._device = device
        self._options = options
        self._first_sound_s = first_sound_s
        self._closing = threading.Event()
        self._process: MicrophoneProcess | None = None
        self._description = ""
        self._rate_hz = 0
        self._channels = 0
        self._seq = 0

    @property
    def description(self) -> str:
        return self._description

    def __enter__(self) -> Microphone:
        self._process = MicrophoneProcess(self._device, self._options.rate_hz, self._options.block_s)
        if self._closing.is_set():  # asked to stop before there was a process to kill
            self._process.kill()
        try:
            self._greet(self._receive(self._process, OPEN_S, f"PortAudio did not open it within {OPEN_S:.0f} s"))
        except BaseException as e:
            if self._closing.is_set() and isinstance(e, CaptureError):
                return self
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def close(self) -> None:
        self._closing.set()
        process = self._process
        if process is not None:
            process.kill()

    def __iter__(self) -> Iterator[AudioWindow]:
        try:
            yield from self._windows()
        except CaptureError:
            if not self._closing.is_set():
                raise

    def _greet(self, message: Message) -> None:
        opened = json.loads(message.body)
        self._rate_hz, self._channels = opened["rate_hz"], opened["channels"]
        channels = "1 channel" if self._channels == 1 else f"mean of {self._channels} channels"
        asked_hz = self._options.rate_hz
        converted = "" if self._rate_hz == asked_hz else f", converted to {asked_hz} Hz"
        self._description = f"{opened['device']}: {self._rate_hz} Hz, {channels}{converted}"

    def _windows(self) -> Iterator[AudioWindow]:
        process = self._process
        if process is None or self._closing.is_set():
            return
        clock = SampleClock(self._rate_hz)
        track = Track(self.name, self._rate_hz, self._options.rate_hz, first_seq=self._seq)
        stillness, alive = Stillness(self._rate_hz), False
        within_s = self._first_sound_s
        while not self._closing.is_set():
            within_s += self._options.block_s
            message = self._receive(process, within_s, f"no sound came for {within_s:.1f} s: is it unplugged?")
            samples = np.frombuffer(message.body, np.float32)
            if self._channels > 1:
                samples = samples.reshape(-1, self._channels).mean(axis=1)
            overflow = message.kind is Kind.SOUND_AFTER_LOSS
            stamp, lost = clock.place(message.stamp, len(samples), overflow=overflow)
            still_s = stillness.of_s(samples, stamp.mono_ns, message.stamp.mono_ns)
            alive = alive or self._alive(still_s)
            self._refuse_stillness(still_s)
            window = track.add(samples, stamp, lost) if alive else None
            if window is not None:
                self._seq = track.next_seq
                yield window
            within_s = SILENT_S

    def _alive(self, still_s: float) -> bool:
        """Whether a microphone just opened may be believed: an unplugged one must not look well at every attempt."""
        return self._options.zeros_after_s is None or still_s == 0 or still_s > SILENT_S

    def _refuse_stillness(self, still_s: float) -> None:
        most_s = self._options.zeros_after_s
        if most_s is not None and still_s >= most_s:
            raise CaptureError(
                f"{self._called}: its sound has not changed at all for {still_s:.1f} s: is it unplugged? "
                "Where it has a digital mute or noise gate, set zeros_after_s higher"
            )

    def _receive(self, process: MicrophoneProcess, within_s: float, otherwise: str) -> Message:
        """The next message of the process; CaptureError when there is none, or when it reports one."""
        try:
            message = process.message(within_s)
        except TimeoutError as e:
            raise CaptureError(f"{self._called}: {otherwise}") from e
        except EOFError as e:
            raise CaptureError(f"{self._called}: its process {process.ending()}") from e
        if message.kind is Kind.ERROR:
            raise CaptureError(f"{self._called}: {message.body.decode()}")
        return message

    def _release(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None

    @property
    def _called(self) -> str:
        return f"mic:{self._device}" if self._device else "the default microphone (mic:)"
