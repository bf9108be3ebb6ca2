"""What is active, as it lies on the disk: the library's pin. Every step may be done twice, and cut short anywhere."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from appliance.catalogue import Catalogue
from appliance.sync.ledger import Job
from engines.bundle import Bundle, read_manifest, write_bundle
from engines.engine import EngineError
from engines.manifest import Manifest

FOLDER = ".sync"
"""In the library's folder; no model can have this name."""

NOTHING = "-"
"""In the place of a version: there was no model of this name. No version is called so."""


class Slots:
    """The versions of models in a catalogue, and those that wait beside it."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._library = catalogue.library
        self.folder = catalogue.library.folder / FOLDER
        self.ledger = self.folder / "models.db"

    def active(self, model: str) -> Bundle | None:
        """The version that the model's name leads to, if there is one. Raises EngineError when it is damaged."""
        names = {each.name for each in (*self._library.list(), *self._catalogue.shipped.list())}
        return self._catalogue.find(model) if model in names else None

    def active_version(self, model: str) -> str | None:
        """Its version, without a look at its files."""
        every = {each.name: each.current for each in (*self._catalogue.shipped.list(), *self._library.list())}
        return every.get(model)

    def staged(self, job: Job) -> Path:
        """Where a version waits until it is activated."""
        return self.folder / "staged" / job.model / job.version

    def stage(self, job: Job, manifest: Manifest, files: dict[str, Path]) -> Bundle:
        """Make a bundle of what was fetched; one that is there already is checked. Raises EngineError, OSError."""
        folder = self.staged(job)
        if folder.exists():
            try:
                bundle = Bundle.open(folder)
                if bundle.manifest == manifest:
                    return bundle
            except EngineError:
                pass  # a disk that lost something: made anew
            shutil.rmtree(folder)
        return write_bundle(folder, manifest, files)

    def manifest(self, model: str, version: str) -> Manifest | None:
        """Of a version that waits or is installed, without a look at its other files; None where it is not here."""
        staged = self.folder / "staged" / model / version
        try:
            return read_manifest(staged) if staged.exists() else self._library.manifest(model, version)
        except (OSError, EngineError):
            return None

    def unstage(self, job: Job) -> None:
        """It is not needed any more."""
        shutil.rmtree(self.staged(job), ignore_errors=True)

    def prepare(self, job: Job, done: Callable[[str], None]) -> str:
        """Install a version beside the active one, which stays so; that one's version, or NOTHING."""
        name = job.model
        before = self.active(name)
        if before is not None and before.manifest.version == job.version:
            before = None  # a start that was cut short has installed it as the only one
        if before is not None and name not in {each.name for each in self._library.list()}:
            self._library.add(before.folder)  # a model of the package: with the new one beside it, both are installed
            done("the shipped version is installed")
        previous = NOTHING if before is None else before.manifest.version
        if previous != NOTHING:
            self._library.pin(name, previous)
            done("the active version is pinned")
        self._library.add(self.staged(job))
        done("the new version is installed")
        return previous

    def point(self, model: str, version: str) -> None:
        """Make this version the active one, or leave it so. Raises EngineError when it is not installed."""
        if self.active_version(model) != version or not self._pinned(model):
            self._library.pin(model, version)

    def _pinned(self, model: str) -> bool:
        return any(each.pinned for each in self._library.list() if each.name == model)

    def withdraw(self, model: str, version: str) -> None:
        """A version is not installed any more."""
        if self.has(model, version):
            self._library.remove(f"{model}@{version}")

    def has(self, model: str, version: str) -> bool:
        """Whether it is installed."""
        return version in next((each.versions for each in self._library.list() if each.name == model), ())
