"""What waits for the disk is written in turns, between which the thread does everything else."""

from __future__ import annotations

from pathlib import Path
from random import Random

from appliance.outbox.outbox import Outbox
from appliance.uplink.storekeeper import GROUP, GROUPS_AT_ONCE, Storekeeper
from appliance.uplink.streams import Streams
from tests.uplinks import spool


def streams_of(outbox: Outbox) -> Streams:
    return Streams(outbox, end_to_end=False, require_subscriber=True, linger_s=2.0, random=Random(1))


def test_a_turn_writes_a_few_groups_and_the_rest_comes_with_the_next_at_once(tmp_path: Path) -> None:
    """On a disk where a write takes a second, all that waited there would look like a thread that stands still."""
    keeper = Storekeeper(Outbox(tmp_path / "outbox.sqlite"), "dock", streams_of, on_accepted=None)
    events = GROUP * GROUPS_AT_ONCE + 2 * GROUP
    for number in range(events):
        keeper.take(spool(number))
    keeper.keep(1.0)
    assert (keeper.waiting, keeper.patience_s(1.0)) == (2 * GROUP, 0.0)
    keeper.keep(1.0)
    assert (keeper.waiting, keeper.patience_s(1.0)) == (0, None)
    assert keeper.figures().accepted == events
    keeper.close()
