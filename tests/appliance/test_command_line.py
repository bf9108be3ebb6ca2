"""Commands as a newcomer types them: an exit code, a sentence on standard error, never a traceback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from appliance.cli import COMMANDS, main
from appliance.cli.numbers import Number
from tests.appliance_process import Ear
from tests.conftest import Broker, free_port
from tests.waiting import until

pytestmark = pytest.mark.system

CAMERA = '[[camera]]\nname = "dock"\nuri = "scene:shapes"\n'
PIPELINE = '[[pipeline]]\nname = "p"\nsource = "dock"\nmodel = "shapes"\n'


def typed(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "appliance", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert "Traceback" not in done.stderr
    return done


WRONG = {
    "no such command": ["fly"],
    "no such option": ["run", "--fly"],
    "no configuration": ["run", "--config", "none.toml"],
    "a folder for a configuration": ["run", "--config", "."],
    "no such time": ["run", "--for", "nan"],
    "no end of time": ["run", "--for", "inf"],
    "a time before now": ["run", "--for", "-1"],
    "an endless configuration": ["config", "check", "/dev/zero"],
    "no such threshold": ["predict", "shapes", "/dev/null", "--threshold", "nan"],
    "no such input": ["predict", "shapes", "none.png"],
    "nothing as an input": ["predict", "shapes", ""],
    "an empty input": ["predict", "shapes", "/dev/null"],
    "an endless input": ["predict", "tones", "/dev/zero"],
    "a model and an input in the wrong order": ["predict", "none.png", "shapes"],
    "a measurement without end": ["bench", "--seconds", "nan"],
    "a model that is not there": ["bench", "none"],
    "a port beyond the last": ["watch", "--broker", "mqtt://127.0.0.1:99999"],
    "half an address": ["watch", "--broker", "mqtt://[::1"],
    "another protocol": ["watch", "--broker", "http://localhost"],
    "no broker for the demo": ["demo", "--broker", ""],
    "no certificate": ["watch", "--broker", "mqtts://localhost", "--ca-file", "none"],
    "a certificate that is none": ["watch", "--broker", "mqtts://localhost", "--ca-file", "/bin/sh"],
    "half a client certificate": ["watch", "--broker", "mqtts://localhost", "--cert-file", "none"],
    "a password for nobody": ["watch", "--password-file", "none"],
    "no password": ["watch", "--username", "me", "--password-file", "none"],
    "a wildcard for a device": ["watch", "--device", "#"],
    "two levels for one": ["watch", "--base", "a/b"],
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_typed_wrongly_ends_with_2_and_a_sentence(name: str, tmp_path: Path) -> None:
    done = typed(*WRONG[name], folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert done.stdout == ""


def test_the_demo_reads_the_address_of_the_broker_before_anything_starts() -> None:
    done = typed("demo", "--broker", "http://localhost")
    assert done.returncode == 2
    assert "camera:" not in done.stderr
    assert done.stderr.startswith("Error: http://localhost: not a broker address; write mqtt://host:1883")


def test_a_broker_that_does_not_answer_ends_with_1_and_a_sentence() -> None:
    done = typed("watch", "--broker", f"mqtt://127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert "is the broker running" in done.stderr


@pytest.mark.parametrize("words", [["config", "example"], ["predict", "shapes", "{picture}"], ["doctor", "--json"]])
def test_a_full_disk_under_the_output_is_said_in_a_sentence(words: list[str], tmp_path: Path) -> None:
    picture = tmp_path / "black.png"
    picture.write_bytes(_black_png())
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "appliance", *(word.format(picture=picture) for word in words)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "Error: the output cannot be written: No space left on device\n"


def _black_png() -> bytes:
    import cv2
    import numpy as np

    return bytes(cv2.imencode(".png", np.zeros((48, 64, 3), np.uint8))[1])


@pytest.mark.parametrize("command", COMMANDS)
def test_closed_standard_streams_are_no_reason_to_fail(command: str) -> None:
    done = subprocess.run(
        ["sh", "-c", '"$0" -m appliance "$1" --help <&- >&- 2>&-', sys.executable, command], timeout=60, check=False
    )
    assert done.returncode == 0


def test_a_picture_is_looked_at_when_nobody_reads_the_answer(tmp_path: Path) -> None:
    (tmp_path / "black.png").write_bytes(_black_png())
    done = subprocess.run(
        ["sh", "-c", '"$0" -m appliance predict shapes "$1" >&-', sys.executable, str(tmp_path / "black.png")],
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_that_has_read_enough_ends_the_writer_in_silence() -> None:
    done = subprocess.run(
        ["sh", "-c", '"$0" -m appliance config schema | head -n 1', sys.executable],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("{\n", "")


ODD = {
    "sound for eyes": (
        '[[microphone]]\nname = "dock"\nuri = "mic:"\n' + PIPELINE,
        "[[pipeline]] p: shapes looks at pictures and dock is a microphone",
    ),
    "pictures for ears": (
        CAMERA + PIPELINE.replace("shapes", "tones"),
        "[[pipeline]] p: tones listens to sound and dock is a camera",
    ),
    "a model that is not there": (CAMERA + PIPELINE.replace("shapes", "none"), "[[pipeline]] p: none: no such model"),
    "a label that is never said": (CAMERA + PIPELINE + 'labels = ["person"]', 'shapes never says "person"'),
    "a key for the other kind": (CAMERA + PIPELINE + "hop_s = 1", "hop_s has no effect on pictures"),
    "nothing to do": (CAMERA, "no [[pipeline]]: nothing will be detected"),
    "everything switched off": (CAMERA + PIPELINE + "enabled = false", "no [[pipeline]] is enabled"),
    "a camera for nobody": (CAMERA + PIPELINE + CAMERA.replace("dock", "yard"), "yard: no [[pipeline]] uses this"),
    "nowhere to publish": (CAMERA + PIPELINE, "no [mqtt]: results are counted, not published"),
    "no password": (
        '[mqtt]\nusername = "me"\npassword_file = "none"\n' + CAMERA + PIPELINE,
        "[mqtt]: none: the secret cannot be read",
    ),
    "no certificate": (
        '[mqtt]\nbroker = "mqtts://h"\nca_file = "none"\n' + CAMERA + PIPELINE,
        "[mqtt]: none: ",
    ),
    "no password of a camera": (
        CAMERA.replace("scene:shapes", "rtsp://h/s") + 'username = "me"\npassword_file = "none"\n' + PIPELINE,
        "[[camera]] dock: password_file: none: the secret cannot be read",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_a_check_warns_of_what_may_not_be_meant(name: str, tmp_path: Path) -> None:
    text, warning = ODD[name]
    (tmp_path / "a.toml").write_text(text)
    done = typed("config", "check", "a.toml", folder=tmp_path)
    assert done.returncode == 0
    assert any(line.startswith("warning: ") and warning in line for line in done.stderr.splitlines())
    assert "can be used, with" in done.stdout


def test_a_check_of_a_good_file_has_nothing_to_add(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('[mqtt]\npassword_file = "credential:mqtt"\nusername = "me"\n' + CAMERA + PIPELINE)
    done = typed("config", "check", "a.toml", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "a.toml: fine: 1 camera, 0 microphones, 1 pipeline\n"


@pytest.fixture
def silence() -> Iterator[int]:
    """The port of a listener that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_port_where_no_broker_listens_ends_the_watching_with_1(silence: int) -> None:
    done = typed("watch", "--broker", f"mqtt://127.0.0.1:{silence}")
    assert done.returncode == 1
    assert "does not answer as an MQTT 5 broker" in done.stderr


