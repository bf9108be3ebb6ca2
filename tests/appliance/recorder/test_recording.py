"""A real appliance records, and what it recorded is answered again as it was."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from appliance.recorder.clip import Clip
from appliance.recorder.journal import read
from appliance.recorder.shelf import clips
from appliance.spoken import write_spoken
from tests.appliance_process import ApplianceProcess, Ear
from tests.conftest import Broker
from tests.waiting import until

pytestmark = pytest.mark.system

SHAPES = """
[[camera]]
name = "dock"
uri = "scene:shapes"
fps = 8
[[pipeline]]
name = "shapes"
source = "dock"
model = "shapes"
every = true
[[pipeline.zones]]
name = "left"
polygon = [[0, 0], [320, 0], [320, 360], [0, 360]]
[pipeline.recorder]
before_s = 1
after_s = 1
longest_s = 3
leave_free_mb = 0
"""
WORDS = """
[[microphone]]
name = "ear"
uri = "wav:{words}"
loop = true
[[pipeline]]
name = "words"
source = "ear"
model = "spoken-digits"
[pipeline.recorder]
before_s = 4
after_s = 2
longest_s = 8
leave_free_mb = 0
"""


def a_clip(folder: Path, pipeline: str, within_s: float = 100.0) -> Clip:
    """The newest, once there is one."""
    there = folder / "recordings" / pipeline
    return until(lambda: clips(there), within_s, what=f"a clip of {pipeline}")[0]


def replay(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "appliance", "replay", *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Clip, Clip]:
    """A state folder with an exact clip of a camera, and one of a microphone."""
    folder = tmp_path_factory.mktemp("recorded")
    words = write_spoken(folder / "words.wav")
    config = SHAPES + "exact = true\n" + WORDS.format(words=words)
    with ApplianceProcess(folder, config):
        seen, heard = a_clip(folder, "shapes"), a_clip(folder, "words")
    return folder, seen, heard


def file_of(recorded: tuple[Path, Clip, Clip], clip: Clip) -> Path:
    return recorded[0] / "recordings" / clip.pipeline / clip.file


def test_a_clip_tells_what_began_it_and_by_which_model(recorded: tuple[Path, Clip, Clip]) -> None:
    _, seen, heard = recorded
    assert (seen.kind, seen.device, seen.source, seen.model.name) == ("video", "box", "dock", "shapes")
    assert set(seen.labels) <= {"red", "green", "blue"}
    assert seen.labels
    assert 0 < seen.seconds <= 3.5
    assert seen.settings is not None
    assert seen.settings["zones"][0]["name"] == "left"
    assert heard.kind == "sound"
    assert heard.events


def test_what_was_recorded_without_loss_is_answered_as_it_was(recorded: tuple[Path, Clip, Clip]) -> None:
    _, seen, heard = recorded
    done = replay(file_of(recorded, seen), file_of(recorded, heard))
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = done.stdout.splitlines()
    assert "all as recorded" in first
    assert "all as recorded" in second


def test_the_first_difference_is_named_with_its_frame(recorded: tuple[Path, Clip, Clip], tmp_path: Path) -> None:
    """The recording is changed, as a model would change what it says."""
    folder, seen, _ = recorded
    copy = tmp_path / "shapes"
    shutil.copytree(folder / "recordings" / "shapes", copy)
    answers = copy / f"{seen.name}.jsonl"
    lines = [json.loads(line) for line in answers.read_bytes().splitlines()]
    place = next(n for n, line in enumerate(lines) if n > 3 and line["result"].get("detections") and "place" in line)
    was = lines[place]["result"]["detections"][0]
    was["label"] = "purple"
    answers.write_bytes(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    done = replay(copy / seen.file)
    assert done.returncode == 1
    assert f"frame {lines[place]['seq']} (picture {lines[place]['place']} of the clip)" in done.stdout
    assert "detections[0].label was purple, is " in done.stdout


def test_a_track_that_is_lost_differs_although_every_box_is_right(
    recorded: tuple[Path, Clip, Clip], tmp_path: Path
) -> None:
    folder, seen, _ = recorded
    copy = tmp_path / "shapes"
    shutil.copytree(folder / "recordings" / "shapes", copy)
    answers = copy / f"{seen.name}.jsonl"
    lines = [json.loads(line) for line in answers.read_bytes().splitlines()]
    next(line for line in lines if "memory" in line)["memory"]["next_track"] += 100
    answers.write_bytes(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    done = replay(copy / seen.file)
    assert done.returncode == 1
    assert ".track was " in done.stdout


def test_another_model_says_other_things(recorded: tuple[Path, Clip, Clip]) -> None:
    done = replay(file_of(recorded, recorded[1]), "--model", "digits")
    assert done.returncode == 1
    assert "recorded with shapes 1" in done.stderr
    assert "detections was " in done.stdout or "events was " in done.stdout or "label was " in done.stdout


@pytest.mark.parametrize(
    ("name", "words"),
    [("nothing.webm", "not a clip"), ("00000099-20261121T000000Z.webm", "no such file")],
)
def test_what_cannot_be_replayed_is_said_in_a_sentence(tmp_path: Path, name: str, words: str) -> None:
    done = replay(tmp_path / name)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.broker
def test_a_clip_of_video_is_answered_nearly_as_it_was_and_health_tells(
    broker: Broker, new_broker: type[Broker], tmp_path: Path
) -> None:
    with (
        Ear(broker.port) as ear,
        ApplianceProcess(tmp_path, f'[mqtt]\nbroker = "{broker.url}"\n' + SHAPES) as appliance,
    ):
        clip = a_clip(tmp_path, "shapes")

        def told() -> Any:
            return [each for each in ear.documents("box/health") if each["recorder"]["shapes"]["clips"] > 0]

        appliance.send(signal.SIGHUP)
        figures = until(told, 40)[-1]["recorder"]["shapes"]
        assert figures["bytes"] > 0
        events = {event["id"] for event in ear.documents("pipeline/shapes/event")}
        assert set(clip.events) <= events
    done = replay(tmp_path / "recordings" / "shapes" / clip.file)
    assert done.returncode == 0, done.stdout
    assert "all as recorded" in done.stdout
    assert not clip.exact


def test_nothing_is_kept_without_the_table(tmp_path: Path) -> None:
    with ApplianceProcess(tmp_path, SHAPES.split("[pipeline.recorder]")[0]) as appliance:
        until(lambda: "ready after" in appliance.log, 30)
        tasks = Path(f"/proc/{appliance.pid}/task").iterdir()
        assert "recorder" not in {(task / "comm").read_text().strip() for task in tasks}
    assert not (tmp_path / "recordings").exists()


def test_what_is_being_recorded_at_the_end_is_a_clip_after_the_next_start(tmp_path: Path) -> None:
    config = SHAPES.replace("longest_s = 3", "longest_s = 600").replace("after_s = 1", "after_s = 600")
    parts = tmp_path / "recordings" / "shapes"
    with ApplianceProcess(tmp_path, config) as appliance:
        until(lambda: any(path.stat().st_size > 100_000 for path in parts.glob("*.part")), 40)
        appliance.send(signal.SIGTERM)
        assert appliance.ends() == 0
    [part] = parts.glob("*.part")
    entries = read(part).entries
    with ApplianceProcess(tmp_path, config.replace("scene:shapes", "file:missing.mp4")):
        clip = a_clip(tmp_path, "shapes")
    assert clip.answers == len(entries)
