"""The soak: what rises is told from what only moves, and the whole of it runs for an hour in the long mode."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from scripts.soaking.held import held
from scripts.soaking.trend import BLOCKS, trend
from tests.conftest import REPOSITORY

HOUR_S = np.arange(0.0, 3600.0, 2.0)


def noisy(per_h: float, seed: int, level: float = 150.0) -> list[float]:
    """Memory of a program that breathes: noise of which neighbours share most, on a line."""
    steps = np.random.default_rng(seed).normal(0, 1, len(HOUR_S))
    breath = np.convolve(steps, np.ones(15) / 15, mode="same")
    return list(level + per_h * HOUR_S / 3600 + breath)


@pytest.mark.parametrize("seed", range(20))
def test_what_only_breathes_has_not_grown_for_sure_and_at_most_by_little(seed: int) -> None:
    found = trend(list(HOUR_S), noisy(0.0, seed))
    assert found.least_grown < 0.3
    assert found.most_grown < 1.0
    assert found.level == pytest.approx(150, abs=0.5)


@pytest.mark.parametrize("seed", range(20))
def test_a_leak_of_six_megabytes_an_hour_is_seen_in_an_hour(seed: int) -> None:
    found = trend(list(HOUR_S), noisy(6.0, seed))
    assert found.least_grown > 5.0
    assert abs(found.per_h - 6.0) < 1.0


def test_a_straight_line_has_its_slope_and_no_noise() -> None:
    found = trend(list(HOUR_S), list(HOUR_S / 3600 * 7))
    assert found.per_h == pytest.approx(7.0)
    assert found.noise_per_h == pytest.approx(0.0, abs=1e-9)


def test_a_handle_that_leaks_once_in_ten_minutes_is_seen() -> None:
    assert trend(list(HOUR_S), list(40 + np.floor(HOUR_S / 600))).least_grown > 4


def test_too_few_samples_are_said_to_be_too_few() -> None:
    with pytest.raises(ValueError, match="say nothing"):
        trend(list(range(2 * BLOCKS - 1)), [1.0] * (2 * BLOCKS - 1))


def test_what_is_held_is_that_of_a_process_and_its_children() -> None:
    before = held(os.getpid())
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        now = held(os.getpid())
        assert now.processes == before.processes + 1
        assert now.threads >= before.threads + 2
        assert now.handles > before.handles
        assert now.memory_mb > before.memory_mb
    finally:
        stop.set()
        thread.join()
        child.communicate(b"\n", 10)
    with pytest.raises(ProcessLookupError):
        held(child.pid)


@pytest.mark.long
@pytest.mark.timeout(4200)
def test_an_hour_leaves_memory_handles_and_threads_as_they_were() -> None:
    words = [sys.executable, "-m", "scripts.soaking", "--seconds", "3600"]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert found["flat"], found
    assert (done.returncode, found["exit_code"]) == (0, 0), done.stderr
