"""The models of a device for other programs on it: a room of its own, where a model is opened when it is asked for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from appliance.catalogue import Catalogue
from appliance.oip.serving import Serving
from appliance.oip.settings import Oip
from appliance.service.backend import Local
from appliance.service.room import Room

if TYPE_CHECKING:
    from engines.bundle import Bundle
    from engines.model import Model

logger = logging.getLogger(__name__)


class OnDevice:
    """`listen`, then `run` on the thread `oip`. What the pipelines run is theirs: nothing is shared with them."""

    def __init__(
        self, settings: Oip, catalogue: Catalogue, device: str, open_model: Callable[[Bundle], Model], batch: int | None
    ) -> None:
        """`device`: its name, in the metadata. `batch`: most samples in one run. Raises ConfigError for a token file
        that cannot be read."""
        installed = {each.name for each in (*catalogue.library.list(), *catalogue.brought_along())}
        backends = {
            name: partial(Local, partial(catalogue.find, name), open_model, batch) for name in sorted(installed)
        }
        self._room = Room(backends, service=device, eager=False)
        self._serving = Serving(self._room, settings, device, lazy=True)

    def listen(self) -> None:
        """Raises ConfigError when it cannot listen where the configuration says."""
        addresses = self._serving.listen()
        logger.info("Open Inference Protocol: %s", ", ".join(filter(None, (addresses.http, addresses.grpc))))

    def run(self, stopping: threading.Event) -> None:
        """Until `stopping`; then everything is closed."""
        with self._room:
            self._serving.run(stopping)

    def check(self) -> None:
        """To be called now and then; raises Broken when a model hangs and cannot be called off."""
        self._room.check()
