"""The secrets that a configuration names: who may read their files, and which of them the service alone knows."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from appliance.config import Config
from appliance.config_values import Table
from appliance.finding import Finding
from appliance.secret import credential, credential_name, known_to_the_service_alone

CERTIFICATES = ("ca_file", "cert_file")
"""Shown to whoever asks. Every other key that ends in `_file` names a secret."""
CREDENTIALS = Path("/etc/appliance/credentials")
"""Where the files are that systemd loads them from, as docs/install.md has it."""


def secret_findings(config: Config, path: Path) -> Iterator[Finding]:
    """Files that hold secrets, and the configuration itself, which is at `path`."""
    yield from _writable(path)
    named: dict[Path, str] = {}
    for where, secret in secret_files(config):
        named.setdefault(secret, where)
    for secret in named:
        if not known_to_the_service_alone(secret):
            yield _readable(secret)
    hidden = {secret: where for secret, where in named.items() if known_to_the_service_alone(secret)}
    if hidden:
        yield _hidden(hidden, path)


def secret_files(table: Table, within: str = "") -> Iterator[tuple[str, Path]]:
    """Every secret that a configuration names, in whichever of its tables, with the words for that table."""
    for key, value in table:
        if isinstance(value, Table):
            yield from secret_files(value, f"{within}: {key}" if within else f"[{key}]")
        elif isinstance(value, list):
            for each in value:
                if isinstance(each, Table):
                    yield from secret_files(each, f"[[{key}]] {getattr(each, 'name', '')}".rstrip())
        elif isinstance(value, Path) and is_secret(key):
            yield within, value


def is_secret(key: str) -> bool:
    """Whether what this key of a configuration names is nobody else's to read."""
    return key.endswith("_file") and key not in CERTIFICATES


def _readable(secret: Path) -> Finding:
    name = credential_name(secret)
    load = f"LoadCredential={name or 'NAME'}:{CREDENTIALS / name if name else secret}"
    fix = f"systemctl edit appliance: [Service], {load}"
    if name is None:
        fix = f"chgrp it to the service: {secret}; or have systemd load it, and write credential:NAME: {fix}"
    try:
        file = credential(secret)
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError as error:
        return Finding("permissions", "problem", f"{secret}: cannot be read: {error.strerror}", fix)
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        text = f"{secret}: everybody on this machine may read it ({mode:04o})"
        return Finding("permissions", "problem", text, f"chmod o= {file}")
    if not os.access(file, os.R_OK):
        return Finding("permissions", "problem", f"{secret}: cannot be read", fix)
    return Finding("permissions", "ok", f"{secret}: closed to others")


def _hidden(secrets: dict[Path, str], path: Path) -> Finding:
    """`secrets`: each with the table that names it."""
    names = [name for secret in secrets if (name := credential_name(secret)) is not None]
    loads = " ".join(f"-p {shlex.quote(f'LoadCredential={name}:{CREDENTIALS / name}')}" for name in names)
    words = ", ".join(f"{secret} of {where}" for secret, where in secrets.items())
    return Finding(
        "secrets",
        "note",
        f"known to the service alone: {words}; what needs one cannot be tried from here",
        f"journalctl -u appliance says how the service fares; to look with its secrets, as root: systemd-run --pipe "
        f"--wait --collect -p User=appliance {loads} appliance doctor --config {shlex.quote(str(path.absolute()))}",
    )


def _writable(path: Path) -> Iterator[Finding]:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & stat.S_IWOTH:
        text = f"{path}: everybody on this machine may change it ({mode:04o})"
        yield Finding("permissions", "problem", text, f"chmod o-w {path}")
