"""Who is on the broker of these tests, what they may do there, and how one tries to get in."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from appliance.broker_folder.rights import Right, Role, rights
from tests.secured_broker import SecuredBroker

MEMBERS = {
    "dock-1": (Role.DEVICE, ()),
    "dock-2": (Role.DEVICE, ()),
    "brain-1": (Role.SERVICE, ()),
    "brain-2": (Role.SERVICE, ("people",)),
    "board": (Role.VIEWER, ()),
    "store": (Role.COLLECTOR, ()),
    "boss": (Role.OPERATOR, ()),
    "shop": (Role.REGISTRY, ()),
}


def _rights(name: str) -> tuple[Right, ...]:
    role, models = MEMBERS[name]
    return rights(role, name, "appliance", models)


def _matches(topic: str, wanted: str) -> bool:
    """Whether a topic filter without `#` takes a topic."""
    levels, filters = topic.split("/"), wanted.split("/")
    return len(levels) == len(filters) and all(f in ("+", level) for level, f in zip(levels, filters, strict=True))


def may(name: str, verb: str, topic: str) -> bool:
    return any(right.verb == verb and _matches(topic, right.topic) for right in _rights(name))


def _everything() -> list[str]:
    """Every topic that somebody has a right to, with each of two names in each free place, and some that nobody has."""
    filters = {right.topic for name in MEMBERS for right in _rights(name)}
    filled = {one.replace("+", word) for one in filters for word in ("people", "dock-2", "brain-1", "boss")}
    return sorted(filled | {"appliance", "appliance/dock-1", "elsewhere/dock-1", "appliance/dock-1/answer/more"})


TOPICS = _everything()


def refused(broker: SecuredBroker, **how: object) -> None:
    with pytest.raises((ssl.SSLError, OSError)), broker.client("dock-1", **how):
        pass


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str = "localhost") -> str:
    """What the client says of the server, in memory."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = client.wrap_bio(back, there, server_hostname=host), server.wrap_bio(there, back, server_side=True)
    for _ in range(5):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                return str(error)
    return ""


def pair(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}.crt", folder / f"{name}.key"
