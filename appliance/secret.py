"""Secrets stand in files of their own, or come from systemd: never in the configuration, never in a message."""

from __future__ import annotations

import os
from pathlib import Path

from appliance.config_errors import ConfigError
from appliance.text_file import NotText, read_text

MOST_BYTES = 64 << 10
CREDENTIAL = "credential:"


def secret(path: Path) -> str:
    """The first line of a secret's file; `credential:NAME` as `credential` finds it.

    Raises ConfigError. The secret itself is never part of a message.
    """
    path = credential(path)
    try:
        lines = read_text(path, MOST_BYTES).splitlines()
    except (OSError, NotText) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path}: the secret cannot be read: {reason}") from None
    if not lines or not lines[0]:
        raise ConfigError(f"{path}: the file is empty; put the secret on its first line")
    return lines[0]


def token(path: Path) -> str:
    """As `secret`, of what programs send in a header of HTTP. Raises ConfigError for what a header cannot hold."""
    found = secret(path)
    if not (found.isascii() and found.isprintable() and found == found.strip()):
        raise ConfigError(
            f"{path}: a token is sent in a header of HTTP, which holds ASCII letters, digits and signs without spaces "
            f"around them: make one with `openssl rand -hex 32 > {path.name}`"
        )
    return found


def credential(path: Path) -> Path:
    """`credential:NAME` as the file that systemd has made of it, any other path as it is. Raises ConfigError."""
    name = credential_name(path)
    if name is None:
        return path
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise ConfigError(f"{path}: no systemd credentials here; use a file, or run as the service")
    return Path(folder) / name


def credential_name(path: Path) -> str | None:
    """NAME of `credential:NAME`; None for any other path."""
    text = str(path)
    return text.removeprefix(CREDENTIAL) if text.startswith(CREDENTIAL) else None


def known_to_the_service_alone(path: Path) -> bool:
    """A systemd credential, looked for by somebody whom systemd gave none."""
    return credential_name(path) is not None and not os.environ.get("CREDENTIALS_DIRECTORY")
