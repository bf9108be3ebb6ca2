"""What Home Assistant is told, without one: nothing twice, nothing left behind, names that stay apart."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from appliance.assembly import Assembly, assemble
from appliance.catalogue import Catalogue
from appliance.config import Config, parse
from appliance.config_errors import ConfigError
from appliance.home_assistant.announcer import Announcer
from appliance.home_assistant.settings import HomeAssistant
from appliance.mqtt.incoming import Incoming
from appliance.mqtt.topics import Topics, original, plain
from appliance.uplink.outgoing import Outgoing, Publish
from engines.library import Library

TOPICS = Topics("appliance", "dock-1")
TABLES = """
[mqtt]
[[camera]]
name = "dock"
uri = "scene:shapes"
[[pipeline]]
name = "shapes"
source = "dock"
model = "shapes"
[[microphone]]
name = "hall"
uri = "mic:"
[[pipeline]]
name = "tones"
source = "hall"
model = "tones"
"""
NOTHING: frozenset[str] = frozenset()


class Told:
    """Keeps what an announcer posts, as a broker would."""

    def __init__(self, tmp_path: Path, tables: str = TABLES, discovery: bool = True) -> None:
        self.posts: list[Publish] = []
        self.kept: dict[str, bytes] = {}
        self.announcer = Announcer(HomeAssistant(discovery=discovery), TOPICS, self._post)
        self._tmp_path = tmp_path
        self.configure(tables)

    def configure(self, tables: str) -> None:
        self.config: Config = parse(tables, "a.toml")
        catalogue = Catalogue.before_shipped(Library(self._tmp_path))
        self.assembly: Assembly = assemble(
            self.config, catalogue, TOPICS, lambda _: None, lambda: "synced", lambda: None
        )

    def _post(self, item: Outgoing) -> None:
        assert isinstance(item, Publish)
        assert item.retain
        self.posts.append(item)
        if item.document:
            self.kept[item.topic] = item.document
        else:
            self.kept.pop(item.topic, None)

    def announce(self, measures: frozenset[str] = NOTHING) -> None:
        self.announcer.announce(self.config, self.assembly, measures)

    def hear_kept(self, kept: dict[str, bytes]) -> None:
        """An earlier run's documents, as the broker gives them to a new subscriber."""
        for topic, payload in kept.items():
            self.announcer.hear(Incoming(topic, payload, retain=True))

    def document(self, thing: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kept[f"homeassistant/device/dock-1/appliance__{thing}/config"])
        return found

    def sees(self, label: str) -> None:
        list(self.assembly.pipelines["shapes"].counts.news(Counter([label]), ["red", "green"]))


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def test_each_thing_has_its_document_and_the_device_comes_first(told: Told) -> None:
    told.announce()
    things = [topic.split("__", 1)[1].removesuffix("/config") for topic in told.kept]
    assert things == ["device", "source__dock", "source__hall", "pipeline__shapes", "pipeline__tones"]
    assert told.document("source__dock")["device"]["via_device"] == told.document("device")["device"]["identifiers"][0]
    assert told.document("pipeline__tones")["device"] == told.document("source__hall")["device"]


def test_what_has_not_changed_is_not_said_again(told: Told) -> None:
    told.announce()
    posts = len(told.posts)
    told.announce()
    assert len(told.posts) == posts
    told.sees("red")
    told.announce()
    assert len(told.posts) == posts + 1
    assert {"occupancy-red", "count-red"} <= told.document("pipeline__shapes")["components"].keys()


def test_everything_is_said_again_when_home_assistant_starts(told: Told) -> None:
    told.announce()
    posts = [item.topic for item in told.posts]
    told.announcer.hear(Incoming("homeassistant/status", b"offline"))
    assert len(told.posts) == len(posts)
    told.announcer.hear(Incoming("homeassistant/status", b"online"))
    assert [item.topic for item in told.posts] == posts * 2


def test_a_measure_that_was_known_once_stays(told: Told) -> None:
    told.announce()
    assert "temperature" not in told.document("device")["components"]
    told.announce(frozenset({"temperature"}))
    told.announce()
    assert told.document("device")["components"]["temperature"]["unit_of_measurement"] == "°C"


def test_what_an_earlier_run_told_and_is_gone_is_taken_back(told: Told, tmp_path: Path) -> None:
    told.announce()
    later = Told(tmp_path, TABLES[: TABLES.index("[[microphone]]")])
    later.hear_kept(told.kept)
    later.announce()
    taken_back = [item.topic.split("__", 1)[1] for item in later.posts if not item.document]
    assert taken_back == ["source__hall/config", "pipeline__tones/config"]


