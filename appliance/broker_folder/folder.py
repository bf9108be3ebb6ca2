"""The folder of a broker: made once, then names are added, renewed and removed.

broker.json       who has a place; the files below that say "written by" come from it
broker/           goes to the broker: mosquitto.conf, access, certificates or passwords
authority/<n>/    signs; may lie on another machine than the broker
clients/<name>/   goes to that client, and to nobody else
retired/          what was renewed or removed, kept
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from appliance.broker_folder import record as records
from appliance.broker_folder.authority import Authority, Purpose, expires
from appliance.broker_folder.client import client_files
from appliance.broker_folder.errors import FolderError
from appliance.broker_folder.files import OPEN, SECRET, give_to, replace, write_new
from appliance.broker_folder.mosquitto import Entry, Limits, Listener, access, configuration, passwords
from appliance.broker_folder.password import hashed, new_password
from appliance.broker_folder.record import Member, Record


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `setup` is asked for."""

    hosts: tuple[str, ...]
    listener: Listener
    limits: Limits
    base: str
    days: int
    authority_days: int
    owner: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Line:
    """Somebody, as `appliance broker show` tells it."""

    name: str
    role: str
    expires: datetime | None
    """None for a password, which does not."""


class BrokerFolder:
    """One at a time may change it; what `open` gives is read anew under the lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = records.read(folder)

    # Making it.

    @classmethod
    def create(cls, folder: Path, wanted: Wanted) -> BrokerFolder:
        """Raises FolderError where anything lies already."""
        _refuse_what_is_there(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, mode in (("broker", 0o755), ("clients", 0o700), ("retired", 0o700), ("authority", 0o700)):
            (folder / name).mkdir()
            (folder / name).chmod(mode)  # whatever the umask: the broker may run as somebody else
        record = Record(
            base=wanted.base,
            hosts=wanted.hosts,
            port=wanted.listener.port,
            identity=wanted.listener.identity,
            days=wanted.days,
            authority_days=wanted.authority_days,
            owner=wanted.owner,
            group=secrets.token_hex(16),
        )
        Authority.create(folder / "authority" / "1", f"{wanted.hosts[0]} authority 1", wanted.authority_days)
        write_new(folder / "broker" / "mosquitto.conf", configuration(wanted.listener, wanted.limits))
        _make_data(folder, wanted)
        records.write(folder, record)  # from here on it is ours
        made = cls(folder)
        made._sign_broker()
        made._write_generated()
        return made

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Nobody else changes it meanwhile; what is generated is written at the end."""
        handle = os.open(self.folder / "authority", os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            self.record = records.read(self.folder)
            self._refuse_without_key()
            yield
            records.write(self.folder, self.record)
            self._write_generated()
        finally:
            os.close(handle)

    def _refuse_without_key(self) -> None:
        key = self._authority().folder / "authority.key"
        if not key.exists():
            raise FolderError(f"{key} is not here, and without it nothing can be signed or revoked: bring it back")

    # Names.

    def add(self, newcomers: Iterable[Member]) -> list[Path]:
        """A place for each, with what it needs in `clients/<name>`; for all of them or for none."""
        wanted = {member.name: member for member in newcomers}
        names = tuple(wanted)
        with self.changing():
            for name in names:
                if (known := self.record.members.get(name)) is not None:
                    raise FolderError(f"{name} is a {known.role.value} already: renew it, or remove it first")
                self._refuse_leftover(name)
            try:
                for name in names:
                    self.record.members[name] = self._equip(wanted[name])
            except BaseException:
                for name in names:
                    self._retire(name)
                raise
        return [self.folder / "clients" / name for name in names]

    def renew(self, names: Iterable[str]) -> list[Path]:
        """A new certificate beside the old one, which stays good until it ends; or a new password instead of it."""
        names = tuple(names)
        with self.changing():
            for member in [self._member(name) for name in names]:
                self._retire(member.name)
                self.record.members[member.name] = self._equip(member)
        return [self.folder / "clients" / name for name in names]

    def remove(self, names: Iterable[str]) -> None:
        """No rights any more, certificates revoked."""
        names = tuple(names)
        with self.changing():
            for member in [self._member(name) for name in names]:
                for number in range(1, self.record.authorities + 1):
                    self._authority(number).revoke(member.name)
                self._retire(member.name)
                del self.record.members[member.name]

    def _member(self, name: str) -> Member:
        member = self.record.members.get(name)
        if member is None:
            known = ", ".join(sorted(self.record.members)) or "nobody yet"
            raise FolderError(f"{self.folder}: no {name} here; there is {known}")
        return member

    def _equip(self, member: Member) -> Member:
        """Write `clients/<name>`; gives the member with its new hash."""
        password = signed = serving = None
        member = member.model_copy(update={"authority": self.record.authorities})
        if self.record.identity == "password":
            password = new_password()
            member = member.model_copy(update={"password": hashed(password)})
        else:
            signed = self._authority().sign(member.name, Purpose.CLIENT, self.record.days)
        if member.hosts:
            serving = self._authority().sign(member.name, Purpose.SERVER, self.record.days, member.hosts)
        folder = self.folder / "clients" / member.name
        beside = folder.with_name(f".{member.name}.part")
        _empty(beside)
        beside.mkdir(mode=0o700)
        for name, content, mode in client_files(self.record, member, self.trusted(), password, signed, serving):
            write_new(beside / name, content, mode)
        beside.rename(folder)
        return member

    def _refuse_leftover(self, name: str) -> None:
        folder = self.folder / "clients" / name
        if folder.exists():
            raise FolderError(f"{folder} is there, but {name} is not in {records.NAME}: move it away, then again")

    def _retire(self, name: str) -> None:
        """What it has now goes to `retired/`, under the next number."""
        current = self.folder / "clients" / name
        if not current.exists():
            return
        number = 1
        while (kept := self.folder / "retired" / f"{name}-{number}").exists():
            number += 1
        current.rename(kept)

    # The broker and the authority.

    def renew_broker(self) -> None:
        """A new certificate for the broker, by the newest authority; earlier ones are then no longer believed.

        Raises FolderError while a client has not been renewed since the authority was: it would trust nobody.
        """
        with self.changing():
            members = self.record.members.values()
            behind = sorted(member.name for member in members if member.authority < self.record.authorities)
            if behind:
                raise FolderError(
                    f"the authority was renewed, but not {', '.join(behind)}: "
                    f"appliance broker renew {self.folder} {' '.join(behind)}, hand that out, then again"
                )
            for ending in ("crt", "key"):
                current = self.folder / "broker" / f"server.{ending}"
                current.rename(self._next_retired(f"server.{ending}"))
            self.record.oldest_trusted = self.record.authorities
            self._sign_broker()

    def renew_authority(self) -> None:
        """A further authority. The broker believes both; the clients' next renewal comes from the new one."""
        with self.changing():
            number = self.record.authorities + 1
            name = f"{self.record.hosts[0]} authority {number}"
            Authority.create(self.folder / "authority" / str(number), name, self.record.authority_days)
            self.record.authorities = number

    def _next_retired(self, name: str) -> Path:
        number = 1
        while (kept := self.folder / "retired" / f"{number}-{name}").exists():
            number += 1
        return kept

    def _authority(self, number: int | None = None) -> Authority:
        """The newest one, or another."""
        return Authority(self.folder / "authority" / str(number or self.record.authorities))

    def _trusted(self) -> list[Authority]:
        """The newest first."""
        numbers = range(self.record.authorities, self.record.oldest_trusted - 1, -1)
        return [self._authority(number) for number in numbers]

    def trusted(self) -> str:
        """Certificates of every authority that is believed."""
        return "".join(authority.certificate for authority in self._trusted())

    def _sign_broker(self) -> None:
        signed = self._authority().sign(self.record.hosts[0], Purpose.SERVER, self.record.days, self.record.hosts)
        write_new(self.folder / "broker" / "server.key", signed.key, SECRET)
        write_new(self.folder / "broker" / "server.crt", signed.certificate, OPEN)

    # What is generated.

    def _write_generated(self) -> None:
        broker, members = self.folder / "broker", list(self.record.members.values())
        entries = [Entry(member.name, member.role, member.models, member.replicas) for member in members]
        files = {"access": access(entries, self.record.base), "trusted.crt": self.trusted()}
        if self.record.identity == "password":
            files["passwords"] = passwords([(one.name, one.password) for one in members if one.password is not None])
        else:
            files["revoked.pem"] = "".join(authority.revoked() for authority in self._trusted())
        for name, content in files.items():
            replace(broker / name, content, SECRET)
        if self.record.owner is not None:
            give_to(self.record.owner, *(broker / name for name in files), broker / "server.key")

    # Telling.

    def lines(self) -> list[Line]:
        """The authority, the broker, then everybody by name."""
        found = [
            Line("authority", "signs", expires(self._authority().certificate_file)),
            Line("broker", self.record.hosts[0], expires(self.folder / "broker" / "server.crt")),
        ]
        for name, member in sorted(self.record.members.items()):
            issued = self._authority(member.authority).issued(name)
            found.append(Line(name, member.role.value, issued[-1].expires if issued else None))
        return found


def _refuse_what_is_there(folder: Path) -> None:
    if (folder / records.NAME).exists():
        raise FolderError(
            f"{folder}: a broker is set up here already: add to it with appliance broker add-device {folder} NAME, "
            "or name another folder"
        )
    try:
        inside = sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return
    except NotADirectoryError as e:
        raise FolderError(f"{folder}: a file, not a folder: name another place") from e
    if inside:
        raise FolderError(
            f"{folder}: holds {inside[0]} already, and nothing is overwritten: name a new or empty folder"
        )


def _make_data(folder: Path, wanted: Wanted) -> None:
    """The broker's store, where it lies in our folder."""
    data = folder / "data"
    if wanted.listener.data == PurePosixPath(data.resolve()):
        data.mkdir(mode=0o700)
        if wanted.owner is not None:
            give_to(wanted.owner, data)


def _empty(folder: Path) -> None:
    """What an interrupted run left of a client's folder."""
    if folder.exists():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
