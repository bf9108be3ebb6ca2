"""`/metrics` from listening to stopping: `listen`, then `run` on the thread `metrics`."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.metrics.settings import Metrics
from appliance.oip.settings import address, is_loopback
from appliance.secret import credential, token

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from appliance.metrics.observed import Observed

STOP_WITHIN_S = 2


class MetricsServer:
    """One port for one device. A scrape is answered on the server's own thread, from what others have counted."""

    def __init__(self, settings: Metrics) -> None:
        """Raises ConfigError for a token that cannot be read."""
        self.address = ""
        """Where it can be reached, as a URL; known once it listens."""
        self._settings = settings
        self._token = token(settings.token_file) if settings.token_file else None
        self._socket: socket.socket | None = None

    def listen(self) -> str:
        """From now on Prometheus connects, and waits for `run`. The URL; raises ConfigError, and then nothing is
        open."""
        from appliance.oip.sockets import check_pair, listening

        if self._pair is not None:
            check_pair("[metrics]", *self._pair)
        host, port = address(self._settings.listen)
        self._socket = listening(host, port, "[metrics]: listen")
        shown = f"[{host}]" if ":" in host else host
        scheme = "https" if self._pair else "http"
        self.address = f"{scheme}://{shown}:{self._socket.getsockname()[1]}/metrics"
        return self.address

    def run(self, stopping: threading.Event, observe: Callable[[], Observed]) -> None:
        """Body of the thread `metrics`: serves what `observe` gives until `stopping`, then closes everything."""
        from appliance.oip.web_server import WebServer

        listener = self._socket
        assert listener is not None, "listen first"
        try:
            WebServer(self._application(observe), stopping, self._pair, STOP_WITHIN_S).run([listener])
        finally:
            listener.close()

    @property
    def _pair(self) -> tuple[Path, Path] | None:
        """Certificate and key. Raises ConfigError for a credential that only the service has."""
        settings = self._settings
        if settings.cert_file is None or settings.key_file is None:
            return None
        return settings.cert_file, credential(settings.key_file)

    def _application(self, observe: Callable[[], Observed]) -> Starlette:
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        from starlette.responses import Response
        from starlette.routing import Route

        from appliance.metrics.exposition import CONTENT_TYPE, exposition
        from appliance.oip.guard import Guard

        async def metrics(_request: Request) -> Response:
            return Response(exposition(observe()), headers={"content-type": CONTENT_TYPE})

        host, _ = address(self._settings.listen)
        return Starlette(
            routes=[Route("/metrics", metrics)],
            middleware=[Middleware(Guard, loopback=is_loopback(host), token=self._token)],
        )
