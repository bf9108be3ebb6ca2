"""What may be opened as a file of a model: reading a device or a pipe would never come to an end."""

from __future__ import annotations

import stat
from pathlib import Path

from engines.engine import EngineError

MOST_BYTES = 2 << 30
"""An ONNX file is one protobuf message, and those end at 2 GiB; larger networks keep their weights beside it."""

MOST_WEIGHTS_BYTES = 64 << 30


def check_model_file(path: Path, most_bytes: int = MOST_BYTES) -> None:
    """EngineError unless `path` leads to a regular file of at most this size; OSError when there is none to look at."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise EngineError(f"{path}: not a file; give the path of an .onnx file")
    if not stat.S_ISREG(status.st_mode):
        raise EngineError(f"{path}: a device, a pipe or a socket, not a file; give the path of an .onnx file")
    if status.st_size > most_bytes:
        raise EngineError(
            f"{path}: {status.st_size / 2**30:.1f} GiB, more than the {most_bytes >> 30} GiB that are read: "
            "is it the right file?"
        )
