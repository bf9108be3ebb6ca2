"""What a broker's folder is for and who has a place in it: `broker.json`; generated files are written from it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.broker_folder.errors import FolderError
from appliance.broker_folder.files import SECRET, replace
from appliance.broker_folder.rights import Role

NAME = "broker.json"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Member(_Strict):
    """Somebody that the broker knows."""

    name: str
    role: Role
    models: tuple[str, ...] = ()
    """What a service answers for; empty means every model."""

    replicas: bool = False
    """Many services share this name."""

    hosts: tuple[str, ...] = ()
    """Names and addresses under which a service offers the Open Inference Protocol; none: it does not."""

    password: str | None = None
    """Hashed; None where certificates say who somebody is."""

    authority: int = 1
    """The newest one when it was last given something."""


class Record(_Strict):
    """The whole of `broker.json`."""

    format: Literal[1] = 1
    base: str
    hosts: tuple[str, ...] = Field(min_length=1)
    """Names and addresses of the broker; clients use the first."""

    port: int
    identity: Literal["certificate", "password"]
    days: int
    """Lifetime of the certificates of the broker and its clients."""

    authority_days: int
    authorities: int = 1
    """How many authorities there have been; the last one signs."""

    oldest_trusted: int = 1
    """Earlier authorities are no longer believed."""

    owner: tuple[int, int] | None = None
    """User and group that the broker runs as, where that is not the user who set it up."""

    group: str
    """The services' share of the questions: a secret of theirs, see docs/security.md."""

    members: dict[str, Member] = Field(default_factory=dict)


def read(folder: Path) -> Record:
    """Raises FolderError where there is none, or one that is not ours."""
    path = folder / NAME
    try:
        return Record.model_validate_json(path.read_bytes())
    except FileNotFoundError as e:
        raise FolderError(f"{folder}: not the folder of a broker: appliance broker setup {folder} --host NAME") from e
    except OSError as e:
        raise FolderError(f"{path}: cannot be read: {e.strerror}; run this as the user who set the broker up") from e
    except ValidationError as e:
        raise FolderError(f"{path}: not what `appliance broker` writes ({e.error_count()} faults): restore it") from e


def write(folder: Path, record: Record) -> None:
    """All of it or nothing; only its owner may read it."""
    replace(folder / NAME, record.model_dump_json(indent=2) + "\n", SECRET)
