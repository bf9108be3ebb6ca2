"""Does harm to a scene, one deed after the other, each with an end: what it breaks it mends."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import Broker
from tests.disks import fill
from tests.tcp_faults import FaultyProxy


@dataclass(frozen=True, slots=True)
class Grounds:
    """What there is to harm."""

    broker: Broker
    broker_pid: Callable[[], int]
    """It has another after every kill."""
    line: FaultyProxy
    """Between the appliance and the broker."""
    daemon: int
    """Process id of the appliance."""
    disk: Path | None = None
    """A small disk with the outbox; None where there is none."""


@contextmanager
def broker_killed(grounds: Grounds) -> Iterator[None]:
    grounds.broker.kill()
    yield
    grounds.broker.start()


@contextmanager
def broker_paused(grounds: Grounds) -> Iterator[None]:
    with _stopped(grounds.broker_pid()):
        yield


@contextmanager
def daemon_paused(grounds: Grounds) -> Iterator[None]:
    with _stopped(grounds.daemon):
        yield


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def line_reset(grounds: Grounds) -> Iterator[None]:
    grounds.line.reset()
    yield


@contextmanager
def line_cut(grounds: Grounds) -> Iterator[None]:
    """Whoever tries again is refused."""
    grounds.line.refusing = True
    grounds.line.reset()
    yield
    grounds.line.refusing = False


@contextmanager
def line_silent(grounds: Grounds) -> Iterator[None]:
    """Nothing arrives, and nobody is told; what was on its way arrives afterwards."""
    grounds.line.stalled = True
    yield
    grounds.line.stalled = False


@contextmanager
def line_slow(grounds: Grounds) -> Iterator[None]:
    grounds.line.delay_s, grounds.line.bytes_per_s, grounds.line.slice_bytes = 0.25, 50_000.0, 100
    yield
    grounds.line.delay_s, grounds.line.bytes_per_s, grounds.line.slice_bytes = 0.0, 0.0, 0


@contextmanager
def disk_full(grounds: Grounds) -> Iterator[None]:
    """Somebody else takes all that is left, and gives it back."""
    assert grounds.disk is not None
    others = fill(grounds.disk)
    try:
        yield
    finally:
        others.unlink()


Deed = Callable[[Grounds], AbstractContextManager[None]]

DEEDS: tuple[Deed, ...] = (
    broker_killed,
    broker_paused,
    daemon_paused,
    line_reset,
    line_cut,
    line_silent,
    line_slow,
    disk_full,
)


def torment(grounds: Grounds, chance: random.Random, *, deeds: int, every_s: float, most_s: float) -> Mapping[str, int]:
    """So many deeds, one every `every_s` on average, each of at most `most_s`; how often each was done.

    Every kind comes before one comes twice. Ends with everything mended.
    """
    pause = threading.Event()
    done: Counter[str] = Counter()
    waiting: list[Deed] = []
    for _ in range(deeds):
        if not waiting:
            waiting = [deed for deed in DEEDS if deed is not disk_full or grounds.disk is not None]
            chance.shuffle(waiting)
        deed = waiting.pop()
        lasts_s = chance.uniform(0.1, most_s)
        with deed(grounds):
            pause.wait(lasts_s)
        done[deed.__name__] += 1
        pause.wait(max(0.0, every_s - lasts_s))
    return done
