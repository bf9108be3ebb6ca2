"""A registry as a folder: TUF's metadata, files named by their digests, and how long signatures hold.

`timestamp.json` names the snapshot, that one everything else; it is replaced last and at once. Whoever reads, and
whoever comes after a power cut, sees the state before a change or the one after it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Role,
    Root,
    Signed,
    Snapshot,
    Targets,
    Timestamp,
)

from appliance.registry.errors import RegistryError
from appliance.registry.keyring import Keyring
from appliance.sync.published import METADATA, TARGETS
from engines.durable import replace, sync

ROOT, TOP, SNAPSHOT, TIMESTAMP = "root", "targets", "snapshot", "timestamp"
ANCHOR = "root.json"
"""The newest root: what is given to devices as their first."""
KEYS = "keys"
SIGNED_AT = "signed_at"
"""Own field of the timestamp: when it was signed, in UTC. A device never believes an earlier clock again."""


class Terms(BaseModel):
    """How long signatures hold, in days, and how many root keys there are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    root_days: int = Field(365, ge=1, le=3650)
    targets_days: int = Field(365, ge=1, le=3650)
    snapshot_days: int = Field(7, ge=1, le=3650)
    timestamp_days: int = Field(1, ge=1, le=3650)
    root_keys: int = Field(3, ge=1, le=9)
    root_threshold: int = Field(2, ge=1, le=9)


