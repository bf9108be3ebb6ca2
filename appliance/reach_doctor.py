"""Whether the unit lets the service talk to the machines that the configuration names."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from appliance.config import Config
from appliance.finding import Finding
from appliance.reach import Reach, how_to_allow


def reach_findings(config: Config, reach: Reach) -> Iterator[Finding]:
    """A problem for each that it refuses; nothing where it refuses none."""
    for subject, url in _addresses(config):
        host = urlsplit(url).hostname
        if host and (refused := reach.refused(host)):
            text = f"{host}: the unit refuses {refused} to the service, which does not reach it"
            yield Finding(subject, "problem", text, how_to_allow(refused))


def _addresses(config: Config) -> Iterator[tuple[str, str]]:
    """What each is for, and its address."""
    if config.mqtt is not None:
        yield "broker", config.mqtt.broker
    if config.models is not None:
        yield "registry", config.models.registry
    for camera in config.camera:
        if camera.enabled:
            yield f"camera {camera.name}", camera.uri
