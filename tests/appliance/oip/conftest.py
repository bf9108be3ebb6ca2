"""A room with the shipped models, offered over the protocol on free ports."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.catalogue import Catalogue
from appliance.oip.serving import Addresses, Serving
from appliance.oip.settings import Oip
from appliance.service.backend import Local
from appliance.service.room import Room
from engines.library import Library
from engines.model import Model
from tests.appliance.oip.caller import Caller
from tests.waiting import until

MODELS = ("shapes", "tones")


def shipped(folder: Path, *, eager: bool = True) -> Room:
    """A room of the models that come with the package."""
    catalogue = Catalogue.before_shipped(Library(folder))

    def backend(name: str) -> Callable[[], Local]:
        return lambda: Local(lambda: catalogue.find(name), lambda bundle: Model(bundle, threads=1), None)

    return Room({name: backend(name) for name in MODELS}, service="here", eager=eager)


@contextmanager
def offered(room: Room, settings: Oip | None = None, *, lazy: bool = False) -> Iterator[Addresses]:
    """This room over both transports until the block ends."""
    serving = Serving(room, settings or Oip(http="127.0.0.1:0", grpc="127.0.0.1:0"), "here", lazy=lazy)
    addresses = serving.listen()
    stopping = threading.Event()
    thread = threading.Thread(target=serving.run, args=(stopping,), daemon=True)
    thread.start()
    try:
        yield addresses
    finally:
        stopping.set()
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """Both shipped models, open."""
    with shipped(tmp_path_factory.mktemp("library")) as room:
        until(lambda: all(each.ready for each in room.models()), 20)
        yield room


@pytest.fixture(scope="module")
def served(room: Room) -> Iterator[Addresses]:
    """That room, over both transports."""
    with offered(room) as addresses:
        yield addresses


@pytest.fixture
def caller(served: Addresses) -> Iterator[Caller]:
    """One connection to its REST."""
    caller = Caller(served.http)
    yield caller
    caller.connection.close()