class Repository:
    """Read when it is made; `commit` signs and writes what was changed in `root`, `top` and `families`."""

    def __init__(self, folder: Path) -> None:
        """Raises RegistryError when there is no registry in `folder`, or a damaged one."""
        self.folder = folder
        try:
            self.terms = Terms.model_validate_json((folder / "terms.json").read_bytes())
            self.timestamp = self._load(Timestamp, f"{TIMESTAMP}.json")
            self.snapshot = self._load(Snapshot, f"{self.timestamp.signed.snapshot_meta.version}.{SNAPSHOT}.json")
            self.root = self._load(Root, f"{self._newest_root()}.{ROOT}.json")
            self.top = self._load(Targets, self._file_of(TOP))
            names = self.top.signed.delegations.roles if self.top.signed.delegations else None
            self.families = {name: self._load(Targets, self._file_of(name)) for name in names or {}}
        except FileNotFoundError as error:
            raise RegistryError(
                f"{folder}: not a whole registry, {error.filename} is missing; `appliance registry init` makes one"
            ) from error
        except OSError as error:
            raise RegistryError(f"{error.filename}: cannot be read: {error.strerror}") from error
        except (RepositoryError, ValidationError, KeyError) as error:
            raise RegistryError(f"{folder}: not a registry, or damaged: {error}") from error

    @classmethod
    def create(cls, folder: Path, terms: Terms, keyring: Keyring) -> Repository:
        """A registry in a folder that is new or holds keys only. Raises RegistryError, OSError."""
        if terms.root_threshold > terms.root_keys:
            raise RegistryError(f"{terms.root_threshold} of {terms.root_keys} root keys can never sign: make more")
        if folder.exists() and {entry.name for entry in folder.iterdir()} - {KEYS}:
            raise RegistryError(f"{folder}: there is something already; take a new folder")
        for place in (METADATA, TARGETS):
            (folder / place).mkdir(parents=True, exist_ok=True)
        made = cls.__new__(cls)
        made.folder, made.terms, made.families = folder, terms, {}
        root = Root(consistent_snapshot=True)
        for _ in range(terms.root_keys):
            root.add_key(keyring.make(ROOT), ROOT)
        for name in (TOP, SNAPSHOT, TIMESTAMP):
            root.add_key(keyring.make(name), name)
        root.roles[ROOT].threshold = terms.root_threshold
        made.root = Metadata(root)
        made.top = Metadata(Targets(delegations=Delegations({}, {})))
        made.snapshot = Metadata(Snapshot())
        made.timestamp = Metadata(Timestamp())
        for signed in (root, made.top.signed, made.snapshot.signed, made.timestamp.signed):
            signed.version = 0  # the first commit makes it 1
        replace(folder / "terms.json", terms.model_dump_json(indent=2).encode() + b"\n")
        made.commit(keyring, root=True, top=True)
        return made

    @property
    def anchor(self) -> Path:
        """The root that devices are given."""
        return self.folder / METADATA / ANCHOR

    @property
    def delegations(self) -> dict[str, DelegatedRole]:
        """Every family's role."""
        found = self.top.signed.delegations
        roles: dict[str, DelegatedRole] | None = None if found is None else found.roles
        assert roles is not None, "made with delegations by name"
        return roles

    def role(self, name: str) -> Role:
        """Whose keys sign a role; KeyError when there is none."""
        return self.root.signed.roles[name] if name in self.root.signed.roles else self.delegations[name]

    def path_of(self, target: str) -> Path:
        """Where the content of a signed file is. `target`: as `published.stored` gives it."""
        return self.folder / TARGETS / target

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """One changer at a time; RegistryError when there is another."""
        descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise RegistryError(f"{self.folder}: somebody else is changing it; try again") from error
        finally:
            os.close(descriptor)

    def commit(
        self,
        keyring: Keyring,
        *,
        root: bool = False,
        top: bool = False,
        families: frozenset[str] = frozenset(),
        before: Role | None = None,
    ) -> None:
        """Sign what changed, then snapshot and timestamp, and write it all; `before`: the root role that was.

        Everything is signed before anything is written. Raises RegistryError, OSError.
        """
        writes: list[tuple[str, Metadata[Any]]] = []
        if root:
            self._bump(self.root.signed, self.terms.root_days)
            roles = [self.role(ROOT)] if before is None else [before, self.role(ROOT)]
            keyring.sign(self.root, ROOT, roles)
            writes.append((f"{self.root.signed.version}.{ROOT}.json", self.root))
        for name in sorted(families):
            writes.append(self._sign_targets(name, self.families[name], keyring))
        if top:
            writes.append(self._sign_targets(TOP, self.top, keyring))
        self._bump(self.snapshot.signed, self.terms.snapshot_days)
        keyring.sign(self.snapshot, SNAPSHOT, [self.role(SNAPSHOT)])
        writes.append((f"{self.snapshot.signed.version}.{SNAPSHOT}.json", self.snapshot))
        now = self._bump(self.timestamp.signed, self.terms.timestamp_days)
        self.timestamp.signed.unrecognized_fields[SIGNED_AT] = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        self.timestamp.signed.snapshot_meta = MetaFile(version=self.snapshot.signed.version)
        keyring.sign(self.timestamp, TIMESTAMP, [self.role(TIMESTAMP)])
        writes.append((f"{TIMESTAMP}.json", self.timestamp))
        for name, metadata in writes:
            replace(self.folder / METADATA / name, metadata.to_bytes())
            if metadata is self.root:
                replace(self.anchor, metadata.to_bytes())
        sync(self.folder / METADATA)

    def _sign_targets(self, name: str, metadata: Metadata[Targets], keyring: Keyring) -> tuple[str, Metadata[Any]]:
        self._bump(metadata.signed, self.terms.targets_days)
        keyring.sign(metadata, name, [self.role(name)])
        self.snapshot.signed.meta[f"{name}.json"] = MetaFile(version=metadata.signed.version)
        return f"{metadata.signed.version}.{name}.json", metadata

    @staticmethod
    def _bump(signed: Signed, days: int) -> datetime:
        now = datetime.now(timezone.utc).replace(microsecond=0)
        signed.version += 1
        signed.expires = now + timedelta(days=days)
        return now

    def _newest_root(self) -> int:
        """The last that was written, also where the rest of its commit was not: devices may have it already."""
        files = (self.folder / METADATA).glob(f"*.{ROOT}.json")
        return max((int(file.name.split(".")[0]) for file in files if file.name[0].isdecimal()), default=1)

    def _file_of(self, name: str) -> str:
        return f"{self.snapshot.signed.meta[f'{name}.json'].version}.{name}.json"

    def _load(self, kind: type[Any], name: str) -> Any:
        metadata = Metadata[Any].from_file(str(self.folder / METADATA / name))
        if not isinstance(metadata.signed, kind):
            raise RegistryError(f"{name}: holds {metadata.signed.type} metadata")
        return metadata
