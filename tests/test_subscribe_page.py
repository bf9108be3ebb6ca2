"""The examples of docs/subscribe.md, as they stand there, against a real broker and a real uplink."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.chaos.scene import at_work
from tests.conftest import REPOSITORY, Broker
from tests.uplinks import Listener, Running, settings, spool
from tests.waiting import until

pytestmark = [pytest.mark.broker, pytest.mark.system]

PAGE = (REPOSITORY / "docs" / "subscribe.md").read_text(encoding="utf-8")


def example(language: str, containing: str) -> str:
    blocks = [block for block in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if containing in block]
    assert len(blocks) == 1
    return str(blocks[0])


@contextmanager
def collecting(port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The page's program, killed at the end."""
    program = folder / "collect.py"
    program.write_text(example("python", "manual_ack"), encoding="utf-8")
    command = [sys.executable, str(program), "127.0.0.1", str(port), str(folder / "collected.db")]
    with subprocess.Popen(command) as process:
        try:
            yield process
        finally:
            process.kill()


def collected(folder: Path) -> list[int]:
    """The `seq` of every document that was stored."""
    path = folder / "collected.db"
    if not path.exists():
        return []
    with closing(sqlite3.connect(path, timeout=30)) as store:
        if not store.execute("SELECT 1 FROM sqlite_master WHERE name = 'document'").fetchone():
            return []
        return [seq for (seq,) in store.execute("SELECT seq FROM document ORDER BY stream, epoch, seq")]


def missing(folder: Path) -> list[tuple[str, str, int]]:
    with closing(sqlite3.connect(folder / "collected.db", timeout=30)) as store:
        rows = store.execute(example("sql", "missing")).fetchall()
    return [(device, stream, count) for device, stream, _, count in rows]


def test_the_program_has_every_document_once_whatever_dies_when(new_broker: type[Broker], tmp_path: Path) -> None:
    broker = new_broker(tmp_path, example("conf", "max_queued"))
    with at_work(broker), Running(settings(broker.url, tmp_path / "state")) as uplink:
        with collecting(broker.port, tmp_path):
            uplink.mailbox.put(spool(1))
            until(lambda: collected(tmp_path) == [1], 30)
        for number in range(2, 1500):  # more than a default broker keeps
            uplink.mailbox.put(spool(number))
        until(lambda: uplink.figures().sent == 1499, 30)
        with collecting(broker.port, tmp_path):
            until(lambda: len(collected(tmp_path)) > 500, 30)
        with collecting(broker.port, tmp_path):
            until(lambda: len(collected(tmp_path)) == 1499, 30)
    assert collected(tmp_path) == list(range(1, 1500))
    assert missing(tmp_path) == []


def test_the_query_tells_a_loss_from_one_that_the_device_has_told(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "collected.db")) as store:
        program = example("python", "manual_ack")
        table = re.search(r'"(CREATE TABLE.*?)"', program)
        assert table is not None
        store.execute(table[1])
        for stream, gone in (("sound", ()), ("lost", (3,)), ("told", (3, 4)), ("both", (3, 4, 5))):
            for seq in range(1, 11):
                is_gap = stream in ("told", "both") and seq == 10
                document = {"type": "gap", "first": 3, "last": 4, "count": 2} if is_gap else {"type": "event"}
                if seq not in gone:
                    row = ("dock-1", stream, "9f0c", seq, json.dumps(document))
                    store.execute("INSERT INTO document VALUES (?, ?, ?, ?, ?)", row)
        store.commit()
    assert missing(tmp_path) == [("dock-1", "both", 1), ("dock-1", "lost", 1)]


def test_the_session_made_by_hand_keeps_what_comes_while_nobody_is_there(
    new_broker: type[Broker], tmp_path: Path
) -> None:
    broker = new_broker(tmp_path, example("conf", "max_queued"))
    command = shlex.split(example("sh", "receive-maximum"))
    command[1:1] = ["-h", "127.0.0.1", "-p", str(broker.port)]
    with (
        at_work(broker),
        Listener(broker.port) as listener,
        Running(settings(broker.url, tmp_path / "state")) as uplink,
    ):
        with subprocess.Popen([*command, "-C", "1"], stdout=subprocess.PIPE) as first:

            def taken(number: int) -> bool:
                return first.poll() is not None or number in listener.numbers()

            for number in itertools.count():  # until it has subscribed, one of these is its own
                uplink.mailbox.put(spool(number))
                until(partial(taken, number))
                if first.poll() is not None:
                    break
        for number in range(10_000, 10_050):
            uplink.mailbox.put(spool(number))
        until(lambda: 10_049 in listener.numbers())
        done = subprocess.run([*command, "-C", "50", "-W", "10"], capture_output=True, check=True, text=True)
    numbers = [json.loads(line)["seq"] for line in done.stdout.splitlines()]
    late = [number for number in numbers if number >= 10_000]
    assert len(late) > 40
    assert late == list(range(10_000, 10_000 + len(late)))
