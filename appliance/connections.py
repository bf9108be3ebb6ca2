"""The ways in and out of the process that a reload leaves alone, each with threads of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from appliance.threads import Body
from appliance.uplink.outgoing import Outgoing
from appliance.uplink.uplink import Uplink

if TYPE_CHECKING:
    from appliance.metrics.observed import Observed
    from appliance.metrics.serving import MetricsServer
    from appliance.oip.on_device import OnDevice
    from appliance.page.serving import LivePage
    from appliance.traces.device import DeviceTraces


@dataclass(frozen=True, slots=True)
class Connections:
    """Those that the configuration asks for. What others connect to listens already."""

    uplink: Uplink | None = None
    """Without one (no [mqtt]) results are counted and not published."""
    oip: OnDevice | None = None
    page: LivePage | None = None
    metrics: MetricsServer | None = None
    traces: DeviceTraces | None = None

    def bodies(self, observe: Callable[[], Observed]) -> dict[str, Body]:
        """Their threads by name, in the order in which they start. `observe`: what metrics are made of."""
        bodies: dict[str, Body] = {}
        if self.traces is not None:
            bodies["traces"] = self.traces.collector.run
        if self.uplink is not None:
            bodies["uplink"] = self.uplink.run
        if self.oip is not None:
            bodies["oip"] = self.oip.run
        if self.page is not None:
            bodies |= {"page": self.page.run, "page encoder": self.page.encode}
        if self.metrics is not None:
            bodies["metrics"] = partial(self.metrics.run, observe=observe)
        return bodies

    def post(self, document: Outgoing) -> None:
        """Hand a document to the uplink, and to the live page; never blocks. Any thread."""
        if self.page is not None:
            self.page.hub.posted(document)
        if self.uplink is not None:
            self.uplink.mailbox.put(document)
