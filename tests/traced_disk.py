"""What a program does to the files below a folder, call by call, as strace(1) sees it.

Only its first thread is watched, and only calls that change something: a write through a mapping is not seen.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import pytest

Kind: TypeAlias = Literal["file", "folder", "link", "write", "truncate", "sync", "rename", "remove", "say"]

_CALLS = (
    "open,openat,creat,write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,copy_file_range,sendfile,"
    "fsync,fdatasync,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,mkdir,mkdirat"
)
LONGEST_WRITE = 1 << 24
_LINE = re.compile(r"(\w+)\((.*)\) += \d+")
_ARGUMENT = re.compile(r'"([^"]*)"|(?:AT_FDCWD|\d+)<([^>]*)>|([^,\s][^,]*)')


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that was done."""

    kind: Kind
    """`file` makes an empty one where there is none; `sync` is of a file or a folder; `say` writes to standard
    output."""
    path: Path
    to: Path | None = None
    """Of a rename, and what a link says."""
    offset: int | None = None
    """Where a write begins, or the length that a truncation leaves; None: at the end."""
    data: bytes = b""


def acts_of(command: Sequence[str], folder: Path, scratch: Path) -> list[Act]:
    """Run a program to its end; everything that it did below `folder`, and everything it said.

    Skips the test where there is no strace, or it may not watch.
    """
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: apt-get install strace")
    trace = scratch / "trace"
    watched = ["strace", "-o", str(trace), "-y", "-xx", "-s", str(LONGEST_WRITE), "-e", f"trace={_CALLS}", *command]
    done = subprocess.run(watched, capture_output=True, text=True, timeout=120, check=False)
    if "ptrace" in done.stderr and "not permitted" in done.stderr:
        pytest.skip("strace may not watch a process here")
    assert done.returncode == 0, done.stderr
    here = "".join(f"\\x{byte:02x}" for byte in bytes(folder))
    with trace.open(encoding="ascii") as lines:
        concerned = (_LINE.match(line) for line in lines if here in line or line.startswith("write(1<"))
        return [act for call in concerned if call is not None and (act := _act(*call.groups())) is not None]


def _act(call: str, arguments: str) -> Act | None:
    """Of a call that has succeeded; None for one that changes nothing. Paths are absolute."""
    words = [_bytes(text or place) or word.encode() for text, place, word in _ARGUMENT.findall(arguments)]
    if call == "write" and arguments.startswith("1<"):
        return Act("say", Path(), data=words[1])
    path = Path(words[0].decode())
    match call:
        case "openat":
            made = Act("file", path / words[1].decode())
            return made if b"O_CREAT" in words[2] else None
        case "write":
            return Act("write", path, data=words[1])
        case "pwrite64":
            return Act("write", path, offset=int(words[3]), data=words[1])
        case "ftruncate":
            return Act("truncate", path, offset=int(words[1]))
        case "fsync" | "fdatasync":
            return Act("sync", path)
        case "rename":
            return Act("rename", path, to=Path(words[1].decode()))
        case "mkdir":
            return Act("folder", path)
        case "symlink":
            return Act("link", Path(words[1].decode()), to=path)
        case "unlink" | "rmdir":
            return Act("remove", path)
        case "unlinkat":
            return Act("remove", path / words[1].decode())
    raise AssertionError(f"{call} is not understood: {words}")


def _bytes(quoted: str) -> bytes:
    r"""`\x2f\x74`, as strace -xx writes every text."""
    return bytes.fromhex(quoted.replace("\\x", ""))
