"""Where the samples of many devices come together: a folder that `appliance models distill --frames` takes as it is.

`<folder>/<model>/<device>/<pipeline>-<series>-<name>.jpg` (or `.wav`) and a document beside each.
"""

from __future__ import annotations

import errno
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from appliance.harvest.sample import MOST_BYTES, Harvested, from_json, to_json
from engines import durable
from engines.digest import of_bytes

MARKS = ".received"
"""Folder of the marks: how far the samples of each device have come, whatever was taken out of the folder since."""
BEGINNINGS = {"jpg": b"\xff\xd8\xff", "wav": b"RIFF"}
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a sample: it is on the disk; it never will be; it may come again later."""

    status: Literal["stored", "refused", "later"]
    words: str = ""
    new: bool = False
    """It had not been here before."""


class Barn:
    """Of one thread."""

    def __init__(self, folder: Path, leave_free: int = 0) -> None:
        """`leave_free`: bytes of the disk that are left to others."""
        self.folder = folder
        self._leave_free = leave_free
        self._marks: dict[str, dict[str, tuple[str, int]]] = {}
        """Device, pipeline: series and highest number of the samples that have come."""

    def prepare(self) -> None:
        """Make the folder, and take away what a kill left unfinished. Raises OSError."""
        (self.folder / MARKS).mkdir(parents=True, exist_ok=True)
        for draft in self.folder.rglob(".new-*"):
            draft.unlink(missing_ok=True)

    def put(self, device: str, document: bytes, data: bytes) -> Receipt:
        """Store a sample of this device; once is enough, however often it comes. Its samples come in their order."""
        about = judged(device, document, data)
        if isinstance(about, str):
            return Receipt("refused", about)
        try:
            series, number = self._marks_of(device).get(about.pipeline, ("", 0))
            if series == about.series and about.number <= number:
                return Receipt("stored")
            self._write(about, data)
            self._mark(about)
        except OSError as error:
            return Receipt("later", f"{error.filename or self.folder}: {error.strerror}")
        return Receipt("stored", new=True)

    def _write(self, about: Harvested, data: bytes) -> None:
        disk = os.statvfs(self.folder)
        if disk.f_bavail * disk.f_frsize - self._leave_free < len(data) + MOST_BYTES:
            raise OSError(errno.ENOSPC, "the disk is full", str(self.folder))
        folder = self.folder / about.said.model.name / about.device
        if not folder.exists():
            folder.mkdir(parents=True)
            durable.sync(folder.parent)
            durable.sync(self.folder)
        stem = f"{about.pipeline}-{about.series}-{about.name}"
        durable.replace(folder / f"{stem}.{about.kind}", data)
        durable.replace(folder / f"{stem}.json", to_json(about))

    def _mark(self, about: Harvested) -> None:
        """Written last: what was stored and not marked is stored once more under the same name."""
        marks = self._marks_of(about.device) | {about.pipeline: (about.series, about.number)}
        durable.replace(self.folder / MARKS / f"{about.device}.json", json.dumps(marks).encode())
        self._marks[about.device] = marks

    def _marks_of(self, device: str) -> dict[str, tuple[str, int]]:
        if device not in self._marks:
            path = self.folder / MARKS / f"{device}.json"
            self._marks[device] = _read_marks(path.read_bytes()) if path.exists() else {}
        return self._marks[device]


def _read_marks(text: bytes) -> dict[str, tuple[str, int]]:
    """A file that is damaged marks nothing: at worst some samples come twice, under the same names."""
    try:
        return {str(name): (str(series), int(number)) for name, (series, number) in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def judged(device: str, document: bytes, data: bytes) -> Harvested | str:
    """The document, or why it is no sample of this device."""
    if len(document) > MOST_BYTES:
        return "its document is too long"
    try:
        about = from_json(document)
    except ValidationError as error:
        first = error.errors()[0]
        return f"its document is none: {'.'.join(map(str, first['loc']))}: {first['msg']}"
    if about.device != device:
        return f"it says that it is of {about.device}"
    if not _MODEL.fullmatch(about.said.model.name):
        return "its model has no name that a folder could have"
    if not data.startswith(BEGINNINGS[about.kind]):
        return f"it is no {about.kind}"
    if of_bytes(data) != about.digest:
        return "it was changed on its way"
    return about
