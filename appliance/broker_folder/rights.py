"""Who may say and hear what on the broker: one table, from which the access file and docs/security.md are written.

What is not in the table is denied. Nobody may write what another one says: a device's name stands in every topic it
publishes, in its questions, and in the topic of its answers; a service's name in its announcement.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from appliance.mqtt.topics import (
    EVERY_FETCH,
    HOME_ASSISTANT,
    Topics,
    fetch,
    harvest,
    home_assistant_config,
    home_assistant_status,
    question,
    service_available,
)

ANY = "+"
RESPONSES = "responses"
"""First level of response topics that prove who answers: `responses/<who asked>/<device>`."""


class Role(str, Enum):
    """What somebody is to the broker."""

    DEVICE = "device"
    SERVICE = "service"
    VIEWER = "viewer"
    COLLECTOR = "collector"
    OPERATOR = "operator"
    REGISTRY = "registry"


ROLE_WORDS = {
    Role.DEVICE: "an appliance: publishes under its own name, hears commands to it, asks model services",
    Role.SERVICE: "a model service: hears questions, answers them, announces itself",
    Role.VIEWER: "a dashboard or a person: hears what devices and services publish, says nothing",
    Role.COLLECTOR: "a viewer that also says how far it has stored each stream",
    Role.OPERATOR: "a viewer that also sends commands and requests",
    Role.REGISTRY: "a registry of models: hears which pieces devices ask for, and sends them",
}


@dataclass(frozen=True, slots=True)
class Right:
    """One thing that somebody may do."""

    verb: Literal["read", "write"]
    """`read` is to be given messages, `write` to publish them."""

    topic: str
    """A topic filter; whoever has the right stands in it by name."""

    why: str


def rights(
    role: Role, name: str, base: str, models: tuple[str, ...] = (), *, replicas: bool = False
) -> tuple[Right, ...]:
    """All that `name` may do. `models` are those a service answers for; none named means every model.

    `replicas`: many services share the name, as in a Kubernetes Deployment; each announces itself under another.
    """
    match role:
        case Role.DEVICE:
            return (*_published("write", base, name), *_of_device(base, name))
        case Role.SERVICE:
            return tuple(_of_service(base, ANY if replicas else name, models))
        case Role.VIEWER:
            return (*_published("read", base, ANY), _announcements())
        case Role.COLLECTOR:
            stored = Right("write", Topics(base, ANY).acknowledged(ANY), "how far a stream is stored")
            return (*rights(Role.VIEWER, name, base), stored)
        case Role.OPERATOR:
            return (*rights(Role.VIEWER, name, base), *_of_operator(base, name))
        case Role.REGISTRY:
            asked = Right("read", EVERY_FETCH, "which pieces of models devices ask for")
            return (asked, Right("write", Topics(base, ANY).piece, "pieces, to the device that asked"))


def _published(verb: Literal["read", "write"], base: str, device: str) -> Iterator[Right]:
    """What a device tells the world."""
    topics = Topics(base, device)
    yield Right(verb, topics.available, "whether the device is there")
    yield Right(verb, topics.info, "versions, sources, pipelines")
    yield Right(verb, topics.health, "status and reasons")
    yield Right(verb, topics.schema, "what is published where")
    yield Right(verb, topics.source_available(ANY), "whether a source delivers")
    yield Right(verb, topics.result(ANY), "results")
    yield Right(verb, topics.event(ANY), "events")
    yield Right(verb, topics.together(ANY), "what is seen and heard together")
    yield Right(verb, topics.count(ANY, "label").removesuffix("label") + ANY, "counts")
    yield Right(verb, topics.snapshot(ANY), "the picture of an event, where asked for")
    yield Right(verb, topics.state(ANY, ANY), "what commands have set")
    yield Right(verb, topics.response(ANY), "responses to requests")
    yield Right(verb, topics.models_reported, "how far it is with the models that it is to run")
    yield Right(verb, topics.config_reported, "which configuration it uses, and why")


def _of_device(base: str, name: str) -> Iterator[Right]:
    topics = Topics(base, name)
    yield Right("read", topics.every_set, "commands")
    yield Right("read", topics.every_request, "requests")
    for topic in topics.every_retained:
        yield Right("read", topic, "what an earlier run left behind")
    yield Right("read", topics.acknowledged(ANY), "how far a collector has stored a stream")
    yield Right("write", f"{RESPONSES}/{ANY}/{name}", "responses on the topic that the asker named")
    yield Right("write", question(ANY, name), "questions to model services, under its own name only")
    of_home_assistant = home_assistant_config(HOME_ASSISTANT, name, ANY)
    yield Right("write", of_home_assistant, "what Home Assistant finds of it, where asked for")
    yield Right("read", of_home_assistant, "what an earlier run has told Home Assistant")
    yield Right("read", home_assistant_status(HOME_ASSISTANT), "when Home Assistant starts")
    yield Right("read", topics.answer, "answers to its own questions")
    yield Right("write", fetch(name), "which piece of a model it needs, under its own name only")
    yield Right("read", topics.piece, "pieces of models that it asked for")
    yield Right("read", topics.models_desired, "which versions of models it is to run")
    yield Right("write", harvest(name), "samples to learn from, where asked for, under its own name only")
    yield Right("read", topics.harvest_said, "what became of them")
    yield Right("read", topics.config_desired, "which signed configuration it is to use")
    yield _announcements()


def _of_service(base: str, name: str, models: tuple[str, ...]) -> Iterator[Right]:
    for model in models or (ANY,):
        yield Right("read", question(model, ANY), "questions of every device (through a shared subscription)")
    yield Right("write", Topics(base, ANY).answer, "answers to the device that asked")
    yield Right("read", harvest(ANY), "samples to learn from, of every device (through a shared subscription)")
    yield Right("write", Topics(base, ANY).harvest_said, "what became of a sample, to the device that sent it")
    yield Right("write", service_available(name), "its announcement, under its own name only (replicas: under any)")
    yield _announcements()


def _of_operator(base: str, name: str) -> Iterator[Right]:
    topics = Topics(base, ANY)
    yield Right("write", topics.every_set, "commands")
    yield Right("write", topics.every_request, "requests")
    yield Right("write", topics.models_desired, "which versions of models devices are to run")
    yield Right("read", topics.models_desired, "which they were told to run before")
    yield Right("write", topics.config_desired, "which signed configuration devices are to use")
    yield Right("read", topics.config_desired, "which they were told to use before")
    yield Right("read", f"{RESPONSES}/{name}/{ANY}", "responses to its own requests")
    yield Right("read", home_assistant_config(HOME_ASSISTANT, ANY, ANY), "discovery, where it is a Home Assistant")
    yield Right("write", home_assistant_status(HOME_ASSISTANT), "that it starts, where it is a Home Assistant")
    yield Right("read", home_assistant_status(HOME_ASSISTANT), "that it starts: it listens to itself")


def _announcements() -> Right:
    return Right("read", service_available(ANY), "which model services there are")
