"""A real Home Assistant core with its MQTT integration, run by an interpreter of its own (see house.lock).

`house_core.py FOLDER BROKER_PORT HTTP_PORT`; then a question per line on standard input, a line of JSON for each on
standard output: `{"ask": "house"}` for devices, entities and states, `{"ask": "call", "domain", "service", "data"}` for
a service, `{"ask": "image", "entity"}` for the size of a picture, `{"ask": "notes"}` for what the automation in
FOLDER/automation.yaml has told its people. It ends with the end of its input.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any

from homeassistant import (  # type: ignore[import-not-found]  # it is in an environment of its own
    bootstrap,
    config_entries,
    core,
    loader,
)
from homeassistant.components.mqtt.const import (  # type: ignore[import-not-found]
    CONFIG_ENTRY_MINOR_VERSION,
    CONFIG_ENTRY_VERSION,
)
from homeassistant.helpers import device_registry, entity_registry  # type: ignore[import-not-found]
from homeassistant.util.yaml import load_yaml_dict  # type: ignore[import-not-found]

NOTES: list[str] = []
"""What the automation has told its people."""


async def move_in(folder: Path, broker_port: int, http_port: int) -> core.HomeAssistant:
    """Core, its own integrations, and MQTT as a person would have set it up."""
    house = core.HomeAssistant(str(folder))
    house.config.skip_pip = True
    loader.async_setup(house)
    (folder / "configuration.yaml").touch()
    settings: dict[str, Any] = {"homeassistant": {}, "http": {"server_host": "127.0.0.1", "server_port": http_port}}
    settings["automation"] = [load_yaml_dict(str(path)) for path in folder.glob("automation.yaml")]
    house.services.async_register("notify", "notify", lambda call: NOTES.append(call.data["message"]))
    assert await bootstrap.async_from_config_dict(settings, house)
    entry: Any = config_entries.ConfigEntry(
        version=CONFIG_ENTRY_VERSION,
        minor_version=CONFIG_ENTRY_MINOR_VERSION,
        domain="mqtt",
        title="broker",
        data={"broker": "127.0.0.1", "port": broker_port, "protocol": "5"},
        options={},
        source="user",
        unique_id=None,
        discovery_keys=MappingProxyType({}),
        subentries_data=(),
    )
    await house.async_start()
    await house.config_entries.async_add(entry)
    await house.async_block_till_done()
    return house


def look_around(house: core.HomeAssistant) -> dict[str, Any]:
    """Devices by name, and entities with their states by entity id."""
    devices = device_registry.async_get(house).devices
    entities = {}
    for entry in entity_registry.async_get(house).entities.values():
        state = house.states.get(entry.entity_id)
        entities[entry.entity_id] = {
            "unique_id": entry.unique_id,
            "device": devices[entry.device_id].name if entry.device_id else None,
            "state": state.state if state else None,
            "attributes": {key: str(value) for key, value in state.attributes.items()} if state else {},
        }
    by_id = {each.id: each for each in devices.values()}
    told = {each.name: (by_id[each.via_device_id].name if each.via_device_id else None) for each in devices.values()}
    return {"devices": told, "entities": entities}


async def answer(house: core.HomeAssistant, question: dict[str, Any]) -> Any:
    match question["ask"]:
        case "house":
            return look_around(house)
        case "notes":
            return NOTES
        case "call":
            await house.services.async_call(question["domain"], question["service"], question["data"], blocking=True)
            return "done"
        case "image":
            picture = await house.data["image"].get_entity(question["entity"]).async_image()
            return {"bytes": len(picture or b""), "start": (picture or b"")[:3].hex()}


async def live(folder: Path, broker_port: int, http_port: int) -> None:
    house = await move_in(folder, broker_port, http_port)
    loop = asyncio.get_running_loop()
    print(json.dumps("moved in"), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await answer(house, json.loads(line))), flush=True)
    await house.async_stop(force=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(live(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
