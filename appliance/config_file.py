"""Reads a file of tables as the root that somebody expects; every fault at once, in sentences."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from appliance.config_errors import ConfigError, explain
from appliance.config_values import Table
from appliance.text_file import NotText, read_text

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MOST_BYTES = 4 << 20
"""A configuration is shorter; a log given by mistake is not read to its end."""

Root = TypeVar("Root", bound=Table)


def load_as(root: type[Root], path: Path, example: str) -> Root:
    """The file as another root than the appliance's; `example` is the command that writes one to start from."""
    return validate(root, load_raw(path, example), str(path))


def load_raw(path: Path, example: str = "appliance config example") -> dict[str, Any]:
    """The tables of a file, not yet judged. Raises ConfigError."""
    try:
        text = read_text(path, MOST_BYTES)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; `{example} > {path.name}` writes one to start from") from None
    except (OSError, NotText) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path}: cannot be read: {reason}") from error
    return tables(text, str(path))


def parse_as(root: type[Root], text: str, where: str) -> Root:
    """As `parse`, for another root."""
    return validate(root, tables(text, where), where)


def tables(text: str, where: str) -> dict[str, Any]:
    """The tables of TOML text, not yet judged. Raises ConfigError."""
    try:
        raw: dict[str, Any] = tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError is one; a number of 5000 digits is another
        raise ConfigError(f"{where}: not valid TOML: {error}") from error
    except RecursionError:
        raise ConfigError(f"{where}: not a configuration: its lists are nested too deep") from None
    return raw


def validate(root: type[Root], raw: dict[str, Any], where: str) -> Root:
    """Judge tables; raises ConfigError with every fault at once."""
    try:
        return root.model_validate(raw)
    except ValidationError as error:
        raise ConfigError("\n".join(dict.fromkeys(explain(error, raw, where, root)))) from error
