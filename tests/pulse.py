"""A real PulseAudio daemon of the test's own, with a microphone that can be unplugged.

Two null sinks. What is played into `room` is heard by the source `mic`, the default one; nothing is ever played into
`void`, and its monitor is where PulseAudio moves a recording whose source has gone. PortAudio reaches the daemon
through ALSA's plug-in for PulseAudio, as on a desktop.
"""

from __future__ import annotations

import ctypes.util
import functools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import pytest

from tests.waiting import until

RATE_HZ = 16_000

_DAEMON = """
load-module module-native-protocol-unix socket={folder}/native auth-anonymous=1
load-module module-null-sink sink_name=void rate=16000 channels=1 format=s16le
load-module module-null-sink sink_name=room rate=16000 channels=1 format=s16le
set-default-sink void
set-default-source void.monitor
"""

_ALSA = """
</usr/share/alsa/alsa.conf>
pcm.!default { type pulse }
ctl.!default { type pulse }
pcm.pulse { type pulse }
pcm.kitchen { type pulse device mic hint { show on description "the microphone by its own name" } }
"""


@functools.cache
def missing() -> str:
    """What has to be installed before a PulseAudio daemon and PortAudio meet; empty when all is there."""
    programs = all(shutil.which(program) for program in ("pulseaudio", "pactl", "pacat"))
    plugin = any(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so"))
    packages = {
        "pulseaudio pulseaudio-utils": programs,
        "libportaudio2": ctypes.util.find_library("portaudio") is not None,
        "libasound2-plugins": plugin,
    }
    absent = [package for package, there in packages.items() if not there]
    return f"no virtual microphone: apt-get install {' '.join(absent)}" if absent else ""


class PulseAudio:
    """The daemon, started by `with`. `environment` leads PortAudio and every pulse program to it, and only to it.

    Skips the test where the packages are missing.
    """

    def __init__(self) -> None:
        if missing():
            pytest.skip(missing())
        self._folder = Path(tempfile.mkdtemp(prefix="pulse-"))  # a short path: it must fit into a socket address
        (self._folder / "daemon.pa").write_text(_DAEMON.format(folder=self._folder))
        (self._folder / "alsa.conf").write_text(_ALSA)
        own = str(self._folder)
        self.environment = {
            "PULSE_SERVER": f"unix:{own}/native",
            "PULSE_RUNTIME_PATH": own,
            "PULSE_STATE_PATH": own,
            "XDG_RUNTIME_DIR": own,
            "ALSA_CONFIG_PATH": f"{own}/alsa.conf",
        }
        self._daemon: subprocess.Popen[bytes] | None = None
        self._noise: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> PulseAudio:
        try:
            self.start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def start(self) -> None:
        """Returns once it answers, with the microphone plugged in."""
        daemon = ["pulseaudio", "-n", "-F", str(self._folder / "daemon.pa"), "--daemonize=no", "--use-pid-file=no"]
        daemon += ["--exit-idle-time=-1", "--disallow-exit", "--realtime=no", "--high-priority=no"]
        with (self._folder / "log").open("ab") as log:
            self._daemon = subprocess.Popen(daemon, env=self._all(), stdout=log, stderr=log)
        until(lambda: self._control("info", check=False), what="the PulseAudio daemon answers")
        self.plug()

    def kill(self) -> None:
        """With SIGKILL, as a crash."""
        self.hush()
        if self._daemon is not None:
            self._daemon.kill()
            self._daemon.wait()
            self._daemon = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The daemon lives and does nothing."""
        assert self._daemon is not None
        self._daemon.send_signal(signal.SIGSTOP)
        yield
        self._daemon.send_signal(signal.SIGCONT)

    def plug(self) -> None:
        self._control("load-module", "module-remap-source", "source_name=mic", "master=room.monitor")
        self._control("set-default-source", "mic")

    def unplug(self) -> None:
        """PulseAudio moves whoever records to the monitor of `void`: zeros, for ever."""
        self._control("set-default-source", "void.monitor")
        self._control("unload-module", "module-remap-source")

    def make_noise(self) -> None:
        """White noise in the room, until `hush`: what a real microphone always has."""
        with Path("/dev/urandom").open("rb") as noise:
            self._noise = subprocess.Popen(self._player(), env=self._all(), stdin=noise, stderr=subprocess.DEVNULL)

    def hush(self) -> None:
        if self._noise is not None:
            self._noise.kill()
            self._noise.wait()
            self._noise = None

    @contextmanager
    def playing(self, samples: npt.NDArray[np.int16]) -> Iterator[None]:
        """Play these into the room, at their own pace, while the block runs."""
        sound = self._folder / "sound"
        sound.write_bytes(samples.astype("<i2").tobytes())
        with sound.open("rb") as stdin, subprocess.Popen(self._player(), env=self._all(), stdin=stdin) as player:
            yield
            player.kill()

    @contextmanager
    def fed_by_hand(self) -> Iterator[int]:
        """Another default source: what is written to this file descriptor (s16le) is taken at that moment."""
        fifo = self._folder / "fifo"
        self._control("load-module", "module-pipe-source", "source_name=hand", f"file={fifo}", *_ONE_CHANNEL)
        self._control("set-default-source", "hand")
        descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        yield descriptor
        os.close(descriptor)

    def _player(self) -> list[str]:
        """Two seconds ahead in the daemon: a player that runs late on a busy machine would leave holes in the sound."""
        return [
            "pacat",
            "--playback",
            "--raw",
            "--latency-msec=2000",
            "--device=room",
            *(f"--{x}" for x in _ONE_CHANNEL),
        ]

    def _control(self, *words: str, check: bool = True) -> bool:
        done = subprocess.run(["pactl", *words], env=self._all(), capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, f"pactl {' '.join(words)}: {done.stderr}"
        return done.returncode == 0

    def _all(self) -> dict[str, str]:
        return {**os.environ, **self.environment}

    def _remove(self) -> None:
        self.kill()
        shutil.rmtree(self._folder)


_ONE_CHANNEL = (f"rate={RATE_HZ}", "channels=1", "format=s16le")
