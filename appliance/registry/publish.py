"""From a bundle to signed plain files, and back to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tuf.api.metadata import DelegatedRole, Metadata, TargetFile, Targets

from appliance.registry.errors import RegistryError
from appliance.registry.keyring import Keyring
from appliance.registry.repository import Repository
from appliance.sync.published import CONFIGURATION, MOST_BYTES, Reference, chunks_of, patterns, read_custom, stored
from engines.bundle import MANIFEST_FILE, Bundle
from engines.durable import copy, sync

TOP_LEVEL = frozenset({"root", "targets", "snapshot", "timestamp", CONFIGURATION})
"""Names that no family of models has."""
SERIAL = "serial"
"""Own field of a family's metadata: the last serial it gave. One that was revoked does not come again."""
MOST_METADATA_BYTES = 4_500_000
"""What a family's metadata may grow to: TUF's clients read 5 MB of it."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A version that is signed."""

    reference: Reference
    family: str
    serial: int
    files: int
    bytes: int
    chunks: frozenset[str]


def listed(repository: Repository) -> list[Listed]:
    """Every version that is signed now, by model, the last published first."""
    found = []
    for family, metadata in repository.families.items():
        for path, target in metadata.signed.targets.items():
            model, version, name = path.split("/", 2)
            if name != MANIFEST_FILE:
                continue
            reference = Reference(model, version)
            files = _files(metadata.signed, reference)
            customs = [read_custom(path, each.length, each.custom) for path, each in files.items()]
            serial = read_custom(path, target.length, target.custom).serial
            chunks = frozenset(chunk for custom in customs for chunk in custom.chunks)
            size = sum(each.length for each in files.values())
            found.append(Listed(reference, family, serial, len(files), size, chunks))
    return sorted(found, key=lambda each: (each.reference.model, -each.serial))


def publish(repository: Repository, keyring: Keyring, bundle: Bundle, family: str | None, *, again: bool) -> Listed:
    """Sign the files of a checked bundle. `family`: None is the one that signs this model, or one of its name.

    `again`: a version that is signed already becomes the newest once more: devices may go back to it. Raises
    RegistryError, OSError.
    """
    reference = Reference(bundle.manifest.name, bundle.manifest.version)
    if not (bundle.folder / MANIFEST_FILE).is_file():
        raise RegistryError(f"{reference.model}: a bare file; `appliance models add` makes a bundle of it")
    family, is_new = _family(repository, reference.model, family)
    metadata = repository.families.get(family) or Metadata(without_version())
    before = _files(metadata.signed, reference)
    serial = 1 + int(metadata.signed.unrecognized_fields.get(SERIAL, 0))
    targets = {each.path: each for each in _targets(bundle, reference, serial)}
    same = before and {path: each.hashes for path, each in before.items()} == {p: t.hashes for p, t in targets.items()}
    if before and not same:
        raise RegistryError(f"{reference}: published with another content: give the model another version")
    if before and not again:
        raise RegistryError(f"{reference}: published already; --again makes it the newest once more")
    for path, target in targets.items():
        _put(repository, path, target, bundle)
    metadata.signed.targets.update(targets)
    metadata.signed.unrecognized_fields[SERIAL] = serial
    if len(metadata.to_bytes()) > MOST_METADATA_BYTES:
        raise RegistryError(f"{family}: signs as much as one family can; take another --family, or revoke old versions")
    if is_new:
        _delegate(repository, keyring, family, reference.model)
    repository.families[family] = metadata
    repository.commit(keyring, top=is_new, families=frozenset({family}))
    return next(each for each in listed(repository) if each.reference == reference)


def revoke(repository: Repository, keyring: Keyring, reference: Reference) -> str:
    """Take back what was signed of a version; the family that signed it. Devices that run it return by themselves.

    Raises RegistryError, OSError.
    """
    for family, metadata in repository.families.items():
        files = _files(metadata.signed, reference)
        if not files:
            continue
        for path in files:
            del metadata.signed.targets[path]
        repository.commit(keyring, families=frozenset({family}))
        for path, target in files.items():
            repository.path_of(stored(path, target.hashes["sha256"])).unlink(missing_ok=True)
        return str(family)
    raise RegistryError(f"{reference}: not published; `appliance registry list` shows what is")


def _family(repository: Repository, model: str, wanted: str | None) -> tuple[str, bool]:
    """Who signs the model, and whether that has to be said first."""
    for name, role in repository.delegations.items():
        if patterns(model)[0] in (role.paths or []):
            if wanted not in (None, name):
                raise RegistryError(f"{model}: the family {name} signs it; leave out --family")
            return name, False
    family = wanted or model
    if family in TOP_LEVEL:
        raise RegistryError(f"{family}: a role of TUF; give another --family")
    return family, True


def _delegate(repository: Repository, keyring: Keyring, family: str, model: str) -> None:
    """Let a family sign this model too; a new one gets a key."""
    role = repository.delegations.get(family)
    if role is None:
        role = DelegatedRole(family, [], 1, terminating=True, paths=[])
        repository.delegations[family] = role
        repository.top.signed.add_key(keyring.make(family), family)
    assert role.paths is not None, "made with paths"
    role.paths += patterns(model)


def _targets(bundle: Bundle, reference: Reference, serial: int) -> Iterator[TargetFile]:
    for name, path in [(MANIFEST_FILE, bundle.folder / MANIFEST_FILE), *bundle.files.items()]:
        target = TargetFile.from_file(reference.file(name), str(path), ["sha256"])
        if target.length > MOST_BYTES:
            raise RegistryError(f"{path}: larger than {MOST_BYTES >> 30} GiB")
        target.unrecognized_fields["custom"] = {"chunks": chunks_of(path), "serial": serial}
        yield target


def _put(repository: Repository, path: str, target: TargetFile, bundle: Bundle) -> None:
    """The content of a target, on the disk under its digest; RegistryError when the file changed meanwhile."""
    name = path.split("/", 2)[2]
    source = bundle.folder / MANIFEST_FILE if name == MANIFEST_FILE else bundle.files[name]
    place = repository.path_of(stored(path, target.hashes["sha256"]))
    place.unlink(missing_ok=True)  # of an attempt that did not come to its end
    if copy(source, place) != f"sha256:{target.hashes['sha256']}":
        raise RegistryError(f"{source}: changed while it was read")
    _sync_up(place.parent, repository.folder)


def _sync_up(folder: Path, top: Path) -> None:
    while folder != top:
        sync(folder)
        folder = folder.parent


def _files(signed: Targets, reference: Reference) -> dict[str, TargetFile]:
    prefix = reference.file("")
    return {path: target for path, target in signed.targets.items() if path.startswith(prefix)}


def without_version() -> Targets:
    """Of a family that is new."""
    signed = Targets()
    signed.version = 0  # the first commit makes it 1
    return signed
