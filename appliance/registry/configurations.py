"""Configurations that an owner signs for devices: judged as a device will judge them, then put beside the models."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tuf.api.metadata import DelegatedRole, Metadata, TargetFile

from appliance.config_errors import ConfigError
from appliance.config_file import load_raw
from appliance.reconfigure.layers import layered, refusals
from appliance.reconfigure.store import MOST_BYTES
from appliance.registry.errors import RegistryError
from appliance.registry.keyring import Keyring
from appliance.registry.publish import SERIAL, without_version
from appliance.registry.repository import Repository
from appliance.sync.published import CONFIGURATION, Reference, configuration, read_custom, stored
from engines.durable import replace, sync


@dataclass(frozen=True, slots=True)
class ListedConfiguration:
    """One that is signed."""

    reference: Reference
    serial: int
    bytes: int
    devices: tuple[str, ...] | None
    """Those that may use it; None: all."""


def listed_configurations(repository: Repository) -> list[ListedConfiguration]:
    """Every one that is signed now, by name, the last published first."""
    family = repository.families.get(CONFIGURATION)
    found = []
    for path, target in family.signed.targets.items() if family is not None else ():
        _, name, file = path.split("/")
        custom = read_custom(path, target.length, target.custom)
        devices = None if custom.devices is None else tuple(custom.devices)
        reference = Reference(name, file.removesuffix(".toml"))
        found.append(ListedConfiguration(reference, custom.serial, target.length, devices))
    return sorted(found, key=lambda each: (each.reference.model, -each.serial))


def publish_configuration(
    repository: Repository,
    keyring: Keyring,
    file: Path,
    reference: Reference,
    devices: tuple[str, ...] | None,
    *,
    again: bool = False,
    over: Path | None = None,
) -> ListedConfiguration:
    """Sign a configuration. `devices`: None is all. `again`: one that is signed already becomes the newest once more.
    `over`: the file of a device, to judge both together as that device will.

    Raises RegistryError, OSError.
    """
    content = file.read_bytes()
    if len(content) > MOST_BYTES:
        raise RegistryError(f"{file}: {len(content)} bytes; a configuration has at most {MOST_BYTES}")
    _judge(file, content, over)
    is_new = CONFIGURATION not in repository.families
    metadata = repository.families.get(CONFIGURATION) or Metadata(without_version())
    path, digest = configuration(reference), hashlib.sha256(content).hexdigest()
    before = metadata.signed.targets.get(path)
    if before is not None and before.hashes["sha256"] != digest:
        raise RegistryError(f"{reference}: published with another content: give it another version")
    if before is not None and not again:
        raise RegistryError(f"{reference}: published already; --again makes it the newest once more")
    serial = 1 + int(metadata.signed.unrecognized_fields.get(SERIAL, 0))
    target = TargetFile(len(content), {"sha256": digest}, path)
    custom = {"chunks": [digest] if content else [], "serial": serial}
    target.unrecognized_fields["custom"] = custom if devices is None else custom | {"devices": sorted(devices)}
    place = repository.path_of(stored(path, digest))
    place.parent.mkdir(parents=True, exist_ok=True)
    replace(place, content)
    for folder in (place.parent, place.parent.parent, place.parent.parent.parent):
        sync(folder)
    metadata.signed.targets[path] = target
    metadata.signed.unrecognized_fields[SERIAL] = serial
    if is_new:
        role = DelegatedRole(CONFIGURATION, [], 1, terminating=True, paths=[f"{CONFIGURATION}/*/*"])
        repository.delegations[CONFIGURATION] = role
        repository.top.signed.add_key(keyring.make(CONFIGURATION), CONFIGURATION)
    repository.families[CONFIGURATION] = metadata
    repository.commit(keyring, top=is_new, families=frozenset({CONFIGURATION}))
    return next(each for each in listed_configurations(repository) if each.reference == reference)


def revoke_configuration(repository: Repository, keyring: Keyring, reference: Reference) -> None:
    """Take back what was signed. Devices that use it return by themselves to the one before.

    Raises RegistryError, OSError.
    """
    family, path = repository.families.get(CONFIGURATION), configuration(reference)
    target = None if family is None else family.signed.targets.pop(path, None)
    if target is None:
        raise RegistryError(f"{reference}: no such configuration is published; `appliance registry list` shows what is")
    repository.commit(keyring, families=frozenset({CONFIGURATION}))
    repository.path_of(stored(path, target.hashes["sha256"])).unlink(missing_ok=True)


def _judge(file: Path, content: bytes, over: Path | None) -> None:
    """Alone, it can name what is in the file of a device: then only what no device takes is refused."""
    try:
        text = content.decode("utf-8")
        faults = list(refusals(text, str(file)))
        if over is not None:
            layered(load_raw(over), text, str(file))
    except (UnicodeDecodeError, ConfigError) as error:
        raise RegistryError(str(error) if isinstance(error, ConfigError) else f"{file}: no text in UTF-8") from error
    if faults:
        raise RegistryError("\n".join(faults))
