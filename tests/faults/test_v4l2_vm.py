"""A real V4L2 camera and a real ALSA card, unplugged and plugged in, in a virtual machine (one boot for all tests)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.vm.machine import run_in_machine

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(900)]

Facts: TypeAlias = dict[str, dict[str, Any]]

NOTICED_WITHIN_S = 3.0
BACK_WITHIN_S = 5.0

SCRIPT = """
set -e
modprobe vivid n_devs=1 node_types=0x1
modprobe snd-aloop
udevadm settle
export PYTHONPATH=/mnt/repository:/mnt/site PYTHONDONTWRITEBYTECODE=1
cd /tmp
python3 -m tests.vm.camera_and_card camera
python3 -m tests.vm.camera_and_card microphone
"""


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    """What tests/vm/camera_and_card.py observed, by name."""
    share: Path = tmp_path_factory.mktemp("share")
    lines = run_in_machine(SCRIPT, share, within_s=400).splitlines()
    return {name: json.loads(told) for name, tab, told in (line.partition("\t") for line in lines) if tab}


def test_the_camera_is_listed(facts: Facts) -> None:
    assert facts["cameras"]["found"] == ["camera:/dev/video0 (vivid-000-vid-cap)"]


def test_the_camera_tells_what_it_offers_and_the_doctor_says_so(facts: Facts) -> None:
    offered = facts["formats"]["offered"]
    assert [640, 360] in offered["YUYV"]
    assert len(offered) > 10
    (told,) = facts["doctor"]["found"]
    assert told.startswith("camera:/dev/video0 (vivid-000-vid-cap): ")
    assert "YUYV 320x180, 640x360" in told


def test_what_is_asked_for_is_negotiated_and_what_is_not_given_is_told(facts: Facts) -> None:
    assert facts["negotiated plain"]["description"] == "640x360 YUYV 30/s"
    assert facts["negotiated impossible"]["description"].endswith("(asked 10000x9000 MJPG 500/s)")
    assert "x" in facts["negotiated anything"]["description"]


def test_every_picture_is_new_numbered_and_stamped(facts: Facts) -> None:
    frames = facts["frames"]
    assert frames["seqs"] == list(range(30))
    assert frames["shape"] == [360, 640, 3]
    assert frames["distinct"] == 30
    assert frames["gap_ms"]["median"] == pytest.approx(1000 / 15, rel=0.1)
    assert frames["gap_ms"]["least"] > 0


def test_a_picture_that_waited_in_the_drivers_buffers_is_stamped_when_it_was_taken(facts: Facts) -> None:
    """It was taken soon after the camera was left alone, for a second and whatever else took the time."""
    waited = facts["waited"]
    assert waited["left_alone_s"] - 0.5 < waited["age_s"] < waited["left_alone_s"] + 0.2


def test_an_unplugged_camera_is_noticed_and_told(facts: Facts) -> None:
    assert facts["unplugged"]["seconds"] < NOTICED_WITHIN_S
    assert "/dev/video0: the camera is gone: was it unplugged?" in facts["unplugged"]["message"]
    assert "/dev/video0: there is no such camera" in facts["absent"]["message"]


def test_a_camera_plugged_in_again_is_opened_and_goes_on_counting(facts: Facts) -> None:
    assert facts["back"]["seconds"] < BACK_WITHIN_S
    assert facts["back"]["seq"] >= 30
    assert facts["back"]["shape"] == [360, 640, 3]


def test_the_sound_of_a_kernel_card_is_heard_without_a_sound_server(facts: Facts) -> None:
    heard = facts["heard"]
    assert heard["loudest_hz"] == pytest.approx(440, abs=2)
    assert heard["peak"] == pytest.approx(8000 / 32768, abs=0.01)
    assert heard["rate_hz"] == 16_000
    assert heard["seqs"] == list(range(60))


def test_an_unplugged_card_is_noticed_although_its_stream_claims_to_be_active(facts: Facts) -> None:
    assert facts["card gone"]["seconds"] < NOTICED_WITHIN_S
    assert "is it unplugged?" in facts["card gone"]["message"]
    assert facts["card absent"]["unbound"], "the driver could not let go: somebody still holds the card"
    assert "there is no input device" in facts["card absent"]["message"]
