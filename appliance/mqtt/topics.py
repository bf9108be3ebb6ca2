"""Every topic, in one place. Names in topics never contain `+`, `#` or `/`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one device under `<base>/<device>`."""

    base: str
    device: str

    @property
    def root(self) -> str:
        return f"{self.base}/{self.device}"

    @property
    def available(self) -> str:
        """`online`, `stopped` or `offline` (last will); retained, QoS 1."""
        return f"{self.root}/available"

    @property
    def info(self) -> str:
        return f"{self.root}/info"

    @property
    def health(self) -> str:
        return f"{self.root}/health"

    @property
    def schema(self) -> str:
        """What is published where and what is in it: an AsyncAPI document, JSON Schemas included; retained."""
        return f"{self.root}/schema"

    def source_available(self, source: str) -> str:
        """`online`, `stale`, `offline` or `disabled`; retained."""
        return f"{self.root}/source/{source}/available"

    def result(self, pipeline: str) -> str:
        return f"{self.root}/pipeline/{pipeline}/result"

    def event(self, pipeline: str) -> str:
        return f"{self.root}/pipeline/{pipeline}/event"

    def count(self, pipeline: str, label: str) -> str:
        """Labels are a model's words: what a topic may not hold becomes `-`."""
        return f"{self.root}/pipeline/{pipeline}/count/{re.sub('[+#/]', '-', label)}"

    def together(self, name: str) -> str:
        """Something seen and something heard have met."""
        return f"{self.root}/together/{name}/event"

    def snapshot(self, pipeline: str) -> str:
        return f"{self.root}/pipeline/{pipeline}/snapshot"

    def state(self, thing: str, name: str) -> str:
        """Retained state of something a command can set, such as `source/dock/enabled/state`."""
        return f"{self.root}/{thing}/{name}/state"

    def command(self, thing: str, name: str) -> str:
        """Where a source or a pipeline is told something."""
        return f"{self.root}/{thing}/{name}/set"

    @property
    def every_set(self) -> str:
        """Subscription to all `…/<thing>/<name>/set` commands."""
        return f"{self.root}/+/+/set"

    def request(self, name: str) -> str:
        """Where something is asked of the device."""
        return f"{self.root}/request/{name}"

    @property
    def every_request(self) -> str:
        return f"{self.root}/request/+"

    @property
    def every_retained(self) -> tuple[str, ...]:
        """Subscriptions to what we ourselves have published, to find what an earlier run left behind."""
        return (
            f"{self.root}/+/+/state",
            f"{self.root}/source/+/available",
            f"{self.root}/pipeline/+/count/+",
        )

    def response(self, name: str) -> str:
        return f"{self.root}/response/{name}"

    @property
    def answer(self) -> str:
        """Where the model services answer this device."""
        return f"{self.root}/answer"

    @property
    def piece(self) -> str:
        """Where a registry of models sends this device the pieces it asked for."""
        return f"{self.root}/models/piece"

    @property
    def models_desired(self) -> str:
        """Which versions of models this device is to run; retained, by its operator."""
        return f"{self.root}/models/desired"

    @property
    def models_reported(self) -> str:
        """How far it is with that, and why; retained."""
        return f"{self.root}/models/reported"

    @property
    def harvest_said(self) -> str:
        """Where a model service says what became of a sample that this device has sent."""
        return f"{self.root}/harvest/said"

    @property
    def config_desired(self) -> str:
        """Which signed configuration this device is to use; retained, by its operator."""
        return f"{self.root}/config/desired"

    @property
    def config_reported(self) -> str:
        """Which it uses, and why; retained."""
        return f"{self.root}/config/reported"

    def acknowledged(self, stream: str) -> str:
        """Where a collector publishes how far it has stored a stream (end-to-end acknowledgement); retained."""
        return f"{self.root}/acknowledged/{stream}"


REGISTRY = "model-registry"
EVERY_FETCH = f"{REGISTRY}/fetch/+"
"""Subscription of a registry to what all devices ask of it."""


def fetch(device: str) -> str:
    """Where this device asks a registry for a piece of a file."""
    return f"{REGISTRY}/fetch/{device}"


def fetching(topic: str) -> str | None:
    """Who asks on this topic; None for any other topic."""
    levels = topic.split("/")
    return levels[2] if levels[:2] == [REGISTRY, "fetch"] and len(levels) == 3 else None


SERVICES = "model-service"
EVERY_SERVICE = f"{SERVICES}/+/available"
"""Subscription to what all model services say of themselves."""


def question(model: str, device: str) -> str:
    """Where this device asks: it is a level of the topic so that the broker can hold each device to its own."""
    return f"{SERVICES}/{model}/infer/{device}"


def questions(group: str, model: str) -> str:
    """Shared subscription to the questions of all devices: each goes to one service of the group."""
    return f"$share/{group}/{SERVICES}/{model}/infer/+"


def asked(topic: str) -> tuple[str, str] | None:
    """Model and device of a question's topic; None for any other topic."""
    levels = topic.split("/")
    if len(levels) != 4 or levels[0] != SERVICES or levels[2] != "infer":
        return None
    return levels[1], levels[3]


HARVEST = "model-harvest"


def harvest(device: str) -> str:
    """Where this device sends samples for a model to learn from."""
    return f"{HARVEST}/sample/{device}"


def every_harvest(group: str) -> str:
    """Shared subscription to the samples of all devices: each goes to one service of the group."""
    return f"$share/{group}/{HARVEST}/sample/+"


def harvesting(topic: str) -> str | None:
    """Whose sample comes on this topic; None for any other topic."""
    levels = topic.split("/")
    return levels[2] if levels[:2] == [HARVEST, "sample"] and len(levels) == 3 else None


def service_available(service: str) -> str:
    """`online`, `draining` or `offline` (last will) with models, capacity and load; retained, QoS 1."""
    return f"{SERVICES}/{service}/available"


HOME_ASSISTANT = "homeassistant"
"""Home Assistant's discovery prefix, unless configured otherwise there."""


def plain(name: str) -> str:
    """A name of letters, digits and `-`, where Home Assistant takes no other; different names stay different."""
    return re.sub(r"[^A-Za-z0-9-]", lambda other: "".join(f"_{byte:02x}" for byte in other[0].encode()), name)


def original(plain_name: str) -> str:
    """The name that `plain` was given."""
    escaped = re.sub(r"(?:_[0-9a-f]{2})+", lambda other: other[0].replace("_", "%"), plain_name)
    return unquote(escaped)


def home_assistant_config(prefix: str, device: str, thing: str) -> str:
    """What Home Assistant is told of one thing of a device; retained, empty when it is gone."""
    return f"{prefix}/device/{device if device == '+' else plain(device)}/{thing}/config"


def home_assistant_status(prefix: str) -> str:
    """`online` whenever Home Assistant starts, `offline` when it ends."""
    return f"{prefix}/status"
