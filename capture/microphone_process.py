"""The process of one microphone, seen from the side that reads it."""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from capture import microphone_child
from capture.microphone_child import HEADER, Kind
from capture.samples import Stamp
from capture.source import CaptureError

logger = logging.getLogger(__name__)

PROGRAM = Path(microphone_child.__file__)

KILL_S = 2.0
"""A killed process that is still there hangs in a driver; nobody can help it."""


class Message(NamedTuple):
    """What came through the pipe."""

    kind: Kind
    stamp: Stamp
    """Of the first sample; zero for what is no sound."""
    body: bytes


class MicrophoneProcess:
    """Runs microphone_child.py. It dies with us: with the thread that makes this object, to be exact.

    `end` must be called, on the same thread. It is killed without asking: it has nothing to put in order, and a driver
    that hangs does not listen.
    """

    def __init__(self, device: str, rate_hz: int, block_s: float) -> None:
        """CaptureError when the system has no room for another process."""
        wish = {"device": device, "rate_hz": rate_hz, "block_s": block_s, "parent": os.getpid()}
        command = [sys.executable, str(PROGRAM), json.dumps(wish)]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,  # Ctrl-C is for us; we stop it then
            )
        except OSError as e:
            raise CaptureError(f"the process for the microphone cannot be started: {e}") from e
        assert self._process.stdout is not None
        self._pipe = self._process.stdout
        self._readable = select.poll()
        self._readable.register(self._pipe, select.POLLIN)

    def message(self, within_s: float) -> Message:
        """The next message; TimeoutError when it is not complete `within_s`, EOFError when the process has ended."""
        deadline_s = time.monotonic() + within_s
        kind, size, mono_ns, unix_ns = HEADER.unpack(self._exactly(HEADER.size, deadline_s))
        return Message(Kind(kind), Stamp(mono_ns, unix_ns), self._exactly(size, deadline_s))

    def _exactly(self, count: int, deadline_s: float) -> bytes:
        taken = bytearray()
        while len(taken) < count:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not self._readable.poll(left_s * 1000):
                raise TimeoutError
            piece = os.read(self._pipe.fileno(), count - len(taken))
            if not piece:
                raise EOFError
            taken += piece
        return bytes(taken)

    def kill(self) -> None:
        """From any thread; wakes `message`."""
        self._process.kill()

    def ending(self) -> str:
        """How it ended, in words, once EOFError has told that it did."""
        try:
            code = self._process.wait(KILL_S)
        except subprocess.TimeoutExpired:
            return "closed its pipe and hangs"
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def end(self) -> None:
        """Kill it, wait until it is gone, close the pipe."""
        self._process.kill()
        try:
            self._process.wait(KILL_S)
        except subprocess.TimeoutExpired:
            logger.error("microphone process %d cannot be killed: its driver hangs", self._process.pid)
        self._pipe.close()
