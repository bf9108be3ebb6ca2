"""Arrays in an `.npz` of somebody else: no pickles, and no more memory than the file may claim.

NumPy's own reader believes what an array's header says and makes room for it before the content is looked at; and it
raises whatever the layers below it raise.
"""

from __future__ import annotations

import io
import math
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from engines.engine import Array, EngineError

MOST_BYTES = 256 << 20
"""Of all arrays of a file together."""
MOST_ARRAYS = 64
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_FAULTS = (ValueError, EOFError, NotImplementedError, OverflowError, zipfile.BadZipFile, zlib.error, struct.error)
_FAULTS_OF_HEADERS = (SyntaxError, TypeError, RecursionError, MemoryError, tokenize.TokenError)
"""NumPy reads headers as Python literals."""


def stored_arrays(path: Path) -> dict[str, Array]:
    """By name; raises EngineError, which names the file and what is wrong with it."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive)
    except OSError as error:
        raise EngineError(f"{path}: cannot be read: {error.strerror or error}") from error
    except _FAULTS as error:
        raise EngineError(f"{path}: not a file of arrays (.npz): {str(error)[:200] or type(error).__name__}") from error


def _read(archive: zipfile.ZipFile) -> dict[str, Array]:
    entries = archive.infolist()
    total = sum(entry.file_size for entry in entries)
    if len(entries) > MOST_ARRAYS or total > MOST_BYTES:
        raise ValueError(f"{len(entries)} arrays of {total} bytes; at most {MOST_ARRAYS} of {MOST_BYTES}")
    if any(entry.flag_bits & 1 for entry in entries):
        raise ValueError("it is encrypted")
    return {entry.filename.removesuffix(".npy"): _array(archive.read(entry)) for entry in entries}


def _array(content: bytes) -> Array:
    """Raises ValueError."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"an array of format {version[0]}.{version[1]}")
    try:
        shape, columns_first, dtype = _HEADERS[version](stream)
    except _FAULTS_OF_HEADERS as error:
        raise ValueError(f"an array whose header is damaged ({type(error).__name__})") from error
    return _shaped(memoryview(content)[stream.tell() :], shape, columns_first, dtype)


def _shaped(raw: memoryview, shape: tuple[int, ...], columns_first: bool, dtype: np.dtype[Any]) -> Array:
    if dtype.hasobject or dtype.kind in "OVMm" or any(size < 0 for size in shape):
        raise ValueError(f"an array of {dtype}, {shape}")
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise ValueError(f"{len(raw)} bytes for an array of {dtype}, {shape}")
    flat = np.frombuffer(raw, dtype) if len(raw) else np.empty(0, dtype)
    return flat.reshape(shape, order="F" if columns_first else "C")
