"""SQLite's own way to the disk, watched: every write and sync is recorded, and fails when told to.

A layer over SQLite's `unix` VFS (https://www.sqlite.org/vfs.html), registered as the default in this process through
ctypes: the library is the one that Python's `sqlite3` uses, the files are real.
"""

from __future__ import annotations

import _sqlite3
import ctypes
from collections.abc import Callable
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeAlias

import pytest

Kind: TypeAlias = Literal["open", "write", "truncate", "sync", "delete"]

FULL, IO_ERROR, CANNOT_OPEN = 13, 10, 14
"""Result codes of SQLite: what it makes of ENOSPC, of EIO, and of a file that cannot be had."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that SQLite did to the disk."""

    kind: Kind
    path: Path
    offset: int = 0
    """Where a write begins, or the length that a truncation leaves."""
    data: bytes = b""


class _Methods(Structure):
    """sqlite3_io_methods, version 3."""

    _fields_ = [("version", c_int)] + [(f"method{n}", c_void_p) for n in range(18)]


_CLOSE, _READ, _WRITE, _TRUNCATE, _SYNC = (f"method{n}" for n in range(5))


class _Vfs(Structure):
    """sqlite3_vfs up to the methods that are replaced; version 1 has nothing of interest behind them."""

    _fields_ = [
        ("version", c_int),
        ("file_size", c_int),
        ("longest_path", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", c_void_p),
        ("delete", c_void_p),
        ("others", c_void_p * 13),
    ]


_Open = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_Delete = CFUNCTYPE(c_int, c_void_p, c_char_p, c_int)
_Write = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_Truncate = CFUNCTYPE(c_int, c_void_p, c_int64)
_Sync = CFUNCTYPE(c_int, c_void_p, c_int)


class SqliteDisk:
    """For the length of a `with`, every connection opened in this process goes through here.

    Connections must be closed before the end of it.
    """

    def __init__(self, fails: Callable[[Step], int] = lambda _: 0, *, record: bool = True) -> None:
        """`fails` is asked before every step; anything but 0 is the result code that SQLite gets instead of it."""
        self.fails = fails
        self.steps: list[Step] = []
        self._record = record
        self._paths: dict[int, Path] = {}
        self._real: dict[int, _Methods] = {}
        """Methods of each open file, by its address."""
        self._shims: dict[int, _Methods] = {}
        """Replacements, by the address of what they replace."""
        self._kept: list[Any] = []

    def __enter__(self) -> SqliteDisk:
        self._library = ctypes.CDLL(_sqlite3.__file__)
        try:
            find, register = self._library.sqlite3_vfs_find, self._library.sqlite3_vfs_register
        except AttributeError:
            pytest.skip("this Python's SQLite is linked in such a way that its disk interface cannot be reached")
        find.restype = POINTER(_Vfs)
        self._unix = find(b"unix")
        self._vfs = _Vfs.from_buffer_copy(self._unix.contents)
        self._vfs.name = b"watched"
        self._vfs.next = None
        self._vfs.open = self._callback(_Open, self._opened)
        self._vfs.delete = self._callback(_Delete, self._deleted)
        assert register(ctypes.byref(self._vfs), 1) == 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._library.sqlite3_vfs_unregister(ctypes.byref(self._vfs))
        self._library.sqlite3_vfs_register(self._unix, 1)

    def _callback(self, kind: Any, function: Callable[..., int]) -> int:
        callback = kind(function)
        self._kept.append(callback)
        return ctypes.cast(callback, c_void_p).value or 0

    def _refused(self, step: Step) -> int:
        """The result code, or 0 to go on; what goes on is recorded."""
        code = self.fails(step)
        if not code and self._record:
            self.steps.append(step)
        return code

    def _opened(self, _vfs: int, name: int | None, file: int, flags: int, out_flags: int) -> int:
        path = Path(ctypes.string_at(name).decode()) if name else None
        if path is not None and (code := self._refused(Step("open", path))):
            ctypes.c_void_p.from_address(file).value = None
            return code
        code = _Open(self._unix.contents.open)(ctypes.cast(self._unix, c_void_p).value, name, file, flags, out_flags)
        methods = ctypes.c_void_p.from_address(file)
        if code == 0 and path is not None and methods.value is not None:
            self._paths[file] = path
            real = methods.value
            if real not in self._shims:
                self._shims[real] = self._shim(real)
            self._real[file] = _Methods.from_address(real)
            methods.value = ctypes.addressof(self._shims[real])
        return int(code)

    def _shim(self, real: int) -> _Methods:
        shim = _Methods.from_buffer_copy(_Methods.from_address(real))
        setattr(shim, _WRITE, self._callback(_Write, self._written))
        setattr(shim, _TRUNCATE, self._callback(_Truncate, self._truncated))
        setattr(shim, _SYNC, self._callback(_Sync, self._synced))
        return shim

    def _written(self, file: int, data: int, length: int, offset: int) -> int:
        step = Step("write", self._paths[file], offset, ctypes.string_at(data, length))
        return self._refused(step) or int(_Write(getattr(self._real[file], _WRITE))(file, data, length, offset))

    def _truncated(self, file: int, length: int) -> int:
        step = Step("truncate", self._paths[file], length)
        return self._refused(step) or int(_Truncate(getattr(self._real[file], _TRUNCATE))(file, length))

    def _synced(self, file: int, flags: int) -> int:
        step = Step("sync", self._paths[file])
        return self._refused(step) or int(_Sync(getattr(self._real[file], _SYNC))(file, flags))

    def _deleted(self, _vfs: int, name: bytes, sync_folder: int) -> int:
        step = Step("delete", Path(name.decode()))
        return self._refused(step) or int(
            _Delete(self._unix.contents.delete)(ctypes.cast(self._unix, c_void_p).value, name, sync_folder)
        )
