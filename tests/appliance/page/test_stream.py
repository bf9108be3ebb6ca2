"""What a browser is sent: pictures with what is said of them, and nothing that costs when nobody watches."""

from __future__ import annotations

import threading
import time

import cv2
import numpy as np
import pytest

from appliance.page.encoder import ALONE_AFTER_S, PICTURES_PER_S
from appliance.page.pictures import WIDEST_PX
from appliance.page.serving import LivePage
from appliance.page.spectrogram import BANDS
from appliance.result import Event, ModelId, ObjectState
from appliance.uplink.outgoing import Publish, Spool
from capture.samples import AudioWindow, Frame, Pixels, Stamp
from tests.appliance.page.conftest import TOPICS, Visitor, Watcher, frame, result
from tests.waiting import until

pytestmark = pytest.mark.system


def decoded(jpeg: bytes) -> Pixels:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture, np.uint8)


def event(seq: int, kind: str = "new") -> Event:
    state = ObjectState("red", 0, 0.9, "2026-11-21T05:33:19Z", (100.0, 50.0, 160.0, 120.0))
    return Event(
        id="01",
        event=kind,  # type: ignore[arg-type]
        device="box",
        pipeline="shapes",
        source="dock",
        seq=seq,
        at="2026-11-21T05:33:19Z",
        clock="synced",
        model=ModelId("shapes", "1", ""),
        reason="seen",
        after=state,
    )


def test_a_picture_comes_with_the_results_about_exactly_this_picture(page: LivePage, watcher: Watcher) -> None:
    stop = threading.Event()

    def answers() -> None:
        for seq in range(1000):
            page.hub.shown(result(seq), frame(seq))
            if stop.wait(0.002):
                return

    thread = threading.Thread(target=answers)
    thread.start()
    until(lambda: len(watcher.records("picture")) >= 8, 10)
    stop.set()
    thread.join()
    pictures = watcher.records("picture")
    for head, jpeg in pictures:
        assert [each["seq"] for each in head["results"]] == [head["seq"]]
        shade = decoded(jpeg).mean()
        assert abs(shade - (head["seq"] * 7) % 256) < 3
    seqs = [head["seq"] for head, _ in pictures]
    assert seqs == sorted(set(seqs))


def test_no_more_pictures_are_made_than_an_eye_needs(page: LivePage, watcher: Watcher) -> None:
    begun = time.monotonic()
    seq = 0
    while time.monotonic() - begun < 1.0:
        page.hub.shown(result(seq), frame(seq))
        seq += 1
        time.sleep(0.002)  # a camera's own pace, not a wait
    made = len(watcher.records("picture"))
    assert made <= PICTURES_PER_S * (time.monotonic() - begun) + 2


def test_where_pictures_take_long_fewer_are_made(page: LivePage, watcher: Watcher) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2160, 3840, 3), np.uint8)
    begun, seq = time.monotonic(), 0
    while time.monotonic() - begun < 2.0:
        stamp = Stamp.now()
        page.hub.shown(result(seq), Frame("dock", seq, stamp, noise, stamp.mono_ns))
        seq += 1
        time.sleep(0.01)  # a camera's own pace, not a wait
    assert 1 <= len(watcher.records("picture")) <= 2 * PICTURES_PER_S * 2 / 3


def test_two_pipelines_of_one_camera_speak_of_the_same_picture(page: LivePage, watcher: Watcher) -> None:
    shown = frame(5)
    with page.hub.ready:  # both before the encoder looks
        page.hub.shown(result(5), shown)
    head, _ = watcher.awaits("picture", lambda head: head["seq"] == 5)
    assert head["results"][0]["detections"][0]["box"] == [5.0, 10.0, 25.0, 40.0]


def test_a_wide_picture_is_made_smaller_and_boxes_stay_those_of_the_whole(page: LivePage, watcher: Watcher) -> None:
    page.hub.shown(result(1), frame(1, width=1920, height=1080))
    head, jpeg = watcher.awaits("picture")
    assert (head["width"], head["height"]) == (1920, 1080)
    assert decoded(jpeg).shape == (720, WIDEST_PX, 3)


def test_a_camera_that_nobody_answers_is_shown_as_it_is(page: LivePage, watcher: Watcher) -> None:
    page.hub.offer(frame(1))
    head, _ = watcher.awaits("picture")
    assert head["results"] == []


