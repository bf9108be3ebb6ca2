"""The process that is killed: a real uplink, fed with numbered events at a steady rate.

Everything it reports as accepted goes to a file after the commit, one line an event: `stream epoch seq number`. The
file needs no sync: what a killed process has written, the kernel has.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance import result
from appliance.uplink.outgoing import Spool
from appliance.uplink.uplink import Uplink, UplinkSettings
from tests.uplinks import spool

STREAMS = ("people", "cars", "speech")


@dataclass(frozen=True, slots=True)
class Orders:
    """What one life of the generator does."""

    settings: UplinkSettings
    accepted: Path
    first: int
    count: int
    rate_hz: float


def generate(orders: Orders) -> None:
    """Body of the process; after the last event it waits to be killed."""
    log = os.open(orders.accepted, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(items: Sequence[Spool], places: Sequence[result.Spool]) -> None:
        lines = [
            f"{place.stream} {place.epoch} {place.seq} {item.document.seq}\n"
            for item, place in zip(items, places, strict=True)
        ]
        os.write(log, "".join(lines).encode())

    uplink = Uplink(orders.settings, on_accepted=note)
    thread = threading.Thread(target=uplink.run, args=(threading.Event(),), name="uplink")
    thread.start()
    _feed(uplink, orders)
    thread.join()


def _feed(uplink: Uplink, orders: Orders) -> None:
    """At the rate asked for, a few events at a time, as cameras do; never more than the mailbox holds."""
    pause = threading.Event()
    started_s = time.monotonic()
    done = 0
    while done < orders.count:
        due = min(orders.count, int((time.monotonic() - started_s) * orders.rate_hz) + 1)
        room = 3000 - len(uplink.mailbox)
        for number in range(orders.first + done, orders.first + min(due, done + room)):
            uplink.mailbox.put(spool(number, STREAMS[number % len(STREAMS)]))
        done = max(done, min(due, done + room))
        pause.wait(0.005)
