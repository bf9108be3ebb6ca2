"""From `[reconfigure]` to what fetches and tries configurations."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.reconfigure.effective import Effective, store_of
from appliance.reconfigure.fetching import Source
from appliance.reconfigure.trial import Terms
from appliance.sync.budget import Budget
from appliance.sync.carrier import Carrier
from appliance.sync.fetch import Fetcher
from appliance.sync.wiring import make_carrier, read_root

if TYPE_CHECKING:
    from appliance.config import Config
    from appliance.health import Health
    from appliance.reconfigure.live import LiveConfiguration

TRIES = 3
"""Failed reads in a row until the thread looks after something else, and tries again later."""


def make_source(config: Config, path: Path, stopping: threading.Event) -> Source:
    """`path`: the file on the device. Raises ConfigError."""
    models = config.models
    assert models is not None, "the configuration demands it"

    def fetcher(carrier: Carrier, folder: Path) -> Fetcher:
        folder.mkdir(parents=True, exist_ok=True)
        return Fetcher(
            carrier, folder, budget=Budget(None, stopping.wait), wait=stopping.wait, most_bytes=0, tries=TRIES
        )

    return Source(
        device=config.device.name,
        path=path,
        anchor=read_root(models.root),
        carrier=lambda: make_carrier(config, models, stopping, "configuration"),
        fetcher=fetcher,
    )


def make_live(
    at_start: Effective, path: Path, health: Callable[[], Health | None], apply: Callable[[], None]
) -> LiveConfiguration:
    """The thread `configuration`, not yet running. Raises ConfigError."""
    from appliance.reconfigure.live import LiveConfiguration

    config = at_start.config
    store, settings, models = store_of(config), config.reconfigure, config.models
    assert store is not None, "the configuration has the tables"
    assert settings is not None
    assert models is not None
    read_root(models.root)
    terms = Terms(settings.patience_s, settings.hold_s)
    return LiveConfiguration(
        store, lambda stopping: make_source(config, path, stopping), terms, at_start, health, apply, models.look_s
    )