def test_an_answered_camera_is_shown_with_its_answers_only_until_they_stop(page: LivePage, watcher: Watcher) -> None:
    page.hub.shown(result(1), frame(1))
    watcher.awaits("picture", lambda head: head["seq"] == 1)
    page.hub.offer(frame(2))
    until(lambda: "dock" not in page.hub.answered, ALONE_AFTER_S + 5)

    def came() -> bool:
        page.hub.offer(frame(3))
        return any(head["seq"] == 3 for head, _ in watcher.records("picture"))

    until(came, 5)
    assert not any(head["seq"] == 2 for head, _ in watcher.records("picture"))


def test_a_result_whose_picture_is_gone_comes_alone(page: LivePage, watcher: Watcher) -> None:
    page.hub.shown(result(9), None)
    head, body = watcher.awaits("result")
    assert head["seq"] == 9
    assert body == b""


def test_an_event_has_a_small_picture_of_what_it_is_about(page: LivePage, watcher: Watcher) -> None:
    page.hub.shown(result(4), frame(4))
    page.hub.posted(Spool(TOPICS.event("shapes"), event(4), "shapes"))
    head, jpeg = watcher.awaits("event")
    assert head["after"]["label"] == "red"
    assert max(decoded(jpeg).shape[:2]) == 96


def test_sound_comes_as_columns_of_a_spectrogram_with_its_level(page: LivePage, watcher: Watcher) -> None:
    samples = np.sin(np.arange(16000, dtype=np.float32))
    page.hub.offer(AudioWindow("ear", 0, Stamp.now(), samples, 16000, 0, time.monotonic_ns()))
    head, columns = watcher.awaits("sound")
    assert head["columns"] * BANDS == len(columns) > 0
    assert head["peak_db"] > -0.1


def test_one_who_comes_later_is_told_what_is_and_what_was(page: LivePage, visitor: Visitor) -> None:
    page.hub.posted(Publish(TOPICS.state("pipeline", "shapes"), {"enabled": True}, retain=True))
    page.hub.posted(Publish(TOPICS.source_available("dock"), b"online", retain=True))
    page.hub.posted(Publish(TOPICS.count("shapes", "red"), {"count": 2}, retain=True))
    page.hub.posted(Publish(TOPICS.response("status"), {"data": "of somebody else"}))
    page.hub.posted(Spool(TOPICS.event("shapes"), event(1), "shapes"))
    watcher = Watcher(visitor)
    try:
        watcher.awaits("event", lambda head: head["id"] == "01")
        assert watcher.awaits("hello")[0]["device"] == "box"
        told = {
            "pipeline/shapes/state": {"enabled": True},
            "source/dock/available": "online",
            "pipeline/shapes/count/red": {"count": 2},
        }
        until(lambda: {head["path"]: head["value"] for head, _ in watcher.records("state")} == told, what="all states")
    finally:
        watcher.close()


def test_while_nobody_watches_nothing_is_kept(page: LivePage) -> None:
    page.hub.offer(frame(1))
    page.hub.shown(result(1), frame(1))
    page.hub.offer(AudioWindow("ear", 0, Stamp.now(), np.zeros(100, np.float32), 16000, 0, 0))
    assert not len(page.hub.pictures["dock"])
    assert not len(page.hub.answers["shapes"])
    assert not len(page.hub.sounds)


def test_when_the_last_one_leaves_no_picture_is_held(page: LivePage, visitor: Visitor) -> None:
    watcher = Watcher(visitor)
    watcher.awaits("hello")
    page.hub.shown(result(1), frame(1))
    watcher.awaits("picture")
    watcher.close()
    until(lambda: page.hub.watched == 0, 10)
    until(lambda: not page._encoder._sources, 5)


def test_one_who_does_not_read_holds_up_nobody(page: LivePage, visitor: Visitor, watcher: Watcher) -> None:
    deaf = visitor.connection()
    deaf.request("GET", "/api/live")
    until(lambda: page.hub.watched == 2, 5)
    noise = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    for seq in range(30):
        shown = frame(seq)
        big = type(shown)("dock", seq, shown.stamp, noise.copy(), shown.ready_ns)
        page.hub.shown(result(seq), big)
        watcher.awaits("picture", lambda head, seq=seq: head["seq"] == seq)  # type: ignore[misc]
    deaf.close()
