"""Whether the broker answers, and how long the certificates on both sides still hold."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from appliance.config import Config, Mqtt
from appliance.config_errors import ConfigError
from appliance.finding import Finding
from appliance.mqtt.settings import LinkSettings
from appliance.mqtt.subscriber import Subscriber, UnusableBrokerError
from appliance.secret import known_to_the_service_alone
from appliance.wiring import link_settings

LEAST_DAYS = 30
"""A certificate that ends sooner should be made anew now."""
HANDSHAKE_S = 5.0
DAY_S = 24 * 3600
AS_THE_SERVICE = "journalctl -u appliance says how the service fares; the line on secrets, how to try it from here"


def broker_findings(config: Config) -> Iterator[Finding]:
    """The broker of this configuration."""
    if config.mqtt is None:
        yield Finding("broker", "note", "no [mqtt]: results are not published", "add [mqtt] to the configuration")
        return
    yield from _answers(config.mqtt, f"{config.mqtt.base}/{config.device.name}/available")
    if config.mqtt.cert_file is not None:
        end_s = _end_of(config.mqtt.cert_file)
        yield _holds(
            f"certificate {config.mqtt.cert_file}",
            end_s,
            "a new one; where it is ours: appliance broker renew FOLDER NAME",
        )


def _answers(mqtt: Mqtt, topic: str) -> Iterator[Finding]:
    try:
        settings = link_settings(mqtt, client_id="")
        hidden = [
            str(path) for path in (mqtt.password_file, mqtt.key_file) if path and known_to_the_service_alone(path)
        ]
        if hidden:
            text = f"{settings.address}: not tried: the service alone knows {' and '.join(hidden)}"
            yield Finding("broker", "note", text, AS_THE_SERVICE)
            return
        with Subscriber(settings, topic):
            yield Finding("broker", "ok", f"{settings.address} answers")
        if settings.address.tls:
            yield _holds(
                "certificate of the broker",
                _end_of_theirs(settings),
                "a new one; where it is ours: appliance broker renew FOLDER --broker",
            )
    except (ConfigError, UnusableBrokerError) as error:
        yield Finding("broker", "problem", str(error), "start the broker (systemctl start mosquitto), or mend [mqtt]")


def _holds(subject: str, end_s: float | None, fix: str) -> Finding:
    """How long a certificate does; `end_s`: UTC, None where that cannot be found out."""
    if end_s is None:
        return Finding(subject, "note", "its end cannot be read", "apt-get install openssl; is it PEM?")
    days = int((end_s - time.time()) // DAY_S)
    if days < 0:
        return Finding(subject, "problem", f"it ended {-days} days ago by this clock", fix)
    return Finding(subject, "ok" if days >= LEAST_DAYS else "note", f"good for {days} days", fix * (days < LEAST_DAYS))


def _end_of_theirs(settings: LinkSettings) -> float | None:
    address = settings.address
    try:
        with (
            socket.create_connection((address.host, address.port), HANDSHAKE_S) as plain,
            settings.tls_context().wrap_socket(plain, server_hostname=address.host) as secured,
        ):
            shown = secured.getpeercert()
    except (OSError, ssl.SSLError):
        return None
    end = shown.get("notAfter") if shown else None
    return ssl.cert_time_to_seconds(end) if isinstance(end, str) else None


def _end_of(certificate: Path) -> float | None:
    if shutil.which("openssl") is None:
        return None
    command = ["openssl", "x509", "-noout", "-enddate", "-in", str(certificate)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    kind, _, end = done.stdout.strip().partition("=")
    return ssl.cert_time_to_seconds(end) if kind == "notAfter" else None
