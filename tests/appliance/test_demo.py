"""`appliance demo`: what it chooses, its broker, and that nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.config import load
from appliance.demo import Choice, choose_camera, choose_microphone, write_config
from appliance.mqtt.broker import BrokerMissingError, LocalBroker
from appliance.spoken import chosen
from capture.camera import CameraDevice
from capture.displays import Displays
from capture.options import VideoOptions
from tests.children import alive, children
from tests.conftest import Broker, StandIn
from tests.waiting import until

pytestmark = pytest.mark.system


def test_a_camera_that_cannot_be_opened_is_named_and_the_scene_is_shown_instead(tmp_path: Path) -> None:
    absent = CameraDevice(str(tmp_path / "video0"), "A camera", "")
    choice = choose_camera([absent])
    assert choice.uri == "scene:digits"
    assert "a synthetic scene" in choice.words
    assert absent.path in choice.words


def test_without_a_camera_the_scene_is_shown() -> None:
    assert choose_camera([]) == Choice("scene:digits", "a synthetic scene (there is no camera here)")


def test_a_microphone_that_is_heard_is_used_and_closed_again(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in()
    choice = choose_microphone(tmp_path)
    assert choice.uri == "mic:"
    assert "USB Audio" in choice.words
    assert children() == []


USELESS: dict[str, tuple[dict[str, Any], str]] = {
    "held by another program": ({"rates_hz": []}, "cannot be opened"),
    "not the default one": ({"default": -1}, "there is no default input device"),
    "without any sound": ({"silent_after": 0}, "no sound came"),
    "unplugged behind a sound server": ({"constant": 0.0}, "its sound has not changed at all"),
}


@pytest.mark.parametrize("name", USELESS)
def test_a_microphone_that_is_of_no_use_is_told_and_spoken_words_are_heard_instead(
    name: str, stand_in: StandIn, tmp_path: Path
) -> None:
    behaviour, reason = USELESS[name]
    stand_in(**behaviour)
    began_s = time.monotonic()
    choice = choose_microphone(tmp_path)
    assert time.monotonic() - began_s < 10
    assert choice.uri == f"wav:{tmp_path / 'words.wav'}"
    assert choice.words.startswith("synthetic voices (")
    assert reason in choice.words
    assert children() == []


def test_the_configuration_is_a_valid_one_whatever_the_folder_is_called(tmp_path: Path) -> None:
    folder = tmp_path / 'a "folder" of Zoë\\s'
    folder.mkdir()
    words = Choice(f"wav:{folder / 'words.wav'}", "words")
    config = load(write_config(folder, "mqtt://127.0.0.1:1", Choice("scene:digits", "scene"), words))
    assert str(config.device.state_dir) == str(folder)
    assert config.microphone[0].uri == words.uri


@pytest.mark.broker
def test_a_broker_that_may_not_read_our_file_is_started_without_one(new_broker: type[Broker], tmp_path: Path) -> None:
    confined = tmp_path / "confined"
    confined.write_text(
        '#!/bin/sh\n[ "$1" != -c ] || { echo "Error: Unable to open config file $2."; exit 3; }\nexec mosquitto "$@"\n'
    )
    confined.chmod(0o755)
    with LocalBroker(confined) as broker:
        assert broker.url.startswith("mqtt://127.0.0.1:")


def test_a_broker_that_does_not_start_says_why_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'error while loading shared libraries: libdlt.so.2'\nexit 127\n")
    broken.chmod(0o755)
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with (
        pytest.raises(BrokerMissingError, match=r"broken does not start: error while loading .* libdlt"),
        LocalBroker(broken),
    ):
        pass
    assert list(folder.iterdir()) == []


@pytest.fixture
def start(new_broker: type[Broker], tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    """Starts demos, which end with the test."""
    demos: list[Demo] = []

    def start(*options: str) -> Demo:
        demos.append(Demo(tmp_path / "demo", *options))
        return demos[-1]

    yield start
    for demo in demos:
        demo.process.kill()
        demo.process.wait()
        for pid in filter(alive, demo.children):
            os.kill(pid, signal.SIGKILL)


class Demo:
    """`appliance demo` as the leader of a process group, as a shell starts it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.children: set[int] = set()
        self._folder = folder / "temporary"
        self._folder.mkdir(parents=True)
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "appliance", "demo", *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "TMPDIR": str(self._folder), "COLUMNS": "200"},
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def says(self, words: str) -> None:
        until(lambda: words in self.said, within_s=20, what=f"{words!r} in {self.said}")
        self.children |= set(children(self.process.pid))

    def ctrl_c(self) -> None:
        """What a terminal does: the signal goes to the whole group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def ends(self) -> int:
        return self.process.wait(20)

    def left(self) -> list[object]:
        """Processes that still run, and files."""
        running = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in filter(alive, self.children)]
        return [*running, *self._folder.glob("appliance-*")]


@pytest.mark.broker
def test_the_demo_shows_what_is_seen_and_heard_and_ends_with_ctrl_c(start: Callable[..., Demo]) -> None:
    demo = start()
    numbers = {reading.number for seq in range(0, 300, 30) for reading in Displays("", VideoOptions()).truth(seq)}
    demo.says("digits read")
    demo.says("words heard")
    read = {line.split()[1] for line in demo.said.splitlines() if line.endswith("digits read")}
    heard = [line.split()[1] for line in demo.said.splitlines() if line.endswith("words heard")]
    assert read & numbers, f"{read} read, {numbers} to be read"
    assert heard[0] in [word for word, _ in chosen(4)]
    assert len(demo.children) == 2, "a broker and an appliance"
    demo.ctrl_c()
    assert demo.ends() == 0
    assert demo.left() == []
    assert "Traceback" not in demo.said
    assert "WARNING" not in demo.said
    assert "offline" not in demo.said


@pytest.mark.broker
def test_ctrl_c_before_the_first_picture_ends_the_demo_as_well(start: Callable[..., Demo]) -> None:
    demo = start()
    demo.says("microphone: ")
    demo.ctrl_c()
    assert demo.ends() == 0
    assert demo.left() == []
    assert "Traceback" not in demo.said


@pytest.mark.faults
@pytest.mark.broker
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_demo_that_is_told_to_end_or_whose_terminal_is_closed_leaves_nothing(
    start: Callable[..., Demo], number: signal.Signals
) -> None:
    demo = start()
    demo.says("digits read")
    demo.process.send_signal(number)
    assert demo.ends() == 0
    assert demo.left() == []


@pytest.mark.faults
@pytest.mark.broker
def test_the_demo_ends_when_its_appliance_does(start: Callable[..., Demo]) -> None:
    demo = start()
    demo.says("digits read")
    for pid in demo.children:
        if b"run" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            os.kill(pid, signal.SIGKILL)
    assert demo.ends() == 1
    assert "Error: the appliance ended by itself" in demo.said
    assert demo.left() == []


@pytest.mark.broker
def test_a_demo_that_is_killed_leaves_no_process(start: Callable[..., Demo]) -> None:
    demo = start()
    demo.says("digits read")
    assert len(demo.children) == 2, "a broker and an appliance"
    demo.process.send_signal(signal.SIGKILL)
    demo.ends()
    until(lambda: not any(map(alive, demo.children)), 15, "broker and appliance end with the demo")


@pytest.mark.broker
def test_the_demo_takes_a_broker_that_is_there(start: Callable[..., Demo], broker: Broker) -> None:
    demo = start("--broker", broker.url, "--json")
    demo.says('"topic": "appliance/demo/')
    assert len(demo.children) == 1
    demo.ctrl_c()
    assert demo.ends() == 0


@pytest.mark.broker
def test_of_a_broker_that_is_there_host_and_port_are_enough(start: Callable[..., Demo], broker: Broker) -> None:
    demo = start("--broker", f"localhost:{broker.port}", "--json")
    demo.says('"topic": "appliance/demo/')
    demo.ctrl_c()
    assert demo.ends() == 0