def test_what_an_earlier_run_told_may_come_after_the_first_word(told: Told, tmp_path: Path) -> None:
    told.announce()
    later = Told(tmp_path, TABLES[: TABLES.index("[[microphone]]")])
    later.announce()
    later.hear_kept(told.kept)
    assert sorted(item.topic.split("__", 1)[1] for item in later.posts if not item.document) == [
        "pipeline__tones/config",
        "source__hall/config",
    ]


def test_labels_that_an_earlier_run_saw_stay_and_a_part_that_is_gone_is_named_with_its_platform_only(
    tmp_path: Path,
) -> None:
    told = Told(tmp_path, TABLES.replace('model = "shapes"', 'model = "shapes"\nsnapshot = true'))
    told.sees("red")
    told.announce()
    later = Told(tmp_path)
    later.hear_kept(told.kept)
    later.announce()
    parts = later.document("pipeline__shapes")["components"]
    assert len(parts["occupancy-red"]) > 1
    assert parts["snapshot"] == {"platform": "image"}


def test_a_camera_removed_by_a_reload_is_taken_back_once(told: Told) -> None:
    told.announce()
    told.configure(TABLES[: TABLES.index("[[microphone]]")])
    told.announce()
    told.announce()
    assert len([item for item in told.posts if not item.document]) == 2


def test_without_discovery_everything_of_an_earlier_run_is_taken_back_and_nothing_of_others(
    told: Told, tmp_path: Path
) -> None:
    told.announce()
    later = Told(tmp_path, discovery=False)
    later.hear_kept({**told.kept, "homeassistant/device/dock-1/other__device/config": b'{"components": {}}'})
    later.announce()
    assert [item.topic for item in later.posts] == list(told.kept)
    assert all(not item.document for item in later.posts)


@pytest.mark.parametrize(
    "payload", [b"{", b"[]", b'{"components": 3}', b'{"components": {"a": {}}}', b"\xff", b"[" * 9000]
)
def test_nonsense_that_is_kept_under_our_name_is_replaced(told: Told, payload: bytes) -> None:
    topic = "homeassistant/device/dock-1/appliance__device/config"
    told.hear_kept({topic: payload, topic.replace("device/config", "nobody/config"): payload})
    told.announce()
    assert told.document("device")["components"]
    assert "homeassistant/device/dock-1/appliance__nobody/config" not in told.kept


@pytest.mark.parametrize(
    "name", ["dock", "dock-1", "dock_1", "dock.1", "dock_2e1", "Hund & Katze", "人", "a__b", "%41"]
)
def test_a_name_is_found_again_and_holds_only_what_home_assistant_takes(name: str) -> None:
    assert original(plain(name)) == name
    assert set(plain(name)) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
    assert "__" not in plain(name)


REGISTRY = '[models]\nroot = "/etc/appliance/root.json"\n'


def test_models_have_a_version_only_where_there_is_a_registry(tmp_path: Path) -> None:
    told = Told(tmp_path, TABLES + REGISTRY)
    told.announce()
    parts = told.document("device")["components"]
    assert {key for key, part in parts.items() if part["platform"] == "update"} == {"model-shapes", "model-tones"}
    assert json.loads(parts["model-shapes"]["payload_install"]) == {"data": {"model": "shapes"}}
    assert parts["model-shapes"]["command_topic"] == "appliance/dock-1/request/install"
    later = Told(tmp_path)
    later.hear_kept(told.kept)
    later.announce()
    assert later.document("device")["components"]["model-shapes"] == {"platform": "update"}


@pytest.mark.parametrize("model", ["shapes@1", "/srv/models/shapes", "./shapes.onnx"])
def test_a_model_whose_version_cannot_change_has_no_update(model: str, tmp_path: Path) -> None:
    told = Told(tmp_path, TABLES.replace('model = "shapes"', f'model = "{model}"') + REGISTRY)
    told.announce()
    parts = told.document("device")["components"]
    assert [key for key, part in parts.items() if part["platform"] == "update"] == ["model-tones"]


def test_every_unique_id_is_one(told: Told) -> None:
    told.sees("red")
    told.announce()
    ids = [part["unique_id"] for document in told.kept.values() for part in json.loads(document)["components"].values()]
    assert len(ids) == len(set(ids)) > 20


def test_discovery_needs_a_broker() -> None:
    with pytest.raises(ConfigError, match=r"add an \[mqtt\] table"):
        parse("[home_assistant]\n", "a.toml")


def test_a_prefix_is_one_that_home_assistant_takes() -> None:
    with pytest.raises(ConfigError, match="discovery prefix"):
        parse('[mqtt]\n[home_assistant]\nprefix = "home/+"\n', "a.toml")
