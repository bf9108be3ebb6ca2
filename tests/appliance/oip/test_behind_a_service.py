"""A whole `appliance serve` whose networks another server runs: asked over MQTT, it asks over the protocol."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.oip.settings import Oip
from appliance.questions import codec
from appliance.questions.question import Refused, Reply
from appliance.remote.asker import Asker
from appliance.service.room import Room
from tests.appliance.oip.conftest import offered
from tests.appliance.oip.test_backend import _pictures
from tests.conftest import Broker, free_port
from tests.model_services import asked, asking
from tests.served_models import serving
from tests.waiting import until

pytestmark = [pytest.mark.broker, pytest.mark.system]


@pytest.fixture(params=["http", "grpc"])
def edge(request: pytest.FixtureRequest, broker: Broker, tmp_path: Path) -> Iterator[tuple[Asker, Oip]]:
    """Somebody who asks a service, and where that service looks for its serving engine, which is not there yet."""
    ports = {"http": free_port(), "grpc": free_port()}
    model = f'[[model]]\nname = "shapes"\nserver = "{request.param}://127.0.0.1:{ports[request.param]}"\n'
    with serving(broker.url, tmp_path, more=model) as process, asking(broker.url) as asker:
        until(lambda: asker.standing("shapes").offers or "cannot be asked" in process.log, 30, "the service is known")
        yield asker, Oip(http=f"127.0.0.1:{ports['http']}", grpc=f"127.0.0.1:{ports['grpc']}")


def _ask(asker: Asker, jpeg: bytes) -> Reply | Refused:
    heard = queue.Queue[Reply | Refused]()
    question = replace(asked(5.0)[0], model="shapes", first=None, tensors={})
    asker.ask(question, codec.encode_question(question, jpeg=jpeg), heard.put)
    return heard.get(timeout=10)


def _jpeg() -> bytes:
    import cv2

    return bytes(cv2.imencode(".jpg", _pictures(1)[0])[1])


def test_it_answers_while_the_engine_is_there_and_again_when_it_is_back(room: Room, edge: tuple[Asker, Oip]) -> None:
    asker, settings = edge
    jpeg = _jpeg()
    for _ in range(2):
        with offered(room, settings):
            until(lambda: asker.standing("shapes").usable, 60, "the service has found its engine")
            reply = until(lambda: _answer(asker, jpeg), 30, "an answer")
            assert reply is not None
            assert reply.engine == "oip"
            assert reply.answer is not None
            assert reply.answer.predictions
        refused = until(lambda: _refusal(asker, jpeg), 30, "a refusal")
        assert refused is not None
        assert refused.code in ("failed", "unknown-model", "expired")


def _answer(asker: Asker, jpeg: bytes) -> Reply | None:
    outcome = _ask(asker, jpeg)
    return outcome if isinstance(outcome, Reply) else None


def _refusal(asker: Asker, jpeg: bytes) -> Refused | None:
    outcome = _ask(asker, jpeg)
    return outcome if isinstance(outcome, Refused) else None
