"""What every caller of the protocol may ask, whatever brings the question: REST and gRPC stand in front of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ulid import ULID

from appliance.oip import metadata, rows, statistics
from appliance.oip.inquiry import Answered, Asked, Inquiry
from appliance.oip.settings import Oip
from appliance.questions.question import Question, Refused
from engines.engine import Tensors

if TYPE_CHECKING:
    from appliance.service.room import Room, Standing


class Desk:
    """Answers for a room of models. Any number of threads may ask at once; all of it raises Refused."""

    def __init__(self, room: Room, settings: Oip, name: str, *, lazy: bool = False) -> None:
        """`lazy`: models are loaded when they are first asked for, unless a caller has unloaded them."""
        self._room = room
        self._settings = settings
        self._name = name
        self._lazy = lazy
        self._unloaded: set[str] = set()

    def ready(self) -> bool:
        """Every model that is to be answered for is open; with `lazy` that is so from the start."""
        return self._lazy or all(each.ready or each.name in self._unloaded for each in self._room.models())

    def server(self) -> dict[str, Any]:
        return metadata.of_server(self._name)

    def model_ready(self, name: str, version: str) -> bool:
        """False for a model that is not loaded; one nobody knows is refused."""
        standing = self._find(name, version)
        return standing.ready or self._loads(standing)

    def model(self, name: str, version: str) -> dict[str, Any]:
        return metadata.of_model(self._opened(name, version))

    def config(self, name: str, version: str) -> dict[str, Any]:
        return metadata.config_of(self._opened(name, version))

    def statistics(self, name: str, version: str) -> dict[str, Any]:
        """Of one model, or with an empty name of all."""
        standings = [self._find(name, version)] if name else self._room.models()
        return {"model_stats": [statistics.of_model(each) for each in standings]}

    def index(self, only_ready: bool) -> list[dict[str, Any]]:
        return [metadata.index_of(each) for each in self._room.models() if each.ready or not only_ready]

    def load(self, name: str) -> None:
        """Blocks until the model is open."""
        self._may_change()
        self._room.load(self._find(name, "").name)
        self._unloaded.discard(name)

    def unload(self, name: str) -> None:
        self._may_change()
        self._find(name, "")
        self._unloaded.add(name)
        self._room.unload(name)

    def infer(self, asked: Asked, caller: str) -> Answered:
        """Blocks until every sample has its answer or the deadline has come."""
        with self.begin(asked, caller) as inquiry:
            inquiry.wait()
            return inquiry.answered()

    def begin(self, asked: Asked, caller: str) -> Inquiry:
        """Put it to its model. `caller`: whose turn it waits for."""
        within_s = self._settings.timeout_s
        if asked.within_s is not None:
            within_s = min(within_s, asked.within_s)
        deadline_ns = time.monotonic_ns() + int(within_s * 1e9)
        standing = self._opened(asked.model, asked.version)
        samples = rows.apart(asked.inputs, standing)
        answers = [self._room.ask(_question(standing, sample, deadline_ns, caller)) for sample in samples]
        return Inquiry(asked, standing, answers, deadline_ns)

    def _find(self, name: str, version: str) -> Standing:
        for each in self._room.models():
            if each.name == name:
                if version and version != (each.version or version):
                    raise Refused("unknown-model", f"{name}: version {version} is not here, {each.version} is")
                return each
        raise Refused(
            "unknown-model", f"no model is called {name[:80]}; the repository index lists those that are here"
        )

    def _opened(self, name: str, version: str) -> Standing:
        standing = self._find(name, version)
        if not standing.ready and self._loads(standing):
            self._room.load(name)
            standing = self._find(name, version)
        if not standing.ready:
            raise Refused("draining", f"{name} is not loaded{': ' + standing.fault if standing.fault else ''}")
        return standing

    def _loads(self, standing: Standing) -> bool:
        return self._lazy and standing.name not in self._unloaded

    def _may_change(self) -> None:
        if not self._settings.repository:
            raise Refused("malformed", "callers may not load or unload models here (repository = false)")


def _question(standing: Standing, sample: Tensors, deadline_ns: int, caller: str) -> Question:
    return Question(
        id=str(ULID()),
        device=caller,
        model=standing.name,
        version=None,
        first=None,
        last=None,
        picture=None,
        sound=None,
        tensors=sample,
        decode=False,
        threshold=None,
        labels=None,
        deadline_ns=deadline_ns,
    )
