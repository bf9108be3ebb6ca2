"""Weights that an ONNX file keeps in other files.

ONNX Runtime 1.23.2, the last for Python 3.10, reads them from wherever the file says, through links and `..` too (1.31
refuses): so that is checked here, before it loads anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engines.engine import EngineError
from engines.model_file import MOST_WEIGHTS_BYTES, check_model_file

_KEY = b"location"
"""Under which the format names such a file."""
_CHUNK_BYTES = 1 << 20


def external_files(path: Path) -> tuple[str, ...]:
    """Names of the files that hold weights of this ONNX file, relative to its folder, as written in it; sorted.

    Raises EngineError when `path` is none that can hold a model, or one of the files is missing or outside its folder,
    links followed; OSError when `path` cannot be read. A file without any costs one reading.
    """
    check_model_file(path)
    if not _may_name_some(path):
        return ()
    names = tuple(sorted({name for tensor in _tensors(_parsed(path)) for name in _locations(tensor)}))
    folder = path.parent.resolve()
    for name in names:
        place = (folder / name).resolve()
        if not place.is_relative_to(folder):
            raise EngineError(
                f"{path}: its weights point to {name}, a file outside its own folder, which is refused: "
                "export it with the weights inside or beside it"
            )
        if not place.is_file():
            raise EngineError(
                f"{path}: its weights are in another file, {name}, which is not beside it: copy that file there too"
            )
        check_model_file(place, MOST_WEIGHTS_BYTES)
    return names


def bytes_of(*paths: Path) -> int:
    """Bytes of these networks and of the files that hold their weights, each counted once; raises as above."""
    files = {path.resolve() for path in paths}
    files |= {(path.parent / name).resolve() for path in paths for name in external_files(path)}
    return sum(file.stat().st_size for file in files)


def _may_name_some(path: Path) -> bool:
    """Without the key there is none, and parsing can be saved."""
    keep = len(_KEY) - 1
    buffer = bytearray(keep + _CHUNK_BYTES)
    chunk = memoryview(buffer)[keep:]
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(chunk):
            if buffer.find(_KEY, 0, keep + count) >= 0:
                return True
            buffer[:keep] = buffer[count : count + keep]
    return False


def _parsed(path: Path) -> Any:
    import onnx

    try:
        return onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's own exceptions differ from version to version; this is the border
        raise EngineError(f"{path}: not an ONNX model: its content cannot be parsed; was it copied whole?") from error


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
        if field.message_type is not None:  # one message, or a sequence of them
            for item in value if hasattr(value, "__len__") else (value,):
                yield from _tensors(item)
