"""A web server on a thread of its own: `run` with sockets that listen already."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import uvicorn

from appliance.oip.sockets import MOST_CONNECTIONS, Connection, connections


class WebServer(uvicorn.Server):
    """Looks ten times a second whether it is to stop, as uvicorn's own looks for signals."""

    def __init__(
        self,
        application: Any,
        stopping: threading.Event,
        pair: tuple[Path, Path] | None,
        stop_within_s: int,
        connection: type[Connection] | None = None,
    ) -> None:
        """Serves an ASGI application until `stopping`. `pair`: certificate and key, for TLS. Answers that are under way
        are then given `stop_within_s`. `connection`: the class of its connections, if not the usual
        one."""
        self._stopping = stopping
        super().__init__(
            uvicorn.Config(
                application,
                loop="asyncio",
                http=connection or connections(),
                proxy_headers=False,  # a caller could give itself any address
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                backlog=MOST_CONNECTIONS,
                timeout_keep_alive=60,
                timeout_graceful_shutdown=stop_within_s,
                ssl_certfile=pair[0] if pair else None,
                ssl_keyfile=pair[1] if pair else None,
            )
        )

    async def on_tick(self, counter: int) -> bool:
        return self._stopping.is_set() or await super().on_tick(counter)
