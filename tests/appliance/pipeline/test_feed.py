from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType

import numpy as np

from appliance.pipeline.feed import HUNG_AFTER_S, Feed
from capture.samples import AudioWindow, Frame, Sample, Stamp
from capture.source import CaptureError
from tests.waiting import until


class Scripted:
    """A source that does what the test says, once opened."""

    live = True
    description = "scripted"

    def __init__(self, body: Callable[[], Iterator[Sample]]) -> None:
        self.name = "gate"
        self._body = body

    def __enter__(self) -> Scripted:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def __iter__(self) -> Iterator[Sample]:
        return self._body()

    def close(self) -> None:
        pass


class Taker:
    def __init__(self) -> None:
        self.taken: list[Sample] = []

    def offer(self, sample: Sample) -> None:
        self.taken.append(sample)


def frame(seq: int, value: int | None = None) -> Frame:
    pixels = np.full((48, 64, 3), seq % 251 if value is None else value, np.uint8)
    stamp = Stamp.now()
    return Frame("gate", seq, stamp, pixels, ready_ns=stamp.mono_ns)


class Running:
    """A feed on a thread of its own."""

    def __init__(self, feed: Feed) -> None:
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=feed.run, args=(self.stopping,))
        self.thread.start()

    def stop(self) -> None:
        self.stopping.set()
        self.thread.join(5)
        assert not self.thread.is_alive()


def test_a_lost_camera_is_opened_again_and_the_reason_is_told_meanwhile() -> None:
    opened = 0
    again = threading.Event()

    def body() -> Iterator[Sample]:
        nonlocal opened
        opened += 1
        yield frame(opened)
        if opened == 1:
            raise CaptureError("unplugged; plug it in again")
        again.wait(5)

    taker = Taker()
    feed = Feed("gate", lambda: Scripted(body), [taker], stale_after_s=3, sensor=True)
    running = Running(feed)
    until(lambda: feed.figures(time.monotonic_ns()).reason == "unplugged; plug it in again")
    assert feed.status(time.monotonic_ns()) == "offline"
    until(lambda: feed.status(time.monotonic_ns()) == "online")
    again.set()
    running.stop()
    assert feed.figures(time.monotonic_ns()).reopened >= 1
    assert len(taker.taken) >= 2


def test_a_camera_that_says_nothing_goes_stale_by_the_age_of_its_content() -> None:
    silent = threading.Event()

    def body() -> Iterator[Sample]:
        yield frame(0)
        silent.wait(10)

    feed = Feed("gate", lambda: Scripted(body), [], stale_after_s=0.2, sensor=True)
    running = Running(feed)
    until(lambda: feed.status(time.monotonic_ns()) == "online")
    until(lambda: feed.status(time.monotonic_ns()) == "stale", within_s=2)
    silent.set()
    running.stop()


def test_a_frozen_picture_is_stale_and_no_pipeline_gets_it() -> None:
    stop = threading.Event()

    def body() -> Iterator[Sample]:
        seq = 0
        while not stop.wait(0.02):
            yield frame(seq, value=7)
            seq += 1

    taker = Taker()
    feed = Feed("gate", lambda: Scripted(body), [taker], stale_after_s=0.5, sensor=True)
    running = Running(feed)
    until(lambda: feed.status(time.monotonic_ns()) == "stale", within_s=3)
    given = len(taker.taken)
    samples = feed.figures(time.monotonic_ns()).samples
    until(lambda: feed.figures(time.monotonic_ns()).samples > samples + 5)
    assert len(taker.taken) == given
    stop.set()
    running.stop()


def test_a_microphone_is_judged_by_the_sound_that_comes() -> None:
    silent = threading.Event()

    def body() -> Iterator[Sample]:
        stamp = Stamp.now()
        yield AudioWindow("hall", 0, stamp, np.zeros(512, np.float32), 16_000, 0, ready_ns=stamp.mono_ns)
        silent.wait(10)

    feed = Feed("hall", lambda: Scripted(body), [], stale_after_s=0.5, sensor=True)
    running = Running(feed)
    until(lambda: feed.status(time.monotonic_ns()) == "online")
    until(lambda: feed.status(time.monotonic_ns()) == "stale", within_s=2)
    assert feed.figures(time.monotonic_ns()).reason == "no new content for more than 0.5 s"
    silent.set()
    running.stop()


def test_a_still_recording_is_not_frozen() -> None:
    stop = threading.Event()

    def body() -> Iterator[Sample]:
        while not stop.wait(0.02):
            yield frame(0, value=7)

    feed = Feed("gate", lambda: Scripted(body), [], stale_after_s=0.2, sensor=False)
    running = Running(feed)
    until(lambda: feed.figures(time.monotonic_ns()).samples > 30)
    assert feed.status(time.monotonic_ns()) == "online"
    stop.set()
    running.stop()


def test_a_recording_that_ends_is_finished_and_not_opened_again() -> None:
    feed = Feed("clip", lambda: Scripted(lambda: iter([frame(0), frame(1)])), [], stale_after_s=3, sensor=False)
    running = Running(feed)
    running.thread.join(5)
    assert feed.finished
    figures = feed.figures(time.monotonic_ns())
    assert (figures.status, figures.samples, figures.reopened) == ("offline", 2, 0)


def test_a_disabled_source_is_closed_and_an_enabled_one_opened() -> None:
    def body() -> Iterator[Sample]:
        seq = 0
        while True:
            yield frame(seq)
            seq += 1

    feed = Feed("gate", lambda: Scripted(body), [], stale_after_s=3, sensor=True, enabled=False)
    running = Running(feed)
    assert feed.status(time.monotonic_ns()) == "disabled"
    feed.enabled = True
    until(lambda: feed.status(time.monotonic_ns()) == "online")
    feed.enabled = False
    until(lambda: feed.status(time.monotonic_ns()) == "disabled")
    running.stop()


def test_a_capture_thread_that_hangs_in_a_driver_is_left_behind_and_ignored() -> None:
    driver = threading.Event()
    opened = 0

    def body() -> Iterator[Sample]:
        nonlocal opened
        opened += 1
        if opened == 1:
            yield frame(0)
            driver.wait(20)
            yield frame(999)
        seq = 1
        while not stop.wait(0.01):
            yield frame(seq)
            seq += 1

    stop = threading.Event()
    taker = Taker()
    feed = Feed("gate", lambda: Scripted(body), [taker], stale_after_s=3, sensor=True)
    hanging = Running(feed)
    until(lambda: taker.taken)
    later_ns = time.monotonic_ns() + int((HUNG_AFTER_S + 1) * 1e9)
    assert feed.hung(later_ns)
    feed.abandon()
    assert not feed.hung(time.monotonic_ns())
    assert feed.hanging == 1
    fresh = Running(feed)
    until(lambda: len(taker.taken) > 3)
    driver.set()
    hanging.thread.join(5)
    assert all(sample.seq != 999 for sample in taker.taken)
    assert feed.hanging == 0, "a driver that comes back is no reason to start afresh"
    stop.set()
    fresh.stop()
