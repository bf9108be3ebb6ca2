"""Encodes pictures for the live page in a process of its own, which gives way to the appliance's. Started by
`jpeg_process.py` by its file path: it loads NumPy and OpenCV and nothing of ours.

Pictures come in memory that both share, orders and answers through a socket. See JOB for an order; an answer is the
number of bytes (4, big endian) and the JPEG, a number of 0 when there can be none.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import mmap
import os
import signal
import socket
import struct
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

JOB = struct.Struct(">IIIIQ")
"""Width and height of the picture, of the JPEG, and the size of the shared memory, which may have grown."""
LENGTH = struct.Struct(">I")
READY = b"\x01"
GIVING_WAY = 10
"""Added to the nice value: whoever captures and infers goes first; on a busy device this gets a tenth of their time."""
_PR_SET_PDEATHSIG = 1
"""prctl(2)."""


def main() -> None:
    given = json.loads(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the appliance; it ends us
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != given["parent"]:
        return
    with contextlib.suppress(OSError):  # a hardened unit may forbid it; then we are as important as the others
        os.nice(GIVING_WAY)
    import cv2

    cv2.setNumThreads(1)
    with socket.socket(fileno=given["socket"]) as orders:
        orders.sendall(READY)
        with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
            _serve(orders, given["memory"], given["quality"])


def _serve(orders: socket.socket, memory: int, quality: int) -> None:
    shared: mmap.mmap | None = None
    while True:
        width, height, wide, high, size = JOB.unpack(_exactly(orders, JOB.size))
        if shared is None or len(shared) != size:
            shared = mmap.mmap(memory, size, prot=mmap.PROT_READ)
        made = _jpeg(shared, (width, height), (wide, high), quality)
        orders.sendall(LENGTH.pack(len(made)) + made)


def _jpeg(shared: mmap.mmap, given: tuple[int, int], wanted: tuple[int, int], quality: int) -> bytes:
    import cv2
    import numpy as np

    (width, height), (wide, high) = given, wanted
    pixels: npt.NDArray[np.uint8] = np.frombuffer(shared, np.uint8, width * height * 3).reshape(height, width, 3)
    if wanted != given:
        # Area is quick for halves alone, and four times as slow as linear for everything else.
        halves = width == 2 * wide and height == 2 * high
        smaller = cv2.resize(pixels, wanted, interpolation=cv2.INTER_AREA if halves else cv2.INTER_LINEAR)
        pixels = np.asarray(smaller, np.uint8)
    done, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return encoded.tobytes() if done else b""


def _exactly(orders: socket.socket, count: int) -> bytes:
    taken = bytearray()
    while len(taken) < count:
        piece = orders.recv(count - len(taken))
        if not piece:
            raise EOFError
        taken += piece
    return bytes(taken)


if __name__ == "__main__":
    main()
