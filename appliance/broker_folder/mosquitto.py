"""The files that mosquitto reads: its configuration, the access file, the password file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from appliance.broker_folder.rights import ROLE_WORDS, Role, rights

Identity = Literal["certificate", "password"]

WRITTEN = "# Written by `appliance broker`; edits are lost.\n"


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may cost the broker."""

    largest_packet_kb: int = 4160
    """A question is the largest thing that travels: 4 MiB, and 64 KiB for what is around it."""

    queued_messages: int = 60_000
    """For each absent subscriber: ten minutes at 100 events a second."""

    queued_mb: int = 128
    """For each absent subscriber."""

    memory_mb: int = 1024
    """Of the broker; whoever asks for more than is left is thrown out."""

    session_days: int = 14
    """After so long an absence a session and what is queued for it is forgotten."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Where the broker listens, and where it finds its files."""

    port: int
    address: str
    """Empty: every address of the machine."""

    identity: Identity
    at: PurePosixPath
    """The folder of its configuration, as the broker sees it."""

    data: PurePosixPath
    """Where it keeps sessions and retained messages."""

    user: str = ""
    """Whom root's mosquitto becomes; empty: `mosquitto`, its default."""


def configuration(listener: Listener, limits: Limits) -> str:
    """mosquitto.conf; written once, yours from then on."""
    at = listener.at
    return f"""\
# mosquitto's configuration for edge inference appliances, made by `appliance broker setup`. Yours to change.
# Start:  mosquitto -c {at}/mosquitto.conf     After a change of rights:  kill -HUP its process

{_listener(listener)}

# TLS 1.2 at least, 1.3 wherever both sides have it.
tls_version tlsv1.2
certfile {at}/server.crt
keyfile {at}/server.key
{_identity(listener)}
# What is not granted there is denied. A client may ask for any subscription; it is given only what it may read.
acl_file {at}/access
allow_anonymous false

# No client may fill the memory: who would go over the last limit is thrown out, the others go on.
max_packet_size {limits.largest_packet_kb * 1024}
max_queued_messages {limits.queued_messages}
max_queued_bytes {limits.queued_mb * 1024 * 1024}
memory_limit {limits.memory_mb * 1024 * 1024}
max_inflight_messages 1000
max_keepalive 600
persistent_client_expiration {limits.session_days}d

# Small messages leave at once.
set_tcp_nodelay true

# Sessions, what is queued in them, and retained messages outlive the broker.
persistence true
persistence_location {listener.data}/
autosave_interval 60

log_dest stderr
log_timestamp_format %Y-%m-%dT%H:%M:%S
connection_messages true
"""


def _listener(listener: Listener) -> str:
    words = f"listener {listener.port} {listener.address}".rstrip()
    return f"user {listener.user}\n{words}" if listener.user else words


def _identity(listener: Listener) -> str:
    at = listener.at
    if listener.identity == "password":
        return f"""
# Who knows the password of a name is that name.
password_file {at}/passwords
"""
    return f"""
# Who has a certificate of our authority is the name in it; nobody else gets as far as MQTT.
cafile {at}/trusted.crt
crlfile {at}/revoked.pem
require_certificate true
use_identity_as_username true
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """Somebody in the access file."""

    name: str
    role: Role
    models: tuple[str, ...] = ()
    replicas: bool = False


def access(entries: Iterable[Entry], base: str) -> str:
    """The access file: whoever is not in it may do nothing."""
    parts = [WRITTEN]
    for entry in entries:
        parts.append(f"\n# {ROLE_WORDS[entry.role]}\nuser {entry.name}\n")
        granted = rights(entry.role, entry.name, base, entry.models, replicas=entry.replicas)
        parts += [f"topic {right.verb} {right.topic}\n" for right in granted]
    return "".join(parts)


def passwords(hashes: Iterable[tuple[str, str]]) -> str:
    """The password file of names and hashes."""
    return "".join(f"{name}:{password}\n" for name, password in hashes)
