"""What the commands of a registry that sign share: options, keys, the passphrase, and trouble as a sentence."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from appliance.cli.errors import BadInput, Failed

if TYPE_CHECKING:
    from appliance.registry.keyring import Keyring

ENVIRONMENT = "APPLIANCE_REGISTRY_PASSPHRASE"


def signing(command: Any) -> Any:
    """Options of every command that signs."""
    keys = click.option(
        "--keys",
        "folders",
        multiple=True,
        type=click.Path(path_type=Path, file_okay=False),
        help="A further folder with keys, such as a stick with those of the root; repeatable.",
    )
    passphrase = click.option(
        "--passphrase-file",
        type=click.Path(path_type=Path),
        help=f"File with the passphrase of the keys on its first line; credential:NAME reads a systemd credential "
        f"[env: {ENVIRONMENT} holds the passphrase itself; default: asked for].",
    )
    return keys(passphrase(command))


@contextmanager
def told() -> Iterator[None]:
    """Trouble as one sentence and an exit code."""
    from appliance.config_errors import ConfigError
    from appliance.registry.errors import RegistryError
    from engines.engine import EngineError

    try:
        yield
    except (RegistryError, ConfigError, EngineError) as error:
        raise BadInput(str(error)) from error
    except OSError as error:
        raise Failed(f"{error.filename or 'the registry'}: {error.strerror or error}") from error


def keyring_of(folder: Path, more: tuple[Path, ...], passphrase_file: Path | None, *, confirm: bool = False) -> Keyring:
    """Of the registry in `folder` and of further folders. Raises ConfigError, RegistryError, BadInput."""
    from appliance.registry.keyring import Keyring
    from appliance.registry.repository import KEYS

    return Keyring([folder / KEYS, *more], read_passphrase(passphrase_file, confirm=confirm))


def read_passphrase(file: Path | None, *, confirm: bool = False) -> str:
    """From the file, the environment, or whoever sits at the terminal; raises ConfigError, BadInput."""
    from appliance.secret import secret

    if file is not None:
        return secret(file)
    if os.environ.get(ENVIRONMENT):
        return os.environ[ENVIRONMENT]
    if sys.stdin is None or not sys.stdin.isatty():
        raise BadInput(f"the keys need their passphrase: give --passphrase-file, or set {ENVIRONMENT}")
    answer: str = click.prompt("Passphrase of the keys", hide_input=True, confirmation_prompt=confirm, err=True)
    return answer
