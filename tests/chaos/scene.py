"""Starts and kills the processes of a chaos test; each test owns its broker, its files and its children."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tests.chaos.checker import Account, Report
from tests.chaos.generator import Orders, generate
from tests.chaos.receiver import Post, receive
from tests.conftest import Broker
from tests.waiting import until

# Forked from a server that has imported everything: a daemon's life of a quarter second is not spent on imports.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.chaos.generator", "tests.chaos.receiver"])


def start(body: Callable[[Any], None], argument: object) -> BaseProcess:
    """A process of its own, that can be killed with -9 without harm to anybody else."""
    process = _processes.Process(target=body, args=(argument,), daemon=True)
    process.start()
    return process


def kill(process: BaseProcess) -> None:
    """SIGKILL: no handler, no flush, no goodbye."""
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL, f"it had ended by itself: {process.exitcode}"


class Lines:
    """Whole lines that were appended to a file since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        path.touch()

    def peek(self) -> int:
        """How many lines the file has."""
        return self._path.read_bytes().count(b"\n")

    def new(self) -> list[str]:
        with self._path.open("rb") as file:
            file.seek(self._read)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._read += len(whole)
        return whole.decode().splitlines()


class Scene:
    """The files of one run: what was accepted, what was received."""

    def __init__(self, folder: Path) -> None:
        self.accepted = folder / "accepted.txt"
        self.received = folder / "received.txt"
        self._accepted = Lines(self.accepted)
        self._received = Lines(self.received)
        self._account = Account()
        self._next = 0

    def report(self) -> Report:
        """How things stand now."""
        self._read_accepted()
        for line in self._received.new():
            self._account.receive(line)
        return self._account.report()

    def _read_accepted(self) -> None:
        for line in self._accepted.new():
            self._account.accept(line)
            self._next = max(self._next, int(line.split()[3]) + 1)

    def next_number(self) -> int:
        """The number after the highest that was accepted."""
        self._read_accepted()
        return self._next

    def wait_accepted(self, count: int, within_s: float) -> None:
        """Until numbers up to `count` are accepted. Looks seldom: the processes need the processor more."""
        self._wait(lambda: self.next_number() >= count, within_s, f"{count} events accepted")

    def wait_some_received(self, within_s: float) -> None:
        """Until the first event was received."""
        until(lambda: self._received.peek() > 1, within_s, "an event received")

    def wait_received(self, within_s: float) -> None:
        """Until everything accepted so far was received."""
        self._wait(lambda: self.report().lost == 0, within_s, "everything accepted was received")

    def _wait(self, done: Callable[[], bool], within_s: float, what: str) -> None:
        deadline_s = time.monotonic() + within_s
        pause = threading.Event()
        while not done():
            assert time.monotonic() < deadline_s, f"not within {within_s} s: {what}: {self.report()}"
            pause.wait(0.1)

    @contextmanager
    def receiving(self, port: int, **changes: Any) -> Iterator[BaseProcess]:
        """A receiver for the length of the block, subscribed before it begins."""
        before = self.received.stat().st_size
        process = start(receive, Post(port, self.received, **changes))
        try:
            until(lambda: self.received.stat().st_size > before, 10, "the receiver subscribed")
            yield process
        finally:
            process.terminate()
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()

    @contextmanager
    def generating(self, **orders: Any) -> Iterator[BaseProcess]:
        """A daemon that is killed at the end of the block at the latest."""
        process = start(generate, Orders(accepted=self.accepted, **orders))
        try:
            yield process
        finally:
            process.kill()
            process.join()


@contextmanager
def at_work(broker: Broker) -> Iterator[Broker]:
    """A broker for the length of the block, however often it is killed within."""
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()
