"""C8: the outbox on this disk. As a program: PATH; appends until it is killed, and says what it has accepted."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from appliance.outbox.outbox import Entry, Outbox
from appliance.result import Event, ModelId, ObjectState, to_json, utc
from scripts.benchmarks.bench import Bench
from scripts.benchmarks.goals import Figure
from scripts.benchmarks.timing import percentile, take_turns, turn

GOALS = ("C8",)
OVER_RAW, ACKNOWLEDGE_MS, PER_S = 1.3, 0.1, 20_000.0
GROUP = 50
TOPIC = "appliance/bench/pipeline/look/event"


def measure(bench: Bench) -> list[Figure]:
    bench.say("  outbox")
    return [*_commits(bench), _killed(bench)]


def event() -> Event:
    """One like any other, about 0.7 kB of JSON."""
    state = ObjectState("person", 0, 0.87, utc(time.time_ns()), box=(101.5, 220.25, 340.0, 610.75))
    return Event(
        id="01JD0000000000000000000000",
        event="update",
        device="bench",
        pipeline="look",
        source="camera",
        seq=1234,
        at=utc(time.time_ns()),
        clock="synced",
        model=ModelId("detector", "1", "sha256:" + "0" * 64),
        reason="still there",
        before=state,
        after=state,
        track=7,
        seconds=12.5,
    )


def _entry(payload: bytes) -> Entry:
    """Encoded before: what is measured is the outbox."""
    return Entry("look", TOPIC, 1, lambda _spool: payload)


def _commits(bench: Bench) -> list[Figure]:
    """Single and group commits, and a plain append with fdatasync, in turn, in the same folder."""
    folder, extent = bench.room("outbox"), bench.extent
    payload = to_json(event())
    entry, group = _entry(payload), [_entry(payload)] * GROUP
    raw = os.open(folder / "raw", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def append_raw() -> None:
        os.write(raw, payload)
        os.fdatasync(raw)

    with Outbox(folder / "outbox.db") as outbox:
        acknowledged = _acknowledging(outbox)
        steps: dict[str, Callable[[], object]] = {
            "raw append and fdatasync": append_raw,
            "one event a commit": lambda: outbox.append([entry]),
            f"{GROUP} events a commit": lambda: outbox.append(group),
            "acknowledge": acknowledged,
        }
        alternatives = {name: (lambda count, step=step: turn(step, count)) for name, step in steps.items()}
        timed = take_turns(alternatives, rounds=extent.rounds, count=max(2, extent.commits // extent.rounds))
    os.close(raw)
    details = {name.replace(" ", "_") + "_ms": each.wall_ms for name, each in timed.items()}
    single = timed["one event a commit"].wall_ratio(timed["raw append and fdatasync"])
    per_s = GROUP * 1e3 / timed[f"{GROUP} events a commit"].wall_ms
    waits = [ms for each in timed["acknowledge"].turns for ms in each.wall_ms]
    return [
        Figure("C8", "one durable event over append + fdatasync", single, "x", most=OVER_RAW, details=details),
        Figure("C8", f"durable events in groups of {GROUP}", per_s, "/s", least=PER_S),
        Figure(
            "C8", "a commit that need not survive a power cut: p99", percentile(waits, 99), "ms", most=ACKNOWLEDGE_MS
        ),
    ]


def _acknowledging(outbox: Outbox) -> Callable[[], object]:
    """A step that notes one more event as delivered: the outbox's transaction without a wait for the disk."""
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        outbox.acknowledge({outbox.streams()[0].number: done})

    return step


def _killed(bench: Bench) -> Figure:
    """Events that were accepted before a SIGKILL and are not there after it."""
    lost = accepted = 0
    for _ in range(bench.extent.kills):
        path = bench.room("killed") / "outbox.db"
        command = [sys.executable, "-m", "scripts.benchmarks.storage", str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(random.uniform(0.2, 0.6))  # noqa: S311  # a moment nobody chose
            process.kill()
            said = [int(word) for word in process.stdout.read().split()]
        with Outbox(path) as outbox:
            accepted += said[-1] if said else 0
            lost += max(0, (said[-1] if said else 0) - outbox.figures().stored)
    details = {"accepted": float(accepted), "kills": float(bench.extent.kills)}
    return Figure("C8", "events lost by SIGKILL", float(lost), "", most=0.0, details=details)


def _append_for_ever(path: Path) -> None:
    """Body of the program."""
    entry = _entry(to_json(event()))
    with Outbox(path) as outbox:
        while True:
            sys.stdout.write(f"{outbox.append([entry])[-1].seq}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    _append_for_ever(Path(sys.argv[1]))
