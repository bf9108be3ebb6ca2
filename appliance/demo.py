"""The appliance at work with nothing attached: a synthetic scene, synthetic speech, a broker of its own.

A camera and a microphone that are there, and work, are used instead.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from appliance.leash import leashed
from appliance.spoken import write_spoken
from appliance.toml_string import toml_string
from capture.camera import CameraDevice
from capture.open import open_source
from capture.options import AudioOptions, VideoOptions
from capture.source import CaptureError

SCENE = "scene:digits"
PAGE_PORT = 8080


@dataclass(frozen=True, slots=True)
class Choice:
    """What the demo watches or listens to."""

    uri: str
    words: str
    """For a person, with the reason where it is not a real device."""


def choose_camera(devices: Iterable[CameraDevice]) -> Choice:
    """The first of the devices that delivers a picture, else the synthetic scene; opens and closes each it tries."""
    refusals = []
    for device in devices:
        try:
            with open_source("camera", device.uri, VideoOptions()) as source:
                return Choice(device.uri, f"{device.path}, {device.label}, {source.description}")
        except CaptureError as error:
            refusals.append(str(error))
    return Choice(SCENE, f"a synthetic scene ({'; '.join(refusals) or 'there is no camera here'})")


def choose_microphone(folder: Path) -> Choice:
    """The microphone that the sound system takes by default, if it delivers sound, else spoken digits, written into
    `folder`; opens it as the appliance will, and closes it."""
    from capture.microphones import input_devices

    try:
        if input_devices():
            with open_source("microphone", "mic:", AudioOptions()) as source:
                next(iter(source))
                return Choice("mic:", f"the one that the sound system takes by default, {source.description}")
        why = "there is no microphone here"
    except CaptureError as error:
        why = str(error)
    return Choice(f"wav:{write_spoken(folder / 'words.wav')}", f"synthetic voices ({why})")


def page_address() -> str:
    """Where the live page listens: its usual port on loopback, or a free one when that is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PAGE_PORT))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def write_config(folder: Path, broker: str, camera: Choice, microphone: Choice, page: str | None = None) -> Path:
    """The demo's configuration, in `folder`; returns its path. `page`: address of the live page, if there is one."""
    path = folder / "appliance.toml"
    page_table = "" if page is None else f"[page]\nlisten = {toml_string(page)}\n\n"
    path.write_text(
        f"""# Written by `appliance demo`. `appliance config example` shows every key.
[device]
name = "demo"
state_dir = {toml_string(str(folder))}
log = "warning"

[mqtt]
broker = {toml_string(broker)}

{page_table}[[camera]]
name = "camera"
uri = {toml_string(camera.uri)}

[[microphone]]
name = "microphone"
uri = {toml_string(microphone.uri)}
loop = {str(microphone.uri.startswith("wav:")).lower()}

[[pipeline]]
name = "digits"
source = "camera"
model = "digits"
events = false

[[pipeline]]
name = "words"
source = "microphone"
model = "spoken-digits"
""",
        encoding="utf-8",
    )
    return path


def start_appliance(config: Path) -> subprocess.Popen[bytes]:
    """`appliance run` as a process of its own, as systemd would start it; a Ctrl-C here does not reach it, but it ends
    with us."""
    return subprocess.Popen(
        leashed([sys.executable, "-m", "appliance", "run", "--config", str(config)]),
        # ONNX Runtime reports its use to its maker, from version 1.29 on, unless it is told not to.
        env={**os.environ, "ORT_DISABLE_TELEMETRY": "1"},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
