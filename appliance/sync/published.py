"""What of a model is published, and how it is named and cut; the same words on the owner's side and on the device."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engines.bundle import MANIFEST_FILE

CHUNK_BYTES = 256 << 10
"""Fixed, so that equal content makes equal chunks in every version; only the last of a file is shorter."""

MOST_BYTES = 8 << 30
"""A larger file is no model that this appliance runs."""

METADATA, TARGETS = "metadata", "targets"
"""Folders of a registry, and first level of what is asked of it."""

CONFIGURATION = "Configuration"
"""First level of signed configurations, and the family that signs them. No model has this name: those are in lower
case."""

_NAME = r"[a-z0-9][a-z0-9._-]{0,63}"
_REFERENCE = re.compile(rf"({_NAME})@({_NAME})")
_MANIFEST = re.compile(rf"({_NAME})/({_NAME})/{re.escape(MANIFEST_FILE)}")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Custom(_Strict):
    """What is signed beside length and digest of a file."""

    chunks: list[str] = Field(max_length=MOST_BYTES // CHUNK_BYTES)
    """SHA-256 of every chunk, 64 hexadecimal digits each."""
    serial: int = Field(ge=1)
    """Counts what the owner has published of this model; a device never goes back to a lower one."""
    devices: list[str] | None = Field(None, max_length=100_000)
    """Names of those that may use it; None: all. Of configurations only."""


class BadCustom(ValueError):
    """A signed file without what a device needs; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One version of one model."""

    model: str
    version: str

    @classmethod
    def parse(cls, text: str) -> Reference:
        """`people@3`; raises ValueError with the next step."""
        found = _REFERENCE.fullmatch(text)
        if found is None:
            raise ValueError(f"{text[:80]!r}: name a model and its version, such as people@3")
        return cls(found[1], found[2])

    @classmethod
    def of_manifest(cls, path: str) -> Reference | None:
        """The inverse of `manifest`; None for the path of anything else."""
        found = _MANIFEST.fullmatch(path)
        return None if found is None else cls(found[1], found[2])

    def __str__(self) -> str:
        return f"{self.model}@{self.version}"

    @property
    def manifest(self) -> str:
        """Target path of its `bundle.json`."""
        return self.file(MANIFEST_FILE)

    def file(self, name: str) -> str:
        """Target path of a file of the bundle."""
        return f"{self.model}/{self.version}/{name}"


def is_name(text: str) -> bool:
    """Whether a configuration's model is a name: neither one version, nor a folder or a file."""
    return re.fullmatch(_NAME, text) is not None and not text.endswith(".onnx")


def configuration(reference: Reference) -> str:
    """Target path of a signed configuration, such as that of docks@3."""
    return f"{CONFIGURATION}/{reference.model}/{reference.version}.toml"


def patterns(model: str) -> list[str]:
    """Target paths that may hold files of a model, as TUF matches them: level by level."""
    return [f"{model}/*/*", f"{model}/*/golden/*"]


def stored(path: str, sha256: str) -> str:
    """Where the content of a target lies below `targets/`: TUF's consistent snapshots put its digest into the name."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/{sha256}.{name}"


def chunks_of(path: Path) -> list[str]:
    """SHA-256 of every chunk of a file; raises OSError."""
    digests = []
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digests.append(hashlib.sha256(chunk).hexdigest())
    return digests


def read_custom(path: str, length: int, custom: Any) -> Custom:
    """The custom part of a signed file; raises BadCustom."""
    try:
        read = Custom.model_validate(custom)
    except ValidationError as error:
        raise BadCustom(f"{path}: signed without chunks or serial: {error.errors()[0]['msg']}") from error
    if len(read.chunks) != -(-length // CHUNK_BYTES):
        raise BadCustom(f"{path}: {length} bytes are not {len(read.chunks)} chunks of {CHUNK_BYTES}")
    return read
