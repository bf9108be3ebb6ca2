"""From the configuration to the recorder, not yet running."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from appliance.config import Config
from appliance.recorder.deck import Deck
from appliance.recorder.recorder import Recorder
from appliance.recorder.shelf import DAY_S, FOLDER, Shelf
from appliance.recorder.tape import Tape
from appliance.result import Clock


def make_recorder(config: Config, state: Path, clock: Callable[[], Clock]) -> Recorder:
    """One deck for every pipeline with a table `recorder`; nothing on disk is touched yet."""
    cameras = {camera.name for camera in config.camera}
    decks = []
    for settings in config.pipeline:
        kept = settings.recorder
        if kept is None:
            continue
        shelf = Shelf(
            state / FOLDER / settings.name,
            max_bytes=kept.max_mb * 1_000_000,
            keep_s=kept.keep_days * DAY_S,
            leave_free=kept.leave_free_mb * 1_000_000,
        )
        kind: Literal["video", "sound"] = "video" if settings.source in cameras else "sound"
        decks.append(Deck(settings, config.device.name, kind, Tape(kept.max_per_s), shelf, clock))
    return Recorder(decks)
