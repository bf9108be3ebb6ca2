"""A model as a folder: `bundle.json`, the networks, `labels.txt` and `golden/`, each file named by its digest.

Nothing in a bundle is believed before its digest has been checked, and nothing outside its folder is opened.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from engines.digest import is_plain_file, of_open_file
from engines.durable import copy, make_folder, sync, sync_folders, write
from engines.engine import EngineError
from engines.manifest import Manifest

MANIFEST_FILE, LABELS_FILE, GOLDEN_FOLDER = "bundle.json", "labels.txt", "golden"
DRAFT_PREFIX = ".new-"
"""Begins the name of a folder that is being written; what is left of one after a power cut is rubbish."""

MANIFEST_MOST_BYTES = 16 << 20
LABELS_MOST_BYTES = 32 << 20
_LONGEST_KEY = 80
"""Characters of a foreign key in a message."""
_LONGEST_WORDS = 500
"""Characters of what is wrong with a manifest."""


class BundleError(EngineError):
    """A folder is not a bundle that can be trusted; the message says what is wrong with which file."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model whose files have been checked, or a bare ONNX file with the manifest that was recognised for it."""

    manifest: Manifest
    folder: Path
    files: Mapping[str, Path]
    """Where each file of the manifest is, by its name there."""

    @classmethod
    def open(cls, folder: Path) -> Bundle:
        """Check every file of the bundle in `folder`; raises BundleError."""
        manifest = read_manifest(folder)
        expected = _digests(manifest)
        for name in _listed(folder):
            if name not in expected and name not in (MANIFEST_FILE, LABELS_FILE):
                raise BundleError(f"{folder}: {name} is not in {MANIFEST_FILE}: remove it, or add the model again")
        for name, digest in expected.items():
            with _opened(folder, name) as descriptor:
                found = of_open_file(descriptor)
            if found != digest:
                raise BundleError(
                    f"{folder}: {name} is damaged or was changed: its digest is {found}, expected {digest}; "
                    "add the model again"
                )
        if _read(folder, LABELS_FILE, LABELS_MOST_BYTES) != labels_text(manifest):
            raise BundleError(f"{folder}: {LABELS_FILE} does not agree with {MANIFEST_FILE}: add the model again")
        return cls(manifest, folder, _paths(folder, manifest))

    def stage_path(self, stage: str) -> Path:
        """The network of the stage of this name."""
        return self.files[next(each.file for each in self.manifest.stages if each.name == stage)]

    def made_for(self, path: Path, engine: str) -> Path:
        """The variant of a stage's network `path` that is made for this back end; `path` itself where there is none."""
        for stage in self.manifest.stages:
            for variant in stage.variants:
                if variant.engine == engine and self.files[stage.file] == path:
                    return self.files[variant.file]
        return path

    def file_path(self, name: str) -> Path:
        """A further file, such as `golden/1.npz`; BundleError when the manifest does not list it."""
        if name not in self.manifest.files:
            raise BundleError(f"{self.folder}: the manifest lists no file {name}")
        return self.files[name]


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a bundle, without looking at its other files; raises BundleError."""
    if not folder.is_dir():
        raise BundleError(f"{folder}: no such folder")
    if not (folder / MANIFEST_FILE).exists():
        raise BundleError(
            f"{folder}: not a bundle, it has no {MANIFEST_FILE}: make one with `appliance models add FILE.onnx`"
        )
    return parse_manifest(_read(folder, MANIFEST_FILE, MANIFEST_MOST_BYTES), str(folder / MANIFEST_FILE))


def parse_manifest(content: bytes, where: str) -> Manifest:
    """A manifest from JSON; raises BundleError that begins with `where`."""
    try:
        document = json.loads(content.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where}: not valid JSON: {error}") from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != 1 or isinstance(schema, bool):
        words = f"schema {_short(json.dumps(schema))}: this version of the appliance reads schema 1 only; update it"
        raise BundleError(f"{where}: {words}")
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(str(step)[:_LONGEST_KEY] for step in fault["loc"])
        raise BundleError(
            f"{where}: {place + ': ' if place else ''}{_short(fault['msg'].removeprefix('Value error, '))}"
        ) from error


def _short(words: str) -> str:
    """What is refused may be quoted, and be megabytes."""
    return words if len(words) <= _LONGEST_WORDS else f"{words[:_LONGEST_WORDS]}…"


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key is given twice")
    return document


def labels_text(manifest: Manifest) -> bytes:
    """What `labels.txt` holds: one label a line."""
    return "".join(f"{label}\n" for label in manifest.labels).encode()


def write_bundle(folder: Path, manifest: Manifest, sources: Mapping[str, Path]) -> Bundle:
    """Make a bundle in `folder`, which does not exist yet: whole or not at all, whenever the power fails.

    `sources`: where the content of each file of the manifest is. Raises BundleError when a content is not what the
    manifest says or `folder` is there already, OSError when the disk refuses.
    """
    make_folder(folder.parent)
    draft = folder.parent / f"{DRAFT_PREFIX}{folder.name}-{secrets.token_hex(4)}"
    draft.mkdir()
    try:
        for name, digest in _digests(manifest).items():
            if copy(sources[name], draft / name) != digest:
                raise BundleError(f"{sources[name]}: changed while it was read, or is not what {name} should be")
        write(draft / LABELS_FILE, labels_text(manifest))
        write(draft / MANIFEST_FILE, _for_people(manifest))
        sync_folders(draft)
        _publish(draft, folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return Bundle(manifest, folder, _paths(folder, manifest))


def _publish(draft: Path, folder: Path) -> None:
    try:
        draft.rename(folder)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise BundleError(f"{folder}: there is something already; remove it first") from error
        raise
    sync(folder.parent)


def _for_people(manifest: Manifest) -> bytes:
    document = manifest.model_dump(mode="json", by_alias=True)
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def _digests(manifest: Manifest) -> dict[str, str]:
    return manifest.networks | manifest.files


def _paths(folder: Path, manifest: Manifest) -> Mapping[str, Path]:
    return MappingProxyType({name: folder / name for name in _digests(manifest)})


def _listed(folder: Path) -> Iterator[str]:
    """Every file in the folder and in `golden/`, as the manifest would name it; other folders by their own name."""
    try:
        for entry in sorted(folder.iterdir()):
            if entry.name == GOLDEN_FOLDER and entry.is_dir() and not entry.is_symlink():
                yield from (f"{GOLDEN_FOLDER}/{golden.name}" for golden in sorted(entry.iterdir()))
            else:
                yield entry.name
    except OSError as error:
        raise BundleError(f"{folder}: cannot be listed: {error.strerror}") from error


@contextlib.contextmanager
def _opened(folder: Path, name: str) -> Iterator[int]:
    """A descriptor of a file of the bundle; no link is followed on the way, and none is what it leads to."""
    inner = folder / name
    with contextlib.ExitStack() as stack:
        try:
            place = os.open(inner.parent, os.O_RDONLY | os.O_DIRECTORY | (os.O_NOFOLLOW if "/" in name else 0))
            stack.callback(os.close, place)
            descriptor = os.open(inner.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
            stack.callback(os.close, descriptor)
        except FileNotFoundError as error:
            raise BundleError(f"{folder}: {name} is missing: add the model again") from error
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise BundleError(f"{folder}: {name} is a link or inside one: put the file itself there") from error
            raise BundleError(f"{folder}: {name} cannot be read: {error.strerror}") from error
        if not is_plain_file(descriptor):
            raise BundleError(f"{folder}: {name} is not a plain file of its own: put a copy of the file there")
        yield descriptor


def _read(folder: Path, name: str, most_bytes: int) -> bytes:
    with _opened(folder, name) as descriptor, os.fdopen(descriptor, "rb", closefd=False) as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise BundleError(f"{folder}: {name} is larger than {most_bytes >> 20} MB")
    return content
