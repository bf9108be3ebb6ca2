"""A first configuration, from what this machine has: cameras that deliver a picture, microphones, a broker."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import stat
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from appliance.config import parse
from appliance.mqtt.settings import BrokerAddress
from appliance.toml_string import toml_string
from capture.camera import CameraDevice
from capture.formats import formats, only_raw
from capture.open import open_source
from capture.options import VideoOptions
from capture.source import CaptureError
from engines import durable

AS_INSTALLED = "1da51db23080f3931abfd6ff5346b349a9fe262c9f0ff1b7bc30ed8ab8e8694c"
"""SHA-256 of the configuration that the package brings, which may be replaced as long as nobody wrote into it."""
LOCAL_BROKER = "mqtt://localhost:1883"
SCENE = "scene:digits"
_ANSWER_WITHIN_S = 2.0
_HARDWARE = re.compile(r" *\(hw:\d+,\d+\)$")
"""How PortAudio ends the name of a sound card's own input; the others are ALSA's ways to one, or somebody's session, in
which a service has no part."""
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
    blind: bool = False
    """There are cameras, and none of them delivered a picture."""


def look(devices: Iterable[CameraDevice]) -> Found:
    """Opens and closes each camera and each microphone; a microphone that another program has is not listed at all."""
    cameras, sensors, refusals, names = [], [], [], set[str]()
    for device in devices:
        if _is_sensor(device):
            sensors.append(device)
            continue
        try:
            words = f"{device.label}, {_description(device.uri)}"
            cameras.append(Source(_name(device.label, "camera", names), device.uri, words))
        except CaptureError as error:
            refusals.append(str(error))
    if sensors:
        cameras += _csi_cameras(sensors[0], names, refusals)
    blind = bool(refusals) and not cameras
    microphones = _microphones(names, refusals)
    return Found(tuple(cameras), tuple(microphones), tuple(refusals), blind)


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


def put(path: Path, text: str) -> Path | None:
    """Write the file, whole or not at all; returns where that of somebody else is kept, None where there was none.

    A new file is readable by everybody as the package's own is, one that is replaced stays as closed as it was. Raises
    ConfigError, and writes nothing, when a name that was asked for cannot stand in a configuration; OSError when the
    file cannot be written.
    """
    parse(text, str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.stat() if path.exists() else None
    kept = None if is_ours_to_write(path) else _set_aside(path)
    durable.replace(path, text.encode())
    if before is None:
        path.chmod(0o644)
    else:
        _close_as(path, before)
    return kept


def is_ours_to_write(path: Path) -> bool:
    """Nothing is there, or what the package brought and nobody has changed."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == AS_INSTALLED
    except FileNotFoundError:
        return True


def _set_aside(path: Path) -> Path:
    """A copy of the file beside it, under a name that nothing has yet."""
    names = (f"{path.name}.old{ending}" for ending in chain([""], (f".{number}" for number in count(2))))
    kept = next(other for name in names if not (other := path.with_name(name)).exists())
    with os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(path.read_bytes())
        durable.sync_file(file)
    _close_as(kept, path.stat())
    durable.sync(kept.parent)
    return kept


def _close_as(path: Path, before: os.stat_result) -> None:
    """Readable by whom the file of before was; only root may give files away, and others have not."""
    with suppress(PermissionError):
        os.chown(path, before.st_uid, before.st_gid)
    path.chmod(stat.S_IMODE(before.st_mode))


def _description(uri: str) -> str:
    """Of a camera, which is opened and closed; raises CaptureError when no picture comes from it."""
    with open_source("camera", uri, VideoOptions()) as source:
        return source.description


def _is_sensor(device: CameraDevice) -> bool:
    """One that `csi:` reads. What does not tell its formats is tried as any camera, which says why."""
    with suppress(CaptureError):
        return only_raw(formats(device.path))
    return False


def _csi_cameras(device: CameraDevice, names: set[str], refusals: list[str]) -> list[Source]:
    """From csi:0 on, up to the first that delivers nothing: their numbers are Argus's own, not those of /dev/video*."""
    cameras: list[Source] = []
    while True:
        uri = f"csi:{len(cameras)}"
        try:
            words = _description(uri)
        except CaptureError as error:
            if not cameras:
                refusals.append(f'{device.path} ({device.label}) is a CSI camera, on a Jetson uri = "csi:0"; {error}')
            return cameras
        cameras.append(Source(_name(uri, "csi", names), uri, words))


def _microphones(names: set[str], refusals: list[str]) -> list[Source]:
    """Inputs that deliver sound: a Jetson's own card has twenty that deliver none until somebody connects them."""
    from capture.microphones import await_sound, input_devices

    try:
        inputs = input_devices()
    except CaptureError as error:
        refusals.append(str(error))
        return []
    microphones, mute = [], defaultdict[str, list[str]](list)
    for heard in filter(_HARDWARE.search, inputs):
        label = _HARDWARE.sub("", heard)
        try:
            await_sound(heard)
        except CaptureError as error:
            mute[label].append(str(error))
        else:
            microphones.append(Source(_name(label, "microphone", names), f"mic:{_lasting(heard, inputs)}", heard))
    for first, *others in mute.values():
        refusals.append(f"{first} (and {len(others)} more inputs of that name)" if others else first)
    return microphones


def _lasting(name: str, inputs: list[str]) -> str:
    """The part of an input's name that is the same after the next start, where cards are numbered anew; all of the name
    where another input is called so too."""
    part = _HARDWARE.sub("", name)
    return part if part and [each for each in inputs if part.casefold() in each.casefold()] == [name] else name


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
