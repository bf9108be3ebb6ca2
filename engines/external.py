"""Weights that an ONNX file keeps in other files."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def external_files(path: Path) -> tuple[str, ...]:
    """Names of the files that hold weights of this ONNX file, relative to its folder, as written in it; sorted.

    The file must be one that ONNX Runtime can load.
    """
    if not _may_have_some(path):
        return ()
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    return tuple(sorted({location for tensor in _tensors(model) for location in _locations(tensor)}))


def _may_have_some(path: Path) -> bool:
    """The key under which the format names such a file; without it there is none, and parsing can be saved."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(b"location") >= 0


def _locations(tensor: Any) -> Iterator[str]:
    for entry in tensor.external_data:
        if entry.key == "location":
            yield entry.value


def _tensors(message: Any) -> Iterator[Any]:
    """Every TensorProto in a message, at whatever depth: initializers, constants, bodies of loops and functions."""
    import onnx

    if isinstance(message, onnx.TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for item in value if field.is_repeated else (value,):
                yield from _tensors(item)
