"""What a registry gives away: ranges of its metadata and its targets, and nothing else."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Protocol

from appliance.sync.carrier import Piece
from appliance.sync.published import METADATA, TARGETS
from engines.digest import is_plain_file

_PATH = re.compile(
    rf"{METADATA}/[A-Za-z0-9][A-Za-z0-9._-]{{0,127}}\.json"
    rf"|{TARGETS}/(?:[A-Za-z0-9][A-Za-z0-9._-]{{0,127}}/){{1,4}}[0-9a-f]{{64}}\.[A-Za-z0-9_-][A-Za-z0-9._-]{{0,127}}"
)
"""Every path that there can be; nothing in it begins with a dot, or leads up."""


class Missing(Exception):
    """There is no such file."""


class Gives(Protocol):
    """Where a server takes from."""

    def read(self, path: str, offset: int, most: int) -> Piece:
        """At most `most` bytes from `offset` on; none behind the end. Raises Missing; OSError when the disk refuses."""


class Shelf:
    """The folder of a registry. Any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, path: str, offset: int, most: int) -> Piece:
        if not _PATH.fullmatch(path) or offset < 0 or most < 0:
            raise Missing(path)
        try:
            descriptor = self._open(path.split("/"))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise Missing(path) from error
        try:
            if not is_plain_file(descriptor):
                raise Missing(path)
            total = os.fstat(descriptor).st_size
            return Piece(os.pread(descriptor, most, offset), total)
        finally:
            os.close(descriptor)

    def _open(self, levels: list[str]) -> int:
        """No link is followed on the way."""
        place = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for level in levels[:-1]:
                inner = os.open(level, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place)
                os.close(place)
                place = inner
            return os.open(levels[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
        except OSError as error:
            raise FileNotFoundError(f"{'/'.join(levels)}: {error.strerror}") from error
        finally:
            os.close(place)
