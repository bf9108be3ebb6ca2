"""Both servers of the protocol, from listening to stopping."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.config_errors import ConfigError
from appliance.oip.desk import Desk
from appliance.oip.settings import OFF, Oip, address, is_loopback
from appliance.secret import credential, token

if TYPE_CHECKING:
    from appliance.oip.attention import Attention, AttentionFigures
    from appliance.oip.grpc_attention import GrpcAttention
    from appliance.service.room import Room

logger = logging.getLogger(__name__)

STOP_WITHIN_S = 3
"""Answers that are under way are given so long."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where it can be reached; None where that server is off."""

    http: str | None
    grpc: str | None


class Serving:
    """A room of models, offered over REST and gRPC. `listen`, then `run` on a thread of its own."""

    def __init__(
        self,
        room: Room,
        settings: Oip,
        name: str,
        *,
        lazy: bool = False,
        metrics: Callable[[], bytes] | None = None,
    ) -> None:
        """`name`: of the server, in its metadata. `lazy`: see Desk. `metrics`: what `/metrics` tells, if wanted."""
        self._metrics = metrics
        self._settings = settings
        self._desk = Desk(room, settings, name, lazy=lazy)
        self._token = token(settings.token_file) if settings.token_file else None
        self._socket: socket.socket | None = None
        self._grpc: Any = None
        self._attentions: dict[str, Attention | GrpcAttention] = {}
        self.addresses = Addresses(None, None)

    def figures(self) -> dict[str, AttentionFigures]:
        """By transport."""
        return {via: attention.figures() for via, attention in list(self._attentions.items())}

    def listen(self) -> Addresses:
        """From now on calls are taken; over REST they wait for `run`. Raises ConfigError, and then nothing is open."""
        from appliance.oip.sockets import check_pair, listening

        if self.pair is not None:
            check_pair("[oip]", *self.pair)
        http = grpc = None
        if self._settings.http != OFF:
            host, port = address(self._settings.http)
            self._socket = listening(host, port, "[oip]: http")
            http = _written(host, self._socket.getsockname()[1])
        if self._settings.grpc != OFF:
            try:
                grpc = self._start_grpc()
            except ConfigError:
                self.close()
                raise
        self.addresses = Addresses(http, grpc)
        return self.addresses

    def run(self, stopping: threading.Event) -> None:
        """Body of the thread `oip`: serves until `stopping`, then closes everything."""
        from appliance.oip.web_server import WebServer

        try:
            listener = self._socket
            if listener is None:
                stopping.wait()
            else:
                WebServer(self.application(), stopping, self.pair, STOP_WITHIN_S).run([listener])
        finally:
            self.close()

    def close(self) -> None:
        """Take no more calls. From any thread, any number of times."""
        grpc, self._grpc = self._grpc, None
        if grpc is not None:
            grpc.stop(STOP_WITHIN_S).wait()
        listener, self._socket = self._socket, None
        if listener is not None:
            listener.close()

    @property
    def pair(self) -> tuple[Path, Path] | None:
        """Certificate and key. Raises ConfigError for a credential that only the service has."""
        settings = self._settings
        if settings.cert_file is None or settings.key_file is None:
            return None
        return settings.cert_file, credential(settings.key_file)

    @property
    def most_bytes(self) -> int:
        return self._settings.max_mb * 1_000_000

    def _start_grpc(self) -> str:
        try:
            from appliance.oip.grpc_attention import GrpcAttention
            from appliance.oip.grpc_server import TOGETHER, start_server
        except ImportError as error:
            raise ConfigError(
                '[oip]: gRPC needs more packages: pip install "edge-inference-appliance[grpc]", or write grpc = "off"'
            ) from error
        host, port = address(self._settings.grpc)
        attention = self._attentions["grpc"] = GrpcAttention(TOGETHER * self.most_bytes)
        self._grpc, bound = start_server(self._desk, host, port, self.most_bytes, self.pair, self._token, attention)
        return _written(host, bound)

    def application(self) -> Any:
        """REST, without a server around it."""
        from appliance.oip.attention import Attention
        from appliance.oip.http import application

        attention = self._attentions["rest"] = Attention()
        host, _ = address(self._settings.http)
        return application(
            self._desk,
            self.most_bytes,
            attention,
            loopback=is_loopback(host),
            token=self._token,
            metrics=self._metrics,
        )


def _written(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
