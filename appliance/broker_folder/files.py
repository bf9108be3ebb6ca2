"""Files that appear whole or not at all, and secrets that only their owner can read."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

from appliance.broker_folder.errors import FolderError
from engines import durable

SECRET = 0o600
OPEN = 0o644


def write_new(path: Path, content: str, mode: int = OPEN) -> None:
    """Write a file that is not there yet; raises FileExistsError rather than touch one."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)  # whatever the umask
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace(path: Path, content: str, mode: int = OPEN) -> None:
    """Write a file of ours anew, beside it first; the owner stays who it was."""
    beside = path.with_name(f".{path.name}.part")
    beside.unlink(missing_ok=True)
    write_new(beside, content, mode)
    if path.exists():
        before = path.stat()
        if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(beside, before.st_uid, before.st_gid)
    beside.replace(path)
    durable.sync(path.parent)


def owner_ids(owner: str) -> tuple[int, int]:
    """`mosquitto`, `mosquitto:mosquitto` or `1883:1883` as numbers; raises FolderError for a user that is not here."""
    user, _, group = owner.partition(":")
    try:
        known = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
        uid, gid = known.pw_uid, known.pw_gid
    except KeyError as e:
        if not user.isdigit():
            raise FolderError(
                f"--owner {owner}: no user {user} on this machine; give numbers, such as 1883:1883"
            ) from e
        uid = gid = int(user)
    if group:
        try:
            gid = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
        except KeyError as e:
            raise FolderError(f"--owner {owner}: no group {group} on this machine; give its number") from e
    return uid, gid


def give_to(owner: tuple[int, int], *paths: Path) -> None:
    """Hand files to the user that the broker runs as; only root may give away what is its own."""
    for path in paths:
        if (path.stat().st_uid, path.stat().st_gid) == owner:
            continue
        try:
            os.chown(path, *owner)
        except PermissionError as e:
            raise FolderError(
                f"{path}: only root may give it to user {owner[0]}: run this as root, or leave --owner out and run "
                "mosquitto as yourself"
            ) from e


def default_owner() -> tuple[int, int] | None:
    """Started by root, mosquitto becomes the user of that name before it reads its files; None for anybody else."""
    if os.geteuid() != 0:
        return None
    try:
        known = pwd.getpwnam("mosquitto")
    except KeyError:
        return None
    return known.pw_uid, known.pw_gid
