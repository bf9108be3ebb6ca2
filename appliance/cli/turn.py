"""Waits a little for whoever else changes the same thing on this device: the appliance at work, or another command."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from appliance.cli.errors import Failed

if TYPE_CHECKING:
    from appliance.sync.turn import Turn

TURN_WITHIN_S = 5.0
LOOK_EVERY_S = 0.1


@contextmanager
def our_turn(turn: Turn, busy: str) -> Iterator[None]:
    """The turn is ours until the block ends; raises Failed, with `busy`, when somebody else keeps it."""
    deadline_s = time.monotonic() + TURN_WITHIN_S
    while True:
        with turn.taken() as mine:
            if mine:
                yield
                return
        if time.monotonic() > deadline_s:
            raise Failed(busy)
        time.sleep(LOOK_EVERY_S)
