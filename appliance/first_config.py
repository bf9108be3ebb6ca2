"""A first configuration, from what this machine has: cameras that deliver a picture, microphones, a broker."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from appliance.config import parse
from appliance.mqtt.settings import BrokerAddress
from appliance.toml_string import toml_string
from capture.camera import CameraDevice
from capture.open import open_source
from capture.options import VideoOptions
from capture.source import CaptureError
from engines import durable

AS_INSTALLED = "# As the package brought it:"
"""First words of a configuration that nobody has written yet, which may be replaced."""
LOCAL_BROKER = "mqtt://localhost:1883"
SCENE = "scene:digits"
_ANSWER_WITHIN_S = 2.0
_HARDWARE = re.compile(r"\(hw:\d+,\d+\)$")
"""How PortAudio ends the name of a sound card's own input; the others are ALSA's ways to one, or somebody's session."""
_MOST_NAME = 40


@dataclass(frozen=True, slots=True)
class Source:
    """One table of the configuration."""

    name: str
    uri: str
    words: str
    """What it is, for a person."""


@dataclass(frozen=True, slots=True)
class Found:
    """What this machine has."""

    cameras: tuple[Source, ...]
    microphones: tuple[Source, ...]
    refusals: tuple[str, ...]
    """A sentence for everything that is there and cannot be used."""


def look(devices: Iterable[CameraDevice]) -> Found:
    """Opens and closes each camera; microphones are listed and not opened, since another program may hear with them."""
    cameras, refusals, names = [], [], set[str]()
    for device in devices:
        uri = f"camera:{device.by_id or device.path}"
        try:
            with open_source("camera", uri, VideoOptions()) as source:
                words = f"{device.label}, {source.description}"
                cameras.append(Source(_name(device.label, "camera", names), uri, words))
        except CaptureError as error:
            refusals.append(str(error))
    microphones = []
    for heard in _microphones(refusals):
        label = _HARDWARE.sub("", heard)
        microphones.append(Source(_name(label, "microphone", names), f"mic:{heard}", heard))
    return Found(tuple(cameras), tuple(microphones), tuple(refusals))


def answers(broker: BrokerAddress) -> bool:
    """Whether something listens there; nothing is said to it."""
    try:
        with socket.create_connection((broker.host, broker.port), timeout=_ANSWER_WITHIN_S):
            return True
    except OSError:
        return False


def written(found: Found, device: str, broker: BrokerAddress) -> str:
    """The text of the file. Without any camera the synthetic scene stands in, so that there is something to see."""
    cameras = found.cameras or (Source("scene", SCENE, "a synthetic scene: no camera was found"),)
    parts = [
        "# Written by `appliance init`; it is yours to change. `appliance config example` shows every key.\n"
        f"[device]\nname = {toml_string(device)}\n\n[mqtt]\nbroker = {toml_string(str(broker))}\n"
    ]
    parts += [_table("camera", camera) for camera in cameras]
    parts += [_table("microphone", microphone) for microphone in found.microphones]
    parts += [_pipeline(camera, "digits") for camera in cameras]
    parts += [_pipeline(microphone, "spoken-digits") for microphone in found.microphones]
    return "\n".join(parts)


def put(path: Path, text: str) -> None:
    """Write the file, whole or not at all, readable by everybody as the package's own is.

    Raises ConfigError, and writes nothing, when a name that was asked for cannot stand in a configuration; OSError when
    the file cannot be written.
    """
    parse(text, str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    durable.replace(path, text.encode())
    path.chmod(0o644)


def is_ours_to_write(path: Path) -> bool:
    """Nothing is there, or what the package brought and nobody has changed."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").startswith(AS_INSTALLED)
    except FileNotFoundError:
        return True


def _microphones(refusals: list[str]) -> list[str]:
    """Inputs of sound cards; a service has no part in anybody's sound session."""
    from capture.microphones import input_devices

    try:
        return [name for name in input_devices() if _HARDWARE.search(name)]
    except CaptureError as error:
        refusals.append(str(error))
        return []


def _name(label: str, otherwise: str, taken: set[str]) -> str:
    """A name for topics: of letters, digits and hyphens, and used once."""
    plain = re.sub(r"[^a-z0-9]+", "-", label.casefold()).strip("-")[:_MOST_NAME].strip("-") or otherwise
    name, number = plain, 2
    while name in taken:
        name, number = f"{plain}-{number}", number + 1
    taken.add(name)
    return name


def _table(kind: str, source: Source) -> str:
    words = " ".join(source.words.split())
    return f"[[{kind}]]  # {words}\nname = {toml_string(source.name)}\nuri = {toml_string(source.uri)}\n"


def _pipeline(source: Source, model: str) -> str:
    name = f"{source.name}-{model}"
    return (
        f"[[pipeline]]\nname = {toml_string(name)}\nsource = {toml_string(source.name)}\nmodel = {toml_string(model)}\n"
    )
