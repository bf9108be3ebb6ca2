"""A registry with a model in two versions, and a device that has the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from appliance.sync.carrier import Carrier
from tests.appliance.sync.world import Device, Hands, served_http, served_mqtt
from tests.conftest import Broker
from tests.registries import Owner


@pytest.fixture
def owner(tmp_path: Path) -> Owner:
    return Owner(tmp_path / "registry")


@pytest.fixture
def hands(owner: Owner) -> Hands:
    return Hands(owner.folder)


@pytest.fixture(params=["http", "mqtt"])
def carrier(request: pytest.FixtureRequest, hands: Hands) -> Iterator[Callable[[], Carrier]]:
    """Makes carriers of one kind to `hands`."""
    with ExitStack() as stack:
        if request.param == "http":
            yield stack.enter_context(served_http(hands))
        else:
            broker: Broker = request.getfixturevalue("broker")
            yield stack.enter_context(served_mqtt(hands, broker))


@pytest.fixture
def device(tmp_path: Path, owner: Owner, carrier: Callable[[], Carrier]) -> Device:
    return Device(tmp_path / "device", owner.anchor, carrier)
