"""Which broker, who we are there, and how patient the link is."""

from __future__ import annotations

import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from appliance.config_errors import ConfigError
from appliance.secret import credential, secret

DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where the broker listens."""

    host: str
    port: int
    tls: bool

    @classmethod
    def parse(cls, url: str) -> BrokerAddress:
        """`mqtt://host:port` or `mqtts://host:port`; raises ConfigError with the next step."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as e:
            raise ConfigError(f"{url}: not a broker address: {e}; write mqtt://host:1883") from e
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
            raise ConfigError(f"{url}: not a broker address; write mqtt://host:1883, or mqtts://host:8883 for TLS")
        if parts.username is not None or parts.password is not None:
            raise ConfigError("the broker address holds credentials: put them into username and password_file")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ConfigError(f"{url}: a broker address ends after the port; write mqtt://host:1883")
        try:
            parts.hostname.encode("idna")
        except UnicodeError as e:
            raise ConfigError(f"{url}: {parts.hostname} cannot be the name of a host: {e}") from e
        return cls(host=parts.hostname, port=port or DEFAULT_PORTS[parts.scheme], tls=parts.scheme == "mqtts")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def broker_url(typed: str) -> str:
    """What a person types for a broker, which may be only its host, or host:port; raises ConfigError as `parse`."""
    url = typed if "://" in typed else f"mqtt://{typed}"
    BrokerAddress.parse(url)
    return url


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Everything that shapes a connection. Files are read at every connect, so a renewed certificate just works."""

    url: str
    client_id: str
    username: str | None = None
    password_file: Path | None = None
    """Holds the password on its first line; `credential:NAME` names a systemd credential."""
    ca_file: Path | None = None
    """Certificate authority of the broker; None trusts the system's."""
    cert_file: Path | None = None
    key_file: Path | None = None
    """Key of our certificate; `credential:NAME` names a systemd credential."""

    keepalive_s: int = 15
    user_timeout_s: float = 5.0
    """Bytes that the broker's machine has not confirmed for this long mean that the connection is dead."""
    answer_within_s: float = 10.0
    """From the start of an attempt to CONNACK; a TLS refusal often shows only as silence."""
    first_wait_s: float = 0.5
    longest_wait_s: float = 4.0
    """Short on purpose: an appliance is one client of a broker near by, and a broker that is back is found at once."""
    longest_refused_wait_s: float = 30.0
    """When the broker says no, a person has to act; some brokers lock out who asks too often."""
    taken_over_wait_s: float = 60.0
    """When another client uses our id: long, or the two throw each other out for ever."""
    will_delay_s: int = 3
    """How long the broker waits before it says `offline` for us: a restart is quicker and stays unseen."""
    window: int = 20
    """Most messages at QoS 1 on their way; less when the broker says so."""
    receive_most: int = 65_535
    """Most messages at QoS 1 on their way to us that we have not acknowledged (MQTT 5 receive maximum)."""
    largest_incoming_bytes: int = 256 * 1024
    """The broker keeps longer messages from us."""
    punctual: bool = False
    """Whether the thread that reads and writes goes before ordinary ones: for a link on which somebody waits."""

    @property
    def address(self) -> BrokerAddress:
        return BrokerAddress.parse(self.url)

    def password(self) -> str | None:
        """Raises ConfigError when the file cannot be read."""
        return secret(self.password_file) if self.password_file is not None else None

    def tls_context(self) -> ssl.SSLContext:
        """A context that checks the broker's certificate and name; raises ConfigError naming the file at fault."""
        if self.ca_file is not None:
            _look_at(self.ca_file, "ca_file names the certificate authority of the broker")
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as e:
            raise ConfigError(f"{self.ca_file}: not a certificate authority in PEM form: {e}") from e
        context.sslsocket_class = _TidySocket
        if self.cert_file is not None:
            self._show_certificate(context, self.cert_file)
        return context

    def _show_certificate(self, context: ssl.SSLContext, cert_file: Path) -> None:
        key_file = credential(self.key_file) if self.key_file is not None else cert_file
        _look_at(cert_file, "cert_file names our certificate")
        _look_at(key_file, "key_file names the key of our certificate")

        def passphrase() -> str:
            # Without this OpenSSL would ask the terminal, and the thread would wait for somebody to type.
            raise ConfigError(f"{key_file}: locked with a passphrase; store it without: openssl pkey -in … -out …")

        try:
            context.load_cert_chain(cert_file, key_file, passphrase)
        except (OSError, ssl.SSLError) as e:
            if "KEY_VALUES_MISMATCH" in str(e):
                raise ConfigError(f"{key_file}: not the key of the certificate {cert_file}") from e
            raise ConfigError(f"{cert_file}: this certificate and its key cannot be used: {e}") from e


class _TidySocket(ssl.SSLSocket):
    """paho leaves a socket whose handshake failed to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def _look_at(path: Path, role: str) -> None:
    try:
        mode = path.stat().st_mode
        waits = not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
        if not waits:
            path.open("rb").close()
    except OSError as e:
        raise ConfigError(f"{path}: cannot be read: {e.strerror}; [mqtt] {role}") from e
    if waits:
        raise ConfigError(f"{path}: a device or a pipe, not a file; [mqtt] {role}")
