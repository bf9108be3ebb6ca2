"""Body of the process that owns one microphone: PortAudio in, a pipe out.

Microphone starts this file by its path, so that neither our packages nor NumPy are loaded: 36 MB resident, 11 of them
its own, instead of 50 and 19. A process, because PortAudio freezes its list of devices when it starts and a lost device
takes every stream of the process with it.

It reads with blocking calls. A callback of sounddevice would need memory that is writeable and executable, which
`MemoryDenyWriteExecute=yes` of systemd refuses; and a blocking read fails at once when a sound server dies, where a
callback is just not called any more.

Standard output is a row of messages: HEADER, then `size` bytes. The first one is OPENED or ERROR. An ERROR is a
sentence and the last one.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import struct
import sys
import time
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any, BinaryIO

HEADER = struct.Struct("=IIqq")
"""Kind, size; for sound the time of the first sample on CLOCK_MONOTONIC, which all processes share, and UTC, in ns."""

BUFFER_S = 0.1
"""Asked of the driver. Sound arrives in quarters of it, and is lost when this process does not run for so long."""

FIRST_SOUND_POLL_S = 0.005

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


class Kind(IntEnum):
    """What a message carries."""

    OPENED = 0
    """JSON: device, rate_hz, channels."""
    SOUND = 1
    """float32 of this machine, interleaved, full scale is 1.0."""
    SOUND_AFTER_LOSS = 2
    """The same; the driver lost samples before it or inside it."""
    ERROR = 3
    """UTF-8, a sentence."""


class Refusal(Exception):
    """Why there is no sound (any more), and the next step, in a sentence."""


def main(wish: dict[str, Any]) -> None:
    """Deliver until the microphone is lost or the pipe closed.

    `wish`: `device` (a name, empty for the default one), `rate_hz`, `block_s`, `parent` (its process id).
    """
    _die_with(wish["parent"])
    pipe = _own_pipe()
    try:
        deliver(pipe, wish)
    except Refusal as refusal:
        send(pipe, Kind.ERROR, str(refusal).encode())


def deliver(pipe: BinaryIO, wish: dict[str, Any]) -> None:
    portaudio = _portaudio()
    try:
        devices = list(portaudio.query_devices())
    except portaudio.PortAudioError as e:
        raise Refusal(f"the sound devices cannot be listed: {e}") from e
    index = choose(devices, wish["device"], default=portaudio.default.device[0])
    stream, rate_hz, channels = _opened(portaudio, index, devices[index], wish["rate_hz"])
    opened = {"device": devices[index]["name"], "rate_hz": rate_hz, "channels": channels}
    send(pipe, Kind.OPENED, json.dumps(opened).encode())
    count = max(1, round(wish["block_s"] * rate_hz))
    try:
        while not stream.read_available:  # in PulseAudio's plug-in a read that waits for the first sound spins
            time.sleep(FIRST_SOUND_POLL_S)
        while True:
            data, lost = stream.read(count)
            mono_ns, unix_ns = time.monotonic_ns(), time.time_ns()
            age_ns = (count + stream.read_available) * 1_000_000_000 // rate_hz
            kind = Kind.SOUND_AFTER_LOSS if lost else Kind.SOUND
            send(pipe, kind, bytes(data), mono_ns - age_ns, unix_ns - age_ns)
    except portaudio.PortAudioError as e:
        raise Refusal(
            f"{devices[index]['name']!r} was lost: {e}: is it unplugged, or did the sound server stop?"
        ) from e


def choose(devices: Sequence[dict[str, Any]], wanted: str, default: int) -> int:
    """Index of the input device with this name, else of the one whose name contains it; `default` for an empty name.

    Names, because an index changes with every device that comes or goes. Refusal names the devices that are there.
    """
    inputs = [index for index, device in enumerate(devices) if device["max_input_channels"] > 0]
    if not inputs:
        raise Refusal(
            "there is no input device at all: is one plugged in, does the sound server run, "
            "and may this user open it (group audio)?"
        )
    if not wanted and default in inputs:
        return default
    names = [devices[index]["name"] for index in inputs]
    if not wanted:
        raise Refusal(f"there is no default input device; {_listed(names)}")
    exact = [index for index in inputs if devices[index]["name"] == wanted]
    if exact:
        return exact[0]
    near = [index for index in inputs if wanted.casefold() in devices[index]["name"].casefold()]
    if len(near) > 1:
        raise Refusal(f"{len(near)} input devices are called so; {_listed(devices[index]['name'] for index in near)}")
    if not near:
        raise Refusal(f"no input device of this name; {_listed(names)} (one that another program holds is not listed)")
    return near[0]


def _listed(names: Iterable[str]) -> str:
    return "write one of " + ", ".join(f"mic:{name}" for name in names)


def _opened(portaudio: Any, index: int, device: dict[str, Any], rate_hz: int) -> tuple[Any, int, int]:
    """A running stream, its rate, its channels.

    The rate that is wanted, else the device's own. Of a stereo device both channels, to be averaged: the microphone may
    be connected to either. Of one with more channels the first: arrays put their processed sound there, and the 32
    channels of a sound server mean that it mixes.
    """
    channels = 2 if device["max_input_channels"] == 2 else 1
    refused = []
    for rate in dict.fromkeys((rate_hz, round(device["default_samplerate"]))):
        try:
            stream = portaudio.RawInputStream(
                device=index, samplerate=rate, channels=channels, dtype="float32", latency=BUFFER_S
            )
            stream.start()
        except portaudio.PortAudioError as e:
            refused.append(f"at {rate} Hz: {e}")
        else:
            return stream, rate, channels
    raise Refusal(f"{device['name']!r} cannot be opened, {'; '.join(refused)}: does another program hold it?")


def _portaudio() -> Any:
    try:
        import sounddevice  # type: ignore[import-untyped]  # it has no types
    except ImportError as e:
        raise Refusal("sounddevice is not installed: pip install sounddevice") from e
    except OSError as e:
        raise Refusal("PortAudio is not installed: apt-get install libportaudio2") from e
    except Exception as e:  # importing it starts PortAudio, and the type of its error cannot be named before
        raise Refusal(f"PortAudio cannot start: {e}") from e
    return sounddevice


def send(pipe: BinaryIO, kind: Kind, body: bytes, mono_ns: int = 0, unix_ns: int = 0) -> None:
    pipe.write(HEADER.pack(kind, len(body), mono_ns, unix_ns))
    pipe.write(body)
    pipe.flush()


def _own_pipe() -> BinaryIO:
    """Standard output for us alone. The sound libraries write what they like to 1 and 2, and it is not ours to show."""
    pipe, journal, nowhere = os.dup(1), os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    sys.stderr = os.fdopen(journal, "w")
    return os.fdopen(pipe, "wb")


def _die_with(parent: int) -> None:
    """End when the thread that started us does, however it dies; the device must be free for the next one."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this file: its names are none that libraries mean
    try:
        main(json.loads(sys.argv[1]))
    except BrokenPipeError:  # nobody listens any more
        os._exit(0)
