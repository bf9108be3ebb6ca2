"""What lies at a path, looked at before it is opened: a pipe may wait for ever, a device never end."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Literal, TypeAlias

from capture.source import CaptureError

Kind: TypeAlias = Literal["file", "folder", "device", "nothing"]


def kind_of(path: Path) -> Kind:
    """Links are followed; `device` is also a pipe or a socket. CaptureError where we may not look."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "nothing"
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read: {error.strerror}") from error
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "device"
