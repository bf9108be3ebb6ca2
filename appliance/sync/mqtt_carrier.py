"""A registry over MQTT 5: pieces are asked for by name and place, and asked for again when nothing comes."""

from __future__ import annotations

import json
import secrets
import threading
import time
from dataclasses import dataclass
from types import TracebackType

from appliance.mailbox import Mailbox
from appliance.mqtt.connection import ConnectionGone, Greeting, Up
from appliance.mqtt.incoming import Incoming
from appliance.mqtt.link import Link
from appliance.mqtt.properties import Written
from appliance.mqtt.settings import LinkSettings
from appliance.mqtt.topics import Topics, fetch
from appliance.sync.carrier import CarrierError, NoSuchFile, Piece, Stopped
from appliance.sync.pieces import PIECE_BYTES, Said

AGAIN_S = 4.0
"""Without an answer, a piece is asked for again after this long; after a new connection at once."""
WINDOW = 2
"""Pieces on their way at once: what a cut can cost, and what results on the same line may have to wait for."""
PATIENCE_S = 20.0
"""Without any answer for this long, a read has failed."""
TICK_S = 0.1


@dataclass(slots=True)
class _Want:
    """A piece that was asked for."""

    offset: int
    most: int
    asked_s: float = float("-inf")
    piece: Piece | None = None


class MqttCarrier:
    """Turns its own connection while it reads; between reads nobody does, and the broker may end it."""

    def __init__(
        self, settings: LinkSettings, topics: Topics, stopping: threading.Event, patience_s: float = PATIENCE_S
    ) -> None:
        """`settings`: with a client id that nobody else has."""
        self._topics = topics
        self._stopping = stopping
        self._patience_s = patience_s
        self._ready = threading.Condition()
        self._incoming: Mailbox[Incoming] = Mailbox(64, self._ready)
        self._link = Link(settings, Greeting(subscriptions=(topics.piece,)), self._incoming, self._ready)

    def __enter__(self) -> MqttCarrier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._link.finish(1.0)

    def read(self, path: str, offset: int, most: int) -> Piece:
        starts = range(offset, offset + most, PIECE_BYTES)
        wants = {secrets.token_bytes(8): _Want(start, min(PIECE_BYTES, offset + most - start)) for start in starts}
        heard_s = time.monotonic()
        while any(want.piece is None for want in wants.values()):
            if self._stopping.is_set():
                raise Stopped
            now_s = time.monotonic()
            self._link.tend(now_s)
            if any(isinstance(event, Up) for event in self._link.events(now_s)):
                for want in wants.values():
                    want.asked_s = float("-inf")
            if self._link.up is not None:
                self._ask(path, wants, now_s)
            if self._hear(path, wants):
                heard_s = now_s
            elif now_s - heard_s > self._patience_s:
                raise CarrierError(self._silence(path))
            with self._ready:
                self._ready.wait_for(lambda: len(self._incoming) or self._link.has_events, TICK_S)
        pieces = [want.piece for want in wants.values() if want.piece is not None]
        return Piece(b"".join(piece.content for piece in pieces), pieces[0].total if pieces else 0)

    def _ask(self, path: str, wants: dict[bytes, _Want], now_s: float) -> None:
        waiting = [(correlation, want) for correlation, want in wants.items() if want.piece is None]
        for correlation, want in waiting[:WINDOW]:
            if now_s - want.asked_s < AGAIN_S:
                continue
            question = json.dumps({"path": path, "offset": want.offset, "most": want.most})
            properties = Written(expires_s=int(AGAIN_S), response_topic=self._topics.piece, correlation=correlation)
            try:
                self._link.publish(fetch(self._topics.device), question.encode(), qos=0, properties=properties)
            except ConnectionGone:
                return  # the link says so, and makes another
            want.asked_s = now_s

    def _hear(self, path: str, wants: dict[bytes, _Want]) -> bool:
        """Whether something came that was asked for. Raises CarrierError."""
        heard = False
        for incoming in self._incoming.take_all(0):
            want, said = wants.get(incoming.correlation or b""), Said.read(incoming.user)
            if want is None or want.piece is not None or incoming.topic != self._topics.piece:
                continue  # late, or nobody's
            if said is None:
                raise CarrierError(f"{path}: the registry's answer is none")
            if said.total is None:
                raise NoSuchFile(f"the registry has no {path}")
            if len(incoming.payload) != max(0, min(want.most, said.total - want.offset)):
                raise CarrierError(f"{path}: the registry sent {len(incoming.payload)} bytes, other than asked for")
            want.piece, heard = Piece(incoming.payload, said.total), True
        return heard

    def _silence(self, path: str) -> str:
        if self._link.up is None:
            return self._link.words
        if (words := self._link.deaf.get(self._topics.piece)) is not None:
            return f"{self._topics.piece}: {words}"
        return f"{path}: no registry answers on the broker; is `appliance registry serve --broker` running?"