@pytest.mark.broker
def test_watching_survives_the_broker_and_garbage(broker: Broker) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "appliance", "watch", "--json", "--broker", broker.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        said: list[str] = []
        assert watching.stderr is not None
        reader = threading.Thread(target=said.extend, args=(watching.stderr,))
        reader.start()
        try:
            until(lambda: any("connected" in line for line in said), 15)
            broker.kill()
            until(lambda: any("connection lost" in line for line in said), 15)
            broker.start()
            until(lambda: sum("connected" in line for line in said) == 2, 15)
            with Ear(broker.port) as ear:
                for payload in (b"[" * 100_000, b"", b"not JSON"):
                    ear.forge("appliance/x/health", payload)
            assert watching.stdout is not None
            assert [watching.stdout.readline()[:28] for _ in range(3)] == ['{"topic": "appliance/x/healt'] * 3
        finally:
            watching.terminate()
            reader.join(10)
        assert watching.wait(10) == 0


@pytest.mark.broker
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_label_is_shown_whatever_letters_the_output_has(broker: Broker, encoding: str) -> None:
    label = "Zoë 犬 🐕"
    event = {"type": "event", "event": "new", "pipeline": "p", "reason": "seen", "after": {"label": label}}
    topic = f"appliance/{encoding}/pipeline/p/event"
    watching = [sys.executable, "-m", "appliance", "watch", "--broker", broker.url, "--device", encoding]

    def shown(*options: str) -> str:
        done = subprocess.run(
            [*watching, "--count", "1", "--for", "20", *options],
            capture_output=True,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONIOENCODING": encoding},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.decode(encoding)

    with Ear(broker.port) as ear:
        ear.forge(topic, json.dumps(event).encode(), retain=True)
        try:
            line, document = shown(), json.loads(shown("--json"))
        finally:
            ear.forge(topic, b"", retain=True)
    assert document == {"topic": topic, "document": event}
    assert json.loads(f'"{line.strip()}"') == f"+ {label} p seen"


def test_no_option_takes_a_number_that_is_none() -> None:
    """Python reads `nan` and `inf` gladly; only our own type of number refuses them."""
    waiting: list[click.Command] = [main]
    numbers = []
    while waiting:
        command = waiting.pop()
        if isinstance(command, click.Group):
            context = click.Context(command)
            waiting += [
                found for name in command.list_commands(context) if (found := command.get_command(context, name))
            ]
        numbers += [each for each in command.params if isinstance(each.type, click.types.FloatParamType)]
    assert len(numbers) >= 7
    assert [each.name for each in numbers if not isinstance(each.type, Number)] == []
