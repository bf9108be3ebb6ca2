"""A device in virtual time: the product's rules, files and signatures, without threads, broker, camera or waiting."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from appliance.config import Config
from appliance.health import Health
from appliance.pipeline.feed import FeedFigures
from appliance.reconfigure.effective import Effective, begin
from appliance.reconfigure.fetching import Source
from appliance.reconfigure.live import LiveConfiguration
from appliance.reconfigure.standing import Standing
from appliance.reconfigure.store import Store
from appliance.reconfigure.trial import Terms
from appliance.registry.configurations import publish_configuration
from appliance.registry.shelf import Missing, Shelf
from appliance.sync.budget import Budget
from appliance.sync.carrier import Carrier, CarrierError, NoSuchFile, Piece
from appliance.sync.fetch import Fetcher
from appliance.sync.ledger import Ledger
from appliance.sync.published import Reference
from tests.registries import Owner

SICK = "# the camera of this one is not there\n"
PATIENCE_S, HOLD_S, STEP_S, LOOK_S = 6.0, 12.0, 2.0, 40.0


class AtHand:
    """A carrier from the folder of a registry."""

    def __init__(self, folder: Path) -> None:
        self._shelf = Shelf(folder)
        self.away = False

    def read(self, path: str, offset: int, most: int) -> Piece:
        if self.away:
            raise CarrierError("the registry is away")
        try:
            return self._shelf.read(path, offset, most)
        except Missing as error:
            raise NoSuchFile(path) from error

    def __enter__(self) -> Carrier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


def publish(owner: Owner, folder: Path, reference: str, text: str, *devices: str) -> None:
    path = folder / f"{reference}.toml"
    path.write_text(text, encoding="utf-8")
    publish_configuration(owner.repository, owner.keyring, path, Reference.parse(reference), devices or None)


class SimulatedDevice:
    """Lives from `start` to the next `start`; what is on its disk stays."""

    def __init__(
        self, folder: Path, registry: Path, anchor: bytes, checkpoint: Callable[[str], None] = lambda _words: None
    ) -> None:
        """`registry`: folder; `anchor`: of its owner."""
        folder.mkdir(parents=True, exist_ok=True)
        self.registry = AtHand(registry)
        self.now_s = 0.0
        self.report: Any = None
        self.unplugged = False
        self.asked = 0
        """How often the main thread was asked to read again."""
        self._ledger: Any = None
        self._folder, self._anchor, self._checkpoint = folder, anchor, checkpoint
        self.path = folder / "appliance.toml"
        (folder / "root.json").write_bytes(anchor)
        self.path.write_text(
            f"""
[device]
name = "box"
state_dir = "{folder}"
[mqtt]
[models]
root = "{folder}/root.json"
[reconfigure]
[[camera]]
name = "dock"
uri = "scene:shapes"
""",
            encoding="utf-8",
        )
        self.start()

    def start(self) -> None:
        """A new process: nothing is in memory."""
        self.end()
        self.store = Store(self._folder, self._checkpoint)
        self._use(begin(self.path))
        self.live = LiveConfiguration(
            self.store, self._source, Terms(PATIENCE_S, HOLD_S), self.found, self._health, self._apply, LOOK_S
        )
        self._due = False
        self._ledger = Ledger(self.store.ledger).__enter__()

    def end(self) -> None:
        """The process is gone."""
        if self._ledger is not None:
            self._ledger.__exit__(None, None, None)

    def desire(self, payload: bytes) -> None:
        self.live.desire(payload)

    def turn(self) -> None:
        """The thread, then the main thread, then a while."""
        self.live.turn(self._source(threading.Event()), self._ledger, self.now_s)
        if self._due:
            self._due = False
            self._use(self.live.read_again(self.path))
            self.live.used = self.found.version
        self.report = next(iter(self.live.reports.take_all(0)), self.report)
        self.now_s += STEP_S

    @property
    def standing(self) -> Standing:
        return self.store.standing()

    @property
    def config(self) -> Config:
        """What is in use."""
        return self.found.config

    def _apply(self) -> None:
        self.asked += 1
        self._due = True

    def _source(self, _stopping: threading.Event) -> Source:
        def fetcher(carrier: Carrier, folder: Path) -> Fetcher:
            folder.mkdir(parents=True, exist_ok=True)
            budget = Budget(None, lambda _s: None)
            return Fetcher(carrier, folder, budget=budget, wait=lambda _s: False, most_bytes=0, tries=1)

        return Source("box", self.path, self._anchor, lambda: self.registry, fetcher)

    def _health(self) -> Health:
        sick = self.unplugged or self._sick
        source = FeedFigures("offline" if sick else "online", "no such camera" if sick else "", "", 1, 0, 0)
        return Health("ok", (), 1.0, "synced", 1.0, {"dock": source}, {}, {}, ())

    def _use(self, found: Effective) -> None:
        version = found.version
        self._sick = bool(version.digest) and self.store.text(version).startswith(SICK)
        self.found = found


def document(n: int, config: str | None) -> bytes:
    return json.dumps({"n": n, "config": config}).encode()


def camera(fps: int) -> str:
    return f'[[camera]]\nname = "dock"\nuri = "scene:shapes"\nfps = {fps}\n'
