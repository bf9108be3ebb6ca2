"""A service whose networks another server of the protocol runs; here that server is one of ours."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from ulid import ULID

from appliance.oip import sockets
from appliance.oip.backend import Served
from appliance.oip.client import connect
from appliance.oip.engine import OipEngine
from appliance.oip.serving import Addresses
from appliance.oip.settings import Oip
from appliance.questions.question import Question, Refused, Reply
from appliance.questions.tensors import Tensor
from appliance.result import ModelId
from appliance.service.backend import Local, Opened, StageSpecs
from appliance.service.room import Room
from capture.open import open_source
from capture.options import VideoOptions
from capture.samples import Frame
from engines.bundle import Bundle
from engines.engine import Array, EngineError
from engines.model import Model
from engines.onnxrt import OnnxEngine
from engines.predictions import Prediction
from engines.tensorrt.options import GpuOptions
from engines.tensorrt.recipe import recipe_of
from tests import networks
from tests.appliance.oip.conftest import offered
from tests.conftest import free_port
from tests.served_models import halved
from tests.served_models import shipped as bundle_of
from tests.waiting import until

TRANSPORTS = ("http", "grpc")


@pytest.fixture(params=TRANSPORTS)
def url(request: pytest.FixtureRequest, served: Addresses) -> str:
    """Our own server, by each transport."""
    return f"{request.param}://{getattr(served, request.param)}"


def _pictures(count: int) -> list[Array]:
    with open_source("test", "scene:shapes", VideoOptions(realtime=False)) as source:
        frames = (frame for frame in source if isinstance(frame, Frame))
        return [frame.pixels for frame, _ in zip(frames, range(count), strict=False)]


def _question(bundle: Bundle, picture: Array) -> Question:
    return Question(
        id=str(ULID()),
        device="dock",
        model=bundle.manifest.name,
        version=None,
        first=None,
        last=None,
        picture=picture,
        sound=None,
        tensors={},
        decode=True,
        threshold=None,
        labels=None,
        deadline_ns=time.monotonic_ns() + 10_000_000_000,
    )


def _predictions(reply: Reply | Refused) -> tuple[Prediction, ...]:
    assert isinstance(reply, Reply), reply
    assert reply.answer is not None
    return reply.answer.predictions


def _locally(bundle: Bundle, pictures: list[Array]) -> list[tuple[Prediction, ...]]:
    local = Local(lambda: bundle, lambda found: Model(found, engine="onnxruntime", threads=1), None)
    local.open()
    try:
        return [_predictions(local.run([_question(bundle, picture)])[0]) for picture in pictures]
    finally:
        local.close()


def test_predictions_are_those_of_the_same_network_in_this_process(url: str) -> None:
    bundle, pictures = bundle_of("shapes"), _pictures(5)
    served = Served(lambda: bundle, url)
    opened = served.open()
    try:
        answers = [_predictions(served.run([_question(bundle, picture)])[0]) for picture in pictures]
    finally:
        served.close()
    assert opened.engine == "oip"
    assert answers == _locally(bundle, pictures)
    assert any(answers)


class _Network:
    """A bare network in a room: its bundle knows more stages than this one."""

    def __init__(self, bundle: Bundle, stage: str) -> None:
        self._bundle, self._stage = bundle, stage
        self._engine = OnnxEngine(bundle.stage_path(stage), threads=1)

    def open(self) -> Opened:
        engine = self._engine.__enter__()
        return Opened(self._bundle.manifest, engine.name, {self._stage: StageSpecs(engine.inputs, engine.outputs)}, 1)

    def run(self, questions: Sequence[Question]) -> list[Reply | Refused]:
        manifest = self._bundle.manifest
        model = ModelId(manifest.name, manifest.version, manifest.digest)
        return [Reply(each.id, model, None, self._engine.run(each.tensors), 0, 0, "", "") for each in questions]

    def cancel(self) -> None:
        self._engine.cancel()

    def close(self) -> None:
        self._engine.__exit__(None, None, None)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_model_of_two_stages_asks_for_each_by_its_name(transport: str, tmp_path: Path) -> None:
    whole, pictures = bundle_of("shapes"), _pictures(2)
    parts = halved("shapes", "averagepool14", tmp_path)
    stages = [stage.name for stage in parts.manifest.stages]
    room = Room({f"shapes-{stage}": partial(_Network, parts, stage) for stage in stages})
    with room, offered(room) as addresses:
        until(lambda: all(each.ready for each in room.models()), 10)
        served = Served(lambda: parts, f"{transport}://{getattr(addresses, transport)}")
        served.open()
        try:
            answers = [_predictions(served.run([_question(parts, picture)])[0]) for picture in pictures]
        finally:
            served.close()
    assert answers == _locally(whole, pictures)


# -- a server that is not as it should be -----------------------------------------------------------------------------


def _shapes(url: str, model: str = "shapes") -> OipEngine:
    bundle = bundle_of("shapes")
    return OipEngine(url, model, recipe_of(bundle, bundle.manifest.stages[0].name, GpuOptions()))


def test_a_model_that_the_server_does_not_have_is_named(url: str) -> None:
    with pytest.raises(EngineError, match="no model is called nosuch"):
        _shapes(url, "nosuch").__enter__()


def test_another_model_of_that_name_is_refused_before_it_is_asked(url: str) -> None:
    with pytest.raises(EngineError, match=r"has the inputs .* the bundle's network has picture \(UINT8\)"):
        _shapes(url, "tones").__enter__()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_other_weights_under_the_same_names_are_refused(transport: str) -> None:
    """It would answer, and see something else: nobody would notice for weeks."""
    bundle = bundle_of("shapes")

    class Other(_Network):
        def run(self, questions: Sequence[Question]) -> list[Reply | Refused]:
            replies = super().run(questions)
            return [
                replace(reply, tensors={name: array[:, ::-1].copy() for name, array in reply.tensors.items()})
                for reply in replies
                if isinstance(reply, Reply)
            ]

    with Room({"shapes": lambda: Other(bundle, bundle.manifest.stages[0].name)}) as room, offered(room) as addresses:
        until(lambda: room.models()[0].ready, 10)
        with pytest.raises(EngineError, match=r"another network than the bundle's: its numbers are off"):
            _shapes(f"{transport}://{getattr(addresses, transport)}").__enter__()


@pytest.mark.parametrize("scheme", TRANSPORTS)
def test_a_server_that_is_not_there_is_said_to_be_so(scheme: str) -> None:
    with pytest.raises(EngineError, match="cannot be asked"):
        _shapes(f"{scheme}://127.0.0.1:{free_port()}").__enter__()


@pytest.mark.parametrize("url", ["ftp://host:1", "http://", "grpc://host:99999"])
def test_an_address_that_is_none_is_said_to_be_so(url: str) -> None:
    with pytest.raises(EngineError, match=r"address|Port"):
        connect(url, 1)


@contextmanager
def answering(*pieces: bytes) -> Iterator[str]:
    """A server that takes connections, one by one, and sends the same to each whatever is asked."""
    stopping = threading.Event()

    def serve(listener: socket.socket) -> None:
        while not stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    connection.recv(65536)
                    for piece in pieces:
                        connection.sendall(piece)
                        if stopping.wait(0.02):
                            return
                    if not pieces:
                        stopping.wait(5)
                except OSError:
                    continue

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stopping.set()
            listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts
            thread.join(10)


@pytest.mark.parametrize("scheme", TRANSPORTS)
def test_a_silent_server_is_not_waited_for(scheme: str) -> None:
    with answering() as where:
        client = connect(f"{scheme}://{where}", 0.2)
        with pytest.raises(EngineError, match="no answer within"):
            client.model("shapes")
        client.close()


def test_a_server_that_drips_is_waited_for_no_longer_than_a_silent_one() -> None:
    drops = [b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", *[b"x"] * 100]
    with answering(*drops) as where:
        client = connect(f"http://{where}", 0.2)
        with pytest.raises(EngineError, match="no answer within"):
            client.model("shapes")
        client.close()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "breaks the protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", "cannot be asked"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n{}", "503: Busy"),
        (b"what?\r\n\r\n", "cannot be asked"),
        (b"", "cannot be asked"),
    ],
    ids=["no JSON", "cut off", "an error", "no HTTP", "nothing"],
)
def test_an_answer_that_is_none_is_an_error_of_the_engine(answer: bytes, words: str) -> None:
    with answering(answer) as where:
        client = connect(f"http://{where}", 2)
        with pytest.raises(EngineError, match=words):
            client.model("shapes")
        client.close()


@pytest.mark.parametrize("scheme", TRANSPORTS)
def test_a_call_in_progress_can_be_called_off(scheme: str) -> None:
    with answering() as where:
        client = connect(f"{scheme}://{where}", 30)
        errors: list[str] = []

        def ask() -> None:
            try:
                client.model("shapes")
            except EngineError as error:
                errors.append(str(error))

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()

        def called_off() -> bool:
            client.cancel()
            return bool(errors)

        until(called_off, 5)
        thread.join(5)
        client.close()
    assert "called off" in errors[0]


def test_a_server_that_starts_again_is_asked_on_a_new_connection() -> None:
    port = free_port()
    settings = Oip(http=f"127.0.0.1:{port}", grpc="off")
    client = connect(f"http://127.0.0.1:{port}", 5)
    bundle = bundle_of("shapes")
    backend = partial(Local, lambda: bundle, lambda found: Model(found, threads=1), None)
    for _ in range(2):
        with Room({"shapes": backend}) as room, offered(room, settings):
            until(lambda: room.models()[0].ready, 10)
            assert client.model("shapes")["name"] == "shapes"
    client.close()


def test_calls_share_a_connection(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []

    class Counted(sockets.Connection):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its parent's
            made.append(self)
            super().connection_made(transport)

    monkeypatch.setattr(sockets, "Connection", Counted)
    with offered(room) as addresses, _shapes(f"http://{addresses.http}") as engine:
        for _ in range(3):
            engine.run({"picture": np.zeros((1, 192, 320, 3), np.uint8)})
    assert len(made) == 1


def test_special_values_come_through_as_they_are(tmp_path: Path) -> None:
    """A network that answers NaN is for the decoder to judge, not for the way there."""
    bundle = bundle_of("tones")
    with OnnxEngine(networks.not_a_number(tmp_path / "nan.onnx")) as engine:
        specs = StageSpecs(engine.inputs, engine.outputs)

        class Nan(_Network):
            def open(self) -> Opened:
                return Opened(bundle.manifest, "onnxruntime", {"main": specs}, 1)

            def run(self, questions: Sequence[Question]) -> list[Reply | Refused]:
                model = ModelId("nan", "1", "")
                return [Reply(each.id, model, None, engine.run(each.tensors), 0, 0, "", "") for each in questions]

        with Room({"nan": lambda: Nan(bundle, "main")}) as room, offered(room) as addresses:
            until(lambda: room.models()[0].ready, 10)
            for transport in TRANSPORTS:
                client = connect(f"{transport}://{getattr(addresses, transport)}", 5)
                [answer] = client.infer("nan", [Tensor("x", np.zeros((1, 4), np.float32), {})], ["y"])
                client.close()
                assert np.isnan(answer.array).all()
