"""The thread `intake` against a real broker: what goes first, and that nothing waits for good."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from appliance.mailbox import Mailbox
from appliance.mqtt.incoming import Incoming
from appliance.mqtt.settings import LinkSettings
from appliance.mqtt.topics import service_available
from appliance.questions.announcement import Announcement, ServedModel, announcement_from_json
from appliance.questions.question import Refused
from appliance.service.intake import Intake, link_for_service
from appliance.service.outgoing import Answer, Outgoing, Sender
from tests.conftest import Broker
from tests.uplinks import Listener
from tests.waiting import until

pytestmark = pytest.mark.broker

AVAILABLE = service_available("attic")
SENDER = Sender("dock", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "appliance/dock/answer")


@contextmanager
def at_work(
    url: str, outgoing: Outgoing, ready: threading.Condition, announce: Callable[[], Announcement]
) -> Iterator[Intake]:
    link = link_for_service(LinkSettings(url, client_id="attic"), 100_000)
    inbox: Mailbox[Incoming] = Mailbox(1)
    intake = Intake(link, inbox, outgoing, ready, announce)
    stopping = threading.Event()
    thread = threading.Thread(target=intake.run, args=(stopping,), name="intake")
    thread.start()
    try:
        until(lambda: intake.figures().connected)
        yield intake
    finally:
        stopping.set()
        intake.wake()
        thread.join(5)
        assert not thread.is_alive(), "the intake does not stop"


@pytest.mark.system
def test_a_service_that_answers_without_a_pause_still_says_how_it_is(broker: Broker) -> None:
    ready = threading.Condition()
    models: tuple[ServedModel, ...] = ()

    class Restless(Outgoing):
        """Has something to send whenever it is looked at."""

        def refusals(self, most: int) -> list[Answer]:
            return [Answer(SENDER, Refused("busy", "no room"), 0)]

    with (
        Listener(broker.port, AVAILABLE) as listener,
        at_work(broker.url, Restless(ready), ready, lambda: Announcement("attic", "online", "test", models)) as intake,
    ):
        until(lambda: listener.on(AVAILABLE))
        models = (ServedModel("people", True, "1", "sha256:" + "0" * 64),)
        until(lambda: [each.name for each in announcement_from_json(listener.on(AVAILABLE)[-1]).models] == ["people"])
        assert intake.figures().refused > 0
        intake.drain()
        assert intake.quiet.wait(5)
