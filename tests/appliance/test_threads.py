"""Threads that end together: watched, handed on, ended against one deadline."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.threads import Broken, Threads
from tests.waiting import until


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads()
    yield made
    made.end(time.monotonic() + 5)


def waits(stopping: threading.Event) -> None:
    stopping.wait()


def returns(_stopping: threading.Event) -> None:
    return


def test_a_thread_is_found_by_its_name_in_python_and_in_the_system(threads: Threads) -> None:
    threads.start("capture dock", waits)
    thread = threads.by_name["capture dock"]
    assert thread.name == "capture dock"
    assert thread.daemon, "one that is stuck in a driver must not keep the process from ending"
    name = Path(f"/proc/self/task/{thread.native_id}/comm")
    until(lambda: name.read_text(encoding="ascii") == "capture dock\n")


def test_one_that_ends_unasked_is_named_unless_it_may(threads: Threads) -> None:
    threads.start("uplink", waits)
    threads.watch()
    threads.start("capture clip", returns)
    until(lambda: not threads.alive("capture clip"))
    threads.watch(may_end={"capture clip"})
    with pytest.raises(Broken, match=r"^capture clip: the thread ended unexpectedly"):
        threads.watch()


def test_one_that_is_asked_ends_and_is_forgotten(threads: Threads) -> None:
    threads.start("model people", waits)
    thread = threads.by_name["model people"]
    threads.end(time.monotonic() + 5)
    assert not thread.is_alive()
    assert "model people" not in threads
    threads.watch()


def test_whoever_does_not_end_by_the_deadline_is_named_and_holds_up_nobody(
    threads: Threads, caplog: pytest.LogCaptureFixture
) -> None:
    let_go = threading.Event()
    threads.start("capture stuck", lambda _: waits(let_go))
    threads.start("uplink", waits)
    stuck, uplink = threads.by_name["capture stuck"], threads.by_name["uplink"]
    threads.ask_to_end()
    uplink.join(5)
    with caplog.at_level(logging.ERROR):
        threads.end(time.monotonic() + 0.05)
    assert [record.getMessage() for record in caplog.records] == [
        "capture stuck: did not stop in time and is left behind"
    ]
    assert not uplink.is_alive()
    let_go.set()
    stuck.join(5)


def test_a_successor_takes_the_place_of_the_one_of_its_name(threads: Threads) -> None:
    successors = Threads()
    threads.start("model people", returns)
    successors.start("model people", waits)
    heir = successors.by_name["model people"]
    until(lambda: not threads.alive("model people"))
    successors.hand("model people", threads)
    assert "model people" not in successors
    assert threads.by_name == {"model people": heir}
    threads.watch()


def test_one_that_hangs_is_replaced_under_its_name_and_not_waited_for(threads: Threads) -> None:
    let_go = threading.Event()
    threads.start("capture dock", lambda _: waits(let_go))
    hung = threads.by_name["capture dock"]
    threads.start("capture dock", waits)
    assert threads.by_name["capture dock"] is not hung
    threads.end(time.monotonic() + 5)
    assert hung.is_alive()
    let_go.set()
    hung.join(5)
