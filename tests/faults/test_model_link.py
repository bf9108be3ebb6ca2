"""A model of 50 MB over a link that is cut 20 times: it arrives, and what had arrived does not travel again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from appliance.mqtt.settings import LinkSettings
from appliance.registry.http import HttpServer
from appliance.registry.mqtt import MqttServer
from appliance.sync.carrier import Carrier
from appliance.sync.http_carrier import HttpCarrier
from appliance.sync.mqtt_carrier import MqttCarrier
from tests.appliance.sync.world import TOPICS, Device, Hands
from tests.chaos.telling import tell
from tests.conftest import Broker
from tests.registries import Owner, as_version, noise, shipped
from tests.tcp_faults import FaultyProxy
from tests.waiting import until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

SIZE = 50_000_000
CUTS = 20


@pytest.fixture
def owner(tmp_path: Path) -> Owner:
    made = Owner(tmp_path / "registry")
    made.publish(as_version(shipped("shapes"), "1", tmp_path / "bundles", noise(SIZE)))
    return made


class Link:
    """A carrier through a proxy, to hands that count."""

    def __init__(self, hands: Hands, proxy: FaultyProxy, carrier: Callable[[], Carrier]) -> None:
        self.hands, self.proxy, self.carrier = hands, proxy, carrier


@pytest.fixture(params=["http", "mqtt"])
def link(request: pytest.FixtureRequest, owner: Owner) -> Iterator[Link]:
    hands, stopping = Hands(owner.folder), threading.Event()
    with ExitStack() as stack:
        if request.param == "http":
            server = HttpServer(hands, "127.0.0.1", 0)
            thread = threading.Thread(target=server.run)
            stack.callback(thread.join)
            stack.callback(server.stop)
            thread.start()
            proxy = stack.enter_context(FaultyProxy(urlsplit(server.url).port or 0))
            yield Link(hands, proxy, lambda: HttpCarrier(f"http://127.0.0.1:{proxy.port}", patience_s=5.0))
            return
        broker: Broker = request.getfixturevalue("broker")
        mqtt = MqttServer(hands, LinkSettings(broker.url, "registry", first_wait_s=0.05), "appliance")
        thread = threading.Thread(target=mqtt.run, args=(stopping,))
        stack.callback(thread.join)
        stack.callback(stopping.set)
        thread.start()
        until(mqtt.connected.is_set)
        proxy = stack.enter_context(FaultyProxy(broker.port))
        settings = LinkSettings(proxy.url, "appliance-dock-1-models", first_wait_s=0.05, longest_wait_s=0.2)
        yield Link(hands, proxy, lambda: MqttCarrier(settings, TOPICS, stopping, patience_s=10.0))


def test_it_arrives_with_at_most_a_tenth_more_than_its_size(link: Link, owner: Owner, tmp_path: Path) -> None:
    device = Device(tmp_path / "device", owner.anchor, link.carrier)
    device.tries = 100
    link.proxy.bytes_per_s = 10_000_000
    found: list[Path] = []
    fetching = threading.Thread(target=lambda: found.append(device.pull("shapes@1")["extra.bin"]))
    began_s = time.monotonic()
    fetching.start()
    for cut in range(1, CUTS + 1):
        wanted = cut * SIZE // (CUTS + 1)
        until(lambda wanted=wanted: link.hands.given_bytes >= wanted, 60, f"{wanted} bytes")  # type: ignore[misc]
        link.proxy.reset()
    fetching.join(120)
    assert found, "it did not arrive"
    assert found[0].read_bytes() == noise(SIZE)
    share = link.hands.given_bytes / SIZE
    tell("G17 cut link", cuts=CUTS, share=round(share, 4), seconds=round(time.monotonic() - began_s, 1))
    assert share <= 1.10
