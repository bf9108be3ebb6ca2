"""Arrays of somebody else: read as NumPy wrote them, or refused before they cost anything."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.engine import EngineError
from engines.stored_arrays import MOST_BYTES, stored_arrays

ARRAYS: dict[str, Any] = {
    "floats": np.arange(6, dtype=np.float32).reshape(1, 2, 3),
    "columns": np.asfortranarray(np.arange(6, dtype=np.int64).reshape(2, 3)),
    "none": np.zeros((0, 4), np.uint8),
    "one": np.array(7.5),
    "flags": np.array([True, False]),
    "big-endian": np.array([1, 2], ">i4"),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_read_as_numpy_wrote_them(save: Any, tmp_path: Path) -> None:
    save(tmp_path / "a.npz", **ARRAYS)
    found = stored_arrays(tmp_path / "a.npz")
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)


def written(folder: Path, *pieces: bytes, shape: tuple[int, ...], descr: str = "|u1") -> Path:
    """An archive with one array whose header says so, whatever follows."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
    path = folder / "made.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w") as file:
        for piece in (header.getvalue(), *pieces):
            file.write(piece)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(EngineError) as caught:
        stored_arrays(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_what_claims_more_than_is_there_is_refused_before_room_is_made_for_it(tmp_path: Path) -> None:
    assert "for an array of" in refusal(written(tmp_path, bytes(64), shape=(10**15,)))


def test_what_unpacks_to_too_much_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    piece = bytes(1 << 20)
    pieces = [piece] * ((MOST_BYTES >> 20) + 1)
    path = written(tmp_path, *pieces, shape=(len(pieces) << 20,))
    assert path.stat().st_size < 1 << 20
    assert "at most" in refusal(path)


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=np.array([{"a": 1}], object))
    assert "object" in refusal(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\0"])
def test_what_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    assert "not a file of arrays" in refusal(path)


def test_an_archive_that_is_cut_off_or_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, **ARRAYS)
    whole = path.read_bytes()
    for length in range(0, len(whole), 41):
        path.write_bytes(whole[:length])
        refusal(path)
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        try:
            stored_arrays(path)
        except EngineError:
            continue


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "a.npz")
