"""The configuration that a device uses: its file, and what came from afar over it."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from appliance.assembly import read, state_folder
from appliance.config import Config
from appliance.config_errors import ConfigError
from appliance.config_file import load_raw
from appliance.reconfigure.layers import layered
from appliance.reconfigure.standing import FILE_ALONE, Standing, Version
from appliance.reconfigure.store import HISTORY, RETURNED, Store
from appliance.sync.ledger import Ledger, LedgerError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Effective:
    """What is to be used now."""

    config: Config
    version: Version
    complaint: str = ""
    """Why it is another one than it should be, where it is."""


def effective(path: Path) -> Effective:
    """Raises ConfigError for the file on the device alone: what came from afar never keeps it from starting."""
    local = read(path)
    store = store_of(local)
    if store is None:
        return Effective(local, FILE_ALONE)
    standing = store.standing()
    complaints: list[str] = []
    for version in dict.fromkeys((standing.active, standing.good)):
        if version == FILE_ALONE:
            break
        try:
            config = layered(load_raw(path), store.text(version), str(version))
            return Effective(config, version, "\n".join(complaints))
        except ConfigError as error:
            complaints.append(str(error))
    return Effective(local, FILE_ALONE, "\n".join(complaints))


def begin(path: Path) -> Effective:
    """At the start of the appliance: it is counted where a trial goes on, and ends a trial that it should.

    Raises ConfigError as `effective` does.
    """
    store = store_of(read(path))
    if store is not None:
        standing = store.standing()
        started = standing.start()
        if started != standing:
            _write(store, standing, started)
    return effective(path)


def _write(store: Store, before: Standing, started: Standing) -> None:
    """A disk that refuses does not keep the appliance from starting."""
    try:
        store.put(started)
        if started.trial is None:
            with Ledger(store.ledger) as ledger:
                ledger.tell(HISTORY, str(before.trial), RETURNED, started.reason)
    except (OSError, LedgerError) as error:
        logger.error("%s: this start is not counted: %s", store.folder, error)


def store_of(config: Config) -> Store | None:
    """None where no configuration may come from afar."""
    return None if config.reconfigure is None else Store(state_folder(config, dict(os.environ)))
