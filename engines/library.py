"""The models installed on this machine: one folder `<name>/<version>/` for each, a bundle in it."""

from __future__ import annotations

import contextlib
import difflib
import fcntl
import logging
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from engines.bundle import DRAFT_PREFIX, MANIFEST_FILE, Bundle, BundleError, read_manifest, write_bundle
from engines.durable import replace, sync
from engines.engine import EngineError
from engines.manifest import Manifest
from engines.recognise import Hints, Unrecognised, examine

logger = logging.getLogger(__name__)

PIN_FILE = "current"
TRASH_PREFIX = ".old-"
_REFERENCE = re.compile(r"(?P<name>[a-z0-9][a-z0-9._-]*)(@(?P<version>[a-z0-9][a-z0-9._-]*))?")
_NOTHING = Hints()


class LibraryError(EngineError):
    """No such model, or the library's folder cannot be used."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A model in the library."""

    name: str
    versions: tuple[str, ...]
    """The oldest first."""
    current: str
    """The one that is used when no version is named: the highest, unless another is pinned."""
    pinned: bool


@dataclass(frozen=True, slots=True)
class Added:
    """What `add` came to."""

    bundle: Bundle
    new: bool
    """False when this very content was installed already; nothing was changed then."""
    warnings: tuple[str, ...] = ()
    """Sentences for the person who adds: what was assumed."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """What is to be added."""

    manifest: Manifest
    files: Mapping[str, Path]
    version: str | None
    """None: the next one."""
    warnings: tuple[str, ...] = ()


class Library:
    """Any number of processes may use it at once; those that change it take turns."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def default(cls, state_dir: Path | None = None) -> Library:
        """`$APPLIANCE_MODELS`, else `models` in the state folder given, in systemd's, or in the user's own."""
        environment = os.environ
        if environment.get("APPLIANCE_MODELS"):
            return cls(Path(environment["APPLIANCE_MODELS"]))
        if state_dir is None and environment.get("STATE_DIRECTORY"):
            state_dir = Path(environment["STATE_DIRECTORY"].split(":")[0])
        home = environment.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
        return cls((state_dir or Path(home) / "appliance") / "models")

    # -- reading ------------------------------------------------------------------------------------------------------

    def find(self, model: str | Path) -> Bundle:
        """The bundle of an installed model (`people`, `people@3`), of a bundle folder, or of a bare .onnx file.

        An installed model goes before a file of the same name. Every digest is checked. Raises LibraryError when
        there is none, BundleError when it is damaged, Unrecognised when a bare file does not say what it is for.
        """
        reference = _REFERENCE.fullmatch(str(model))
        if reference and self._versions(reference["name"]):
            return self._installed(reference["name"], reference["version"])
        path = Path(model)
        if path.is_dir():
            return Bundle.open(path)
        if path.exists():
            return self._bare(path)
        if reference is None or path.suffix == ".onnx":
            raise LibraryError(f"{model}: no such file or folder")
        raise LibraryError(self._missing(reference["name"]))

    def list(self) -> tuple[Installed, ...]:
        """Every model, by name."""
        if not self.folder.is_dir():
            return ()
        names = sorted(entry.name for entry in self.folder.iterdir() if self._versions(entry.name))
        return tuple(self._describe(name) for name in names)

    def manifest(self, name: str, version: str) -> Manifest:
        """The manifest of an installed version, its files unchecked; raises BundleError."""
        return read_manifest(self.folder / name / version)

    def _installed(self, name: str, version: str | None) -> Bundle:
        versions = self._versions(name)
        version = version or self._describe(name).current
        if version not in versions:
            raise LibraryError(f"{name}@{version}: not installed; there is {', '.join(versions)}")
        return Bundle.open(self.folder / name / version)

    def _bare(self, path: Path) -> Bundle:
        try:
            recognition = examine(path)
        except Unrecognised as error:
            raise Unrecognised(f"{error} (with `appliance models add`)") from error
        for warning in recognition.warnings:
            logger.warning("%s", warning)
        return Bundle(recognition.manifest, path.parent, recognition.files)

    def _missing(self, name: str) -> str:
        names = [installed.name for installed in self.list()]
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]}" if close else f"installed: {', '.join(names) or 'none'}"
        return f"{name}: no such model in {self.folder}; {hint}; `appliance models add FILE.onnx` adds one"

    def _versions(self, name: str) -> tuple[str, ...]:
        """The oldest first; none when there is no such model."""
        folder = self.folder / name
        if not _REFERENCE.fullmatch(name) or not folder.is_dir():
            return ()
        found = [entry.name for entry in folder.iterdir() if (entry / MANIFEST_FILE).is_file() and entry.name[0] != "."]
        return tuple(sorted(found, key=_age))

    def _describe(self, name: str) -> Installed:
        versions = self._versions(name)
        pin = self.folder / name / PIN_FILE
        pinned = pin.read_text(encoding="utf-8").strip() if pin.is_file() else None
        if pinned is not None and pinned not in versions:
            logger.warning("%s: version %s is pinned and not installed; using %s", name, pinned, versions[-1])
            pinned = None
        return Installed(name, versions, pinned or versions[-1], pinned is not None)

    # -- changing -----------------------------------------------------------------------------------------------------

    def add(self, path: Path, *, name: str | None = None, version: str | None = None, hints: Hints = _NOTHING) -> Added:
        """Install a bare .onnx file or a bundle folder.

        `version`: None keeps a bundle's own and gives a bare file the next one. A content that is installed already is
        not added again. Raises EngineError when the model cannot be used or the version is taken by another content,
        OSError when the disk refuses.
        """
        candidate = _candidate(path, name, version, hints)
        name = candidate.manifest.name
        with self._locked():
            versions = self._versions(name)
            for installed in versions if candidate.version is None else (candidate.version,):
                if installed in versions and self._is_same(candidate.manifest, installed):
                    return self._again(candidate, installed)
            if candidate.version in versions:
                raise LibraryError(
                    f"{name}@{candidate.version} is installed with another content: give another --version or --name"
                )
            return self._install(candidate, candidate.version or _next(versions))

    def install(self, manifest: Manifest, files: Mapping[str, Path]) -> Added:
        """Install what was made from another version: as the next one, above that of `manifest` too.

        `files`: where each file of the manifest is. A content that is installed already is not added again.
        """
        candidate = _Candidate(manifest, files, None)
        with self._locked():
            versions = self._versions(manifest.name)
            for installed in versions:
                if self._is_same(manifest, installed):
                    return self._again(candidate, installed)
            return self._install(candidate, _next((*versions, manifest.version)))

    def _again(self, candidate: _Candidate, version: str) -> Added:
        """Nothing to do, unless what is installed is damaged: then the same again takes its place."""
        name = candidate.manifest.name
        try:
            return Added(Bundle.open(self.folder / name / version), new=False, warnings=candidate.warnings)
        except BundleError as error:
            logger.warning("%s; putting it right", error)
            self._discard(name, version)
            return self._install(candidate, version)

    def _install(self, candidate: _Candidate, version: str) -> Added:
        manifest = Manifest.model_validate(candidate.manifest.model_dump(by_alias=True) | {"version": version})
        folder = self.folder / manifest.name
        is_first = not folder.exists()
        try:
            bundle = write_bundle(folder / version, manifest, candidate.files)
        except BaseException:
            if is_first:
                with contextlib.suppress(OSError):  # it was never made, or something else is in it
                    folder.rmdir()
            raise
        return Added(bundle, new=True, warnings=candidate.warnings)

    def remove(self, model: str) -> tuple[str, ...]:
        """Remove `people` with all its versions, or `people@3`; returns the versions that went. Raises LibraryError."""
        reference = _REFERENCE.fullmatch(model)
        with self._locked():
            versions = self._versions(reference["name"]) if reference else ()
            if not reference or not versions:
                raise LibraryError(self._missing(model))
            name, version = reference["name"], reference["version"]
            if version is not None and version not in versions:
                raise LibraryError(f"{model}: not installed; there is {', '.join(versions)}")
            gone = versions if version is None else (version,)
            for each in gone:
                self._discard(name, each)
            if gone == versions:
                shutil.rmtree(self.folder / name)
                sync(self.folder)
        return gone

    def pin(self, name: str, version: str | None) -> None:
        """Make `version` the one that is used, or the highest again with None. Raises LibraryError."""
        with self._locked():
            if version is None:
                (self.folder / name / PIN_FILE).unlink(missing_ok=True)
            elif version in self._versions(name):
                replace(self.folder / name / PIN_FILE, f"{version}\n".encode())
            else:
                raise LibraryError(f"{name}@{version}: not installed")

    def _is_same(self, manifest: Manifest, version: str) -> bool:
        try:
            installed = self.manifest(manifest.name, version)
        except BundleError:
            return False
        return installed == manifest.model_copy(update={"version": installed.version})

    def _discard(self, name: str, version: str) -> None:
        folder = self.folder / name
        pin = folder / PIN_FILE
        if pin.is_file() and pin.read_text(encoding="utf-8").strip() == version:
            pin.unlink()
        trash = folder / f"{TRASH_PREFIX}{version}-{secrets.token_hex(4)}"
        (folder / version).rename(trash)
        sync(folder)
        shutil.rmtree(trash)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One changer at a time; what an interrupted one left behind is cleared away."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            for rubbish in self.folder.glob("*/.*"):
                if rubbish.name.startswith((DRAFT_PREFIX, TRASH_PREFIX)):
                    shutil.rmtree(rubbish) if rubbish.is_dir() else rubbish.unlink()
            yield
        finally:
            os.close(descriptor)


def _candidate(path: Path, name: str | None, version: str | None, hints: Hints) -> _Candidate:
    if not path.is_dir():
        found = examine(path, name=name, version=version or "1", hints=hints)
        return _Candidate(found.manifest, found.files, version, found.warnings)
    bundle = Bundle.open(path)
    if hints != _NOTHING:
        raise LibraryError(f"{path}: a bundle says what it is by itself: give only --name and --version")
    changes = {"name": name or bundle.manifest.name, "version": version or bundle.manifest.version}
    try:
        manifest = Manifest.model_validate(bundle.manifest.model_dump(by_alias=True) | changes)
    except ValidationError as error:
        raise LibraryError(f"{path}: {changes} cannot be its name and version: use a-z, 0-9, '.', '_', '-'") from error
    return _Candidate(manifest, bundle.files, manifest.version)


def _age(version: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts `2` before `10`, and `1.2` before `1.10`."""
    return tuple(
        (1, int(part), "") if part.isdecimal() else (0, 0, part) for part in re.findall(r"\d+|[a-z]+", version)
    )


def _next(versions: tuple[str, ...]) -> str:
    """The whole number after the highest."""
    return str(1 + max((int(number[0]) for each in versions if (number := re.match(r"\d+", each))), default=0))
