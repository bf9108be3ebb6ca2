"""JPEGs made beside the appliance: a thread may not give way while it holds the interpreter's lock, a process may."""

from __future__ import annotations

import json
import logging
import mmap
import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from appliance.page import jpeg_child
from appliance.page.jpeg_child import JOB, LENGTH, READY
from appliance.pipeline.snapshot import QUALITY
from capture.samples import Pixels

logger = logging.getLogger(__name__)

PROGRAM = Path(jpeg_child.__file__)
WITHIN_S = 2.0
"""For one picture; a process that takes longer is replaced."""
AGAIN_S = 10.0
"""Until a process that was lost, or could not be started, is tried again."""
KILL_S = 2.0


class JpegProcess:
    """Of one thread, the one that makes it dies with. `end` must be called on it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._orders: socket.socket | None = None
        self._memory = -1
        self._shared: mmap.mmap | None = None
        self._ready = False
        self._again_s = 0.0

    def encode(self, pixels: Pixels, width: int, height: int) -> bytes | None:
        """JPEG of uint8 (h, w, 3) BGR, made `width` x `height`; None while there is no process that could make it:
        it is being started, or was lost."""
        if not self._there():
            return None
        assert self._orders is not None
        try:
            size = self._share(pixels)
            self._orders.sendall(JOB.pack(pixels.shape[1], pixels.shape[0], width, height, size))
            (length,) = LENGTH.unpack(self._exactly(LENGTH.size))
            return self._exactly(length) or None
        except (OSError, EOFError) as error:  # TimeoutError is an OSError
            logger.warning("live page: the process that encodes pictures is replaced: %s", error or "it ended")
            self._again_s = time.monotonic() + AGAIN_S
            self.end()
            return None

    def end(self) -> None:
        """Nobody watches any more. Any number of times."""
        if self._process is not None:
            self._process.kill()
            try:
                self._process.wait(KILL_S)
            except subprocess.TimeoutExpired:
                logger.error("live page: process %d cannot be killed", self._process.pid)
        if self._orders is not None:
            self._orders.close()
        self._release()
        if self._memory >= 0:
            os.close(self._memory)
        self._process, self._orders, self._memory, self._ready = None, None, -1, False

    def _there(self) -> bool:
        """Whether it can be given work."""
        if self._process is None and time.monotonic() >= self._again_s:
            self._start()
        if self._orders is not None and not self._ready and _readable(self._orders, 0.0):
            self._ready = self._orders.recv(1) == READY
            if not self._ready:
                logger.warning("live page: no process to encode pictures; the appliance encodes them itself")
                self._again_s = time.monotonic() + AGAIN_S
                self.end()
        return self._ready

    def _start(self) -> None:
        ours, its = socket.socketpair()
        memory = os.memfd_create("pictures")
        given = {"parent": os.getpid(), "socket": its.fileno(), "memory": memory, "quality": QUALITY}
        try:
            # Of the same session: the priorities of two sessions are not compared (sched(7), autogroup).
            self._process = subprocess.Popen(
                [sys.executable, str(PROGRAM), json.dumps(given)],
                stdin=subprocess.DEVNULL,
                pass_fds=(its.fileno(), memory),
            )
        except OSError as error:
            logger.warning("live page: no process to encode pictures: %s; the appliance encodes them itself", error)
            self._again_s = time.monotonic() + AGAIN_S
            ours.close()
            os.close(memory)
            return
        finally:
            its.close()
        ours.settimeout(WITHIN_S)
        self._orders, self._memory = ours, memory

    def _share(self, pixels: Pixels) -> int:
        """Copy a picture to where the process sees it; the size of that memory."""
        if self._shared is None or len(self._shared) < pixels.nbytes:
            self._release()
            os.ftruncate(self._memory, pixels.nbytes)
            self._shared = mmap.mmap(self._memory, pixels.nbytes)
        np.copyto(np.frombuffer(self._shared, np.uint8, pixels.nbytes).reshape(pixels.shape), pixels)
        return len(self._shared)

    def _release(self) -> None:
        if self._shared is not None:
            self._shared.close()
            self._shared = None

    def _exactly(self, count: int) -> bytes:
        assert self._orders is not None
        taken = bytearray()
        while len(taken) < count:
            piece = self._orders.recv(count - len(taken))
            if not piece:
                raise EOFError
            taken += piece
        return bytes(taken)


def _readable(orders: socket.socket, within_s: float) -> bool:
    readable = select.poll()
    readable.register(orders, select.POLLIN)
    return bool(readable.poll(within_s * 1000))
