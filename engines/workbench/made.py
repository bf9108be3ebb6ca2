"""A new version of a model, on its way into the library."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from engines import digest
from engines.bundle import Bundle
from engines.external import external_files
from engines.manifest import Manifest, Stage


@dataclass(frozen=True, slots=True)
class Made:
    """What a verb made: the manifest, still with the version it was made from, and where the files are."""

    manifest: Manifest
    files: Mapping[str, Path]


def restaged(
    bundle: Bundle,
    stages: tuple[Stage, ...],
    files: Mapping[str, Path],
    how: str,
    without: Collection[str] = (),
) -> Made:
    """The bundle with other stages; `files` has what is new, networks and further files. `how`: a sentence for `about`.

    Further files stay, except those in `without` and external weights that no stage reads any more.
    """
    staying = {stage.file for stage in stages} | {each.file for stage in stages for each in stage.variants}
    kept_networks = set(bundle.manifest.networks) & staying - files.keys()
    gone = set(bundle.manifest.networks) - kept_networks
    weights = {name for file in gone for name in external_files(bundle.files[file])}
    for name in kept_networks:
        weights -= set(external_files(bundle.files[name]))
    further = {name: old for name, old in bundle.manifest.files.items() if name not in weights.union(without)}
    further |= {name: digest.of_file(path) for name, path in files.items() if name not in staying}
    manifest = Manifest.model_validate(
        bundle.manifest.model_dump(by_alias=True)
        | {
            "stages": [stage.model_dump() for stage in stages],
            "files": further,
            "about": bundle.manifest.about | {"made": how},
        }
    )
    names = set(manifest.networks) | set(further)
    return Made(manifest, {name: files.get(name) or bundle.files[name] for name in names})
