"""New keys in the place of old ones, and signatures before they end."""

from __future__ import annotations

from copy import deepcopy
from datetime import datetime, timedelta, timezone
from typing import Any

from tuf.api.metadata import Metadata

from appliance.registry.errors import RegistryError
from appliance.registry.keyring import Keyring
from appliance.registry.repository import ROOT, SNAPSHOT, TIMESTAMP, TOP, Repository


def rotate(repository: Repository, keyring: Keyring, name: str, old: str | None) -> str:
    """A new key for a role; the first 8 digits of its id. `old`: beginning of the id of the key that goes; needed for
    the root, of which there are several.

    The root signs with the keys of before and of now, so that devices follow; a family's key is changed by the targets
    role. Raises RegistryError, OSError.
    """
    try:
        role = repository.role(name)
    except KeyError as error:
        known = ", ".join([ROOT, TOP, SNAPSHOT, TIMESTAMP, *repository.families])
        raise RegistryError(f"{name}: no such role; there is {known}") from error
    going = [keyid for keyid in role.keyids if keyid.startswith(old or "")]
    if len(going) != 1:
        raise RegistryError(f"{name}: which key goes? Give --old with one of {', '.join(k[:8] for k in role.keyids)}")
    before = deepcopy(repository.role(ROOT))
    delegator = repository.root.signed if name in repository.root.signed.roles else repository.top.signed
    made = keyring.make(name)
    delegator.revoke_key(going[0], name)
    delegator.add_key(made, name)
    if name in repository.families:
        repository.commit(keyring, top=True, families=frozenset({name}))
    else:
        repository.commit(keyring, root=True, top=name == TOP, before=before)
    return made.keyid[:8]


def renew(repository: Repository, keyring: Keyring, within: timedelta) -> list[str]:
    """Sign again what ends within this time, as far as its keys are at hand; the roles that were signed.

    Snapshot and timestamp are signed with it. Raises RegistryError, OSError.
    """
    due = [name for name, ends in endings(repository).items() if ends < datetime.now(timezone.utc) + within]
    if not due:
        return []
    able = [name for name in due if _can_sign(repository, keyring, name)]
    families = frozenset(able) & repository.families.keys()
    repository.commit(keyring, root=ROOT in able, top=TOP in able, families=families)
    return able


def endings(repository: Repository) -> dict[str, datetime]:
    """When the signature of each role ends, in UTC."""
    every: dict[str, Metadata[Any]] = {
        ROOT: repository.root,
        TOP: repository.top,
        SNAPSHOT: repository.snapshot,
        TIMESTAMP: repository.timestamp,
        **repository.families,
    }
    return {name: metadata.signed.expires for name, metadata in every.items()}


def _can_sign(repository: Repository, keyring: Keyring, name: str) -> bool:
    role = repository.role(name)
    return sum(keyring.has(keyid) for keyid in role.keyids) >= role.threshold
