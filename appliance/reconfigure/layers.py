"""A configuration from afar over the file on the device: what it may say, and what stays with the file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from appliance.assembly import check
from appliance.config import Config
from appliance.config_errors import ConfigError
from appliance.config_file import tables, validate

LOCAL_TABLES = {
    "mqtt": "a device that lost its broker could not be put right from afar, and its credentials are its own",
    "models": "it says whose signatures are believed",
    "reconfigure": "it says whether a configuration may come from afar at all",
    "page": "it says who may reach this device, with which secrets",
    "oip": "it says who may reach this device, with which secrets",
    "metrics": "it says who may reach this device, with which secrets",
    "traces": "it says where data of this device goes, with which secret",
}
"""Tables that only the file on the device may have, and why."""

LOCAL_KEYS = {
    "name": "it is the device's name in every topic, and on the broker",
    "state_dir": "it is where the last good configuration lies",
}
"""The same of [device]; its other keys may come one by one."""

CREDENTIALS = ("username", "password_file")


def layered(local: dict[str, Any], text: str, where: str) -> Config:
    """The file's tables with those of `text` in their place: a table that is left out stays as the file has it.

    Raises ConfigError with every fault; `where` names the text in it. Touches no device.
    """
    faults = list(refusals(text, where))
    if faults:
        raise ConfigError("\n".join(faults))
    afar = tables(text, where)
    raw = local | afar
    if isinstance(afar.get("device"), dict):
        raw["device"] = local.get("device", {}) | afar["device"]
    if "camera" in afar:
        raw["camera"] = [_with_credentials(camera, local) for camera in afar["camera"]]
    config = validate(Config, raw, where)
    try:
        check(config)
    except ConfigError as error:
        raise ConfigError("\n".join(f"{where}: {fault}" for fault in str(error).splitlines())) from error
    return config


def refusals(text: str, where: str) -> Iterator[str]:
    """What may not come from afar, whatever the file on the device says. Raises ConfigError when it is no TOML."""
    for fault in _not_from_afar(tables(text, where)):
        yield f"{where}: {fault}"


def _not_from_afar(afar: dict[str, Any]) -> Iterator[str]:
    for table, why in LOCAL_TABLES.items():
        if table in afar:
            yield f"[{table}]: stays with the file on the device: {why}"
    device, cameras = afar.get("device", {}), afar.get("camera", [])
    for key, why in LOCAL_KEYS.items():
        if isinstance(device, dict) and key in device:
            yield f"[device]: {key} stays with the file on the device: {why}"
    if not isinstance(cameras, list) or not all(isinstance(camera, dict) for camera in cameras):
        yield "[[camera]]: expected a list of tables"
        return
    for camera in cameras:
        name = str(camera.get("name", ""))[:64]
        for key in CREDENTIALS:
            if key in camera:
                yield (
                    f"[[camera]] {name}: {key} stays with the file on the device: leave it out, and it is taken from "
                    "the camera there that has the same address"
                )
        if _place(camera) is not None and "@" in urlsplit(str(camera["uri"])).netloc:
            yield f"[[camera]] {name}: uri: holds a password, and everybody may read what is published: leave it out"


def _with_credentials(camera: dict[str, Any], local: dict[str, Any]) -> dict[str, Any]:
    """A camera on the network is logged in to as the file does: no secret goes to another address than it says."""
    place, known = _place(camera), local.get("camera", [])
    for other in known if place is not None else []:
        if _place(other) == place:
            return camera | {key: other[key] for key in CREDENTIALS if key in other}
    return camera


def _place(camera: dict[str, Any]) -> tuple[str, str, int | None] | None:
    """Scheme, host and port of a camera on the network."""
    try:
        parts = urlsplit(str(camera.get("uri", "")))
        place = (parts.scheme, parts.hostname or "", parts.port)
    except ValueError:
        return None
    return place if parts.scheme in ("rtsp", "rtsps") else None
