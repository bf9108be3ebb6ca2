"""A registry in a folder, with the models that the appliance brings along, and a small one that may be of any size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from appliance.catalogue import Catalogue
from appliance.registry.keyring import Keyring
from appliance.registry.publish import Listed, publish
from appliance.registry.repository import KEYS, Repository, Terms
from engines.bundle import Bundle, write_bundle
from engines.digest import of_bytes
from engines.library import Library
from engines.manifest import Manifest

PASSPHRASE = "a passphrase for tests"


class Owner:
    """Who signs."""

    def __init__(self, folder: Path, **terms: int) -> None:
        self.folder = folder
        self.keyring = Keyring([folder / KEYS], PASSPHRASE, cost=4)
        self.anchor = Repository.create(folder, Terms(**terms), self.keyring).anchor.read_bytes()

    @property
    def repository(self) -> Repository:
        """Read anew."""
        return Repository(self.folder)

    def publish(self, bundle: Bundle, family: str | None = None, *, again: bool = False) -> Listed:
        return publish(self.repository, self.keyring, bundle, family, again=again)


def shipped(name: str) -> Bundle:
    """A model that the appliance brings along."""
    return Catalogue.default(Path("/nonexistent")).find(name)


def as_version(
    bundle: Bundle, version: str, folder: Path, extra: bytes = b"", name: str | None = None, notes: str = ""
) -> Bundle:
    """The same model under another version; `extra`: content of a further file; `notes`: of its maker."""
    files, document = dict(bundle.files), bundle.manifest.model_dump(mode="json", by_alias=True)
    if extra:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"extra-{version}").write_bytes(extra)
        files["extra.bin"] = folder / f"extra-{version}"
        document["files"]["extra.bin"] = of_bytes(extra)
    document["about"] |= {"notes": notes} if notes else {}
    document |= {"version": version, "name": name or document["name"]}
    manifest = Manifest.model_validate_json(json.dumps(document))
    return write_bundle(folder / manifest.name / version, manifest, files)


def noise(size: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(size)


def library(folder: Path, *bundles: Bundle) -> Library:
    made = Library(folder)
    for bundle in bundles:
        made.add(bundle.folder)
    return made
