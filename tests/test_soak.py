"""The soak: what rises is told from what only moves, and the whole of it runs for an hour in the long mode."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.publish
import pytest

from appliance.config import load
from appliance.demo import SCENE, Choice, page_address, start_appliance, write_config
from appliance.spoken import write_spoken
from scripts.soaking.__main__ import end, subscribed, succeeded, watched
from scripts.soaking.held import held
from scripts.soaking.signs import NO_PICTURE_S, SILENT_S, START_S, Signs, result_topics
from scripts.soaking.trend import BLOCKS, trend
from tests.conftest import REPOSITORY, Broker
from tests.waiting import until

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


DIGITS, WORDS = "appliance/demo/pipeline/digits/result", "appliance/demo/pipeline/words/result"
NAMES = {DIGITS: "digits", WORDS: "words"}
OK, FAILED = b'{"status": "ok"}', b'{"status": "failed"}'


def at_work(*but: str, until_s: float) -> Signs:
    """What there is when every part gives a sign each second until `until_s`, `but` some only until 10."""
    signs = Signs(NAMES, 0.0)
    for now_s in np.arange(0.0, until_s, 1.0):
        signs.document("appliance/demo/health", OK, now_s)
        for topic, name in NAMES.items():
            signs.document(topic, FAILED if name in but and now_s > 10 else OK, now_s)
        for kind in ("picture", "sound"):
            signs.record({"type": "beat" if kind in but and now_s > 10 else kind}, now_s)
    return signs


PARTS = {
    "digits": (SILENT_S, "results of digits: silent for 31 s, after 11 of them"),
    "words": (SILENT_S, "results of words: silent for 31 s, after 11 of them"),
    "picture": (NO_PICTURE_S, "pictures of the page: silent for 61 s, after 11 of them"),
    "sound": (SILENT_S, "sound of the page: silent for 31 s, after 11 of them"),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_falls_silent_is_named_whatever_the_others_say(part: str) -> None:
    silent_s, words = PARTS[part]
    signs = at_work(part, until_s=10 + silent_s)
    assert signs.fault(10 + silent_s) is None
    assert signs.fault(10 + silent_s + 1) == words


def test_while_every_part_is_at_work_nothing_is_wrong() -> None:
    signs = at_work(until_s=300.0)
    assert signs.fault(300.0) is None
    assert (signs.results, signs.shown, signs.documents) == ({"digits": 300, "words": 300}, 600, 900)


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        (DIGITS, FAILED),
        (DIGITS, b'{"status": "degraded"}'),
        (DIGITS, b'{"type": "gap"}'),
        ("appliance/demo/health", OK),
        ("appliance/demo/pipeline/digits/event", OK),
        ("appliance/other/pipeline/digits/result", OK),
        ("appliance/demo/pipeline/digits/snapshot", b"\xff\xd8"),
    ],
)
def test_only_an_answer_of_the_pipeline_is_a_sign_of_it(topic: str, payload: bytes) -> None:
    signs = Signs(NAMES, 0.0)
    signs.document(topic, payload, 1.0)
    assert (signs.results, signs.documents) == ({"digits": 0, "words": 0}, 1)


@pytest.mark.parametrize("kind", ["beat", "hello", "health", "state", "event", "result"])
def test_of_the_page_only_pictures_and_sound_are_signs(kind: str) -> None:
    signs = Signs(NAMES, 0.0)
    signs.record({"type": kind}, 1.0)
    assert signs.shown == 0


def test_a_part_that_never_begins_has_as_long_as_models_take_to_open() -> None:
    signs = Signs(NAMES, 0.0)
    assert signs.fault(START_S) is None
    assert signs.fault(START_S + 1) == "results of digits: silent for 181 s, after 0 of them"


def test_what_never_came_is_named_however_short_the_time() -> None:
    signs = Signs(NAMES, 0.0)
    signs.document(DIGITS, OK, 1.0)
    signs.record({"type": "sound"}, 1.0)
    assert signs.never_came == ["results of words", "pictures of the page"]


def test_the_demo_says_where_its_pipelines_publish(tmp_path: Path) -> None:
    config = write_config(tmp_path, "mqtt://127.0.0.1:1", Choice(SCENE, ""), Choice("wav:words.wav", ""))
    assert result_topics(load(config)) == NAMES


def test_sound_is_answered_often_enough_for_its_silence_to_tell() -> None:
    [bundle] = (REPOSITORY / "appliance" / "bundles" / "spoken-digits").glob("*/bundle.json")
    sound = json.loads(bundle.read_text(encoding="utf-8"))["input"]
    assert sound["hop"] / sound["rate_hz"] <= SILENT_S / 100


@pytest.mark.broker
def test_what_the_broker_passes_on_is_counted(broker: Broker) -> None:
    signs = Signs(NAMES, time.monotonic())
    with subscribed(broker.url, signs):

        def heard() -> bool:
            messages = [{"topic": WORDS, "payload": OK}, {"topic": DIGITS, "payload": FAILED}]
            paho.mqtt.publish.multiple(messages, port=broker.port)  # type: ignore[arg-type] # dicts are what it takes
            return signs.results["words"] > 0 and signs.documents > signs.results["words"]

        until(heard)
    assert signs.results["digits"] == 0


@pytest.mark.system
@pytest.mark.broker
def test_every_part_of_the_demo_gives_signs_and_it_ends_in_order(broker: Broker, tmp_path: Path) -> None:
    page, sounds = page_address(), write_spoken(tmp_path / "words.wav", count=3)
    config = write_config(tmp_path, broker.url, Choice(SCENE, ""), Choice(f"wav:{sounds}", ""), page)
    signs = Signs(result_topics(load(config)), time.monotonic())
    process = start_appliance(config)
    try:
        with subscribed(broker.url, signs), watched(page, signs):
            until(lambda: not signs.never_came, within_s=60)
            ended = end(process)
    finally:
        process.kill()
    assert ended == 0


ENDS: dict[str, tuple[dict[str, Any], bool]] = {
    "flat, ended in order": ({"flat": True, "exit_code": 0}, True),
    "flat, but it had to be killed": ({"flat": True, "exit_code": -9}, False),
    "flat, but it ended with a fault": ({"flat": True, "exit_code": 1}, False),
    "something grew": ({"flat": False, "exit_code": 0}, False),
    "something fell silent": ({"flat": False, "fault": "results of words: silent for 31 s"}, False),
}


@pytest.mark.parametrize("case", ENDS)
def test_it_succeeds_only_flat_and_ended_in_order(case: str) -> None:
    found, right = ENDS[case]
    assert succeeded(found) is right


@pytest.mark.long
@pytest.mark.timeout(4200)
def test_an_hour_leaves_memory_handles_and_threads_as_they_were() -> None:
    words = [sys.executable, "-m", "scripts.soaking", "--seconds", "3600"]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert found["flat"], found
    assert (done.returncode, found["exit_code"]) == (0, 0), done.stderr
