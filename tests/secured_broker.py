"""A real mosquitto on the files that `appliance broker` wrote, and clients that show a certificate to it."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from click.testing import CliRunner
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from appliance.cli import main
from tests.conftest import free_port
from tests.waiting import until

DENIED = 135
TAKEN = (0, 16)
"""Success, and success with nobody listening."""


def needed(*programs: str) -> None:
    """Skip the test where one of these is missing."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: apt-get install {program}")


def command(*words: object, fails: bool = False) -> str:
    """Run `appliance broker …`; what it said."""
    done = CliRunner().invoke(main, ["broker", *map(str, words)])
    assert (done.exit_code != 0) == fails, done.output
    return done.output


class SecuredBroker:
    """Set up in `folder` by our commands; started and ended with `with`."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port = free_port()
        common = ("--host", "localhost", "--host", "127.0.0.1", "--port", self.port, "--listen", "127.0.0.1")
        owner = ("--owner", "root") if is_root() else ()  # pytest's folders are closed to anybody else
        command("setup", folder, *common, *owner, *options)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> SecuredBroker:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        with (self.folder / "mosquitto.log").open("ab") as log:
            words = ["mosquitto", "-c", str(self.folder / "broker" / "mosquitto.conf")]
            self._process = subprocess.Popen(words, stdout=log, stderr=log)
        until(lambda: "running" in self.log or self._ended(), what="mosquitto runs")
        assert not self._ended(), self.log

    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None
            (self.folder / "mosquitto.log").rename(self.folder / "mosquitto.log.before")

    def restart(self) -> None:
        self.stop()
        self.start()

    def reload(self) -> None:
        assert self._process is not None
        before = self.log.count("Reloading config")
        self._process.send_signal(signal.SIGHUP)
        until(lambda: self.log.count("Reloading config") > before)

    @property
    def log(self) -> str:
        path = self.folder / "mosquitto.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def add(self, role: str, *names: str) -> None:
        command(f"add-{role}", self.folder, *names)

    def of(self, name: str) -> Path:
        """What `name` was given."""
        return self.folder / "clients" / name

    def client(self, name: str, **more: Any) -> Client:
        return Client(self.port, self.of(name), name, **more)


def is_root() -> bool:
    return os.geteuid() == 0


class _TidySocket(ssl.SSLSocket):
    """paho leaves a socket whose handshake failed to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


class Client:
    """Connected with `with`; raises what the TLS library or the broker says when it is not let in."""

    def __init__(
        self,
        port: int,
        files: Path,
        name: str,
        *,
        trusted: Path | None = None,
        pair: tuple[Path, Path] | str | None = "own",
        client_id: str = "",
        session_s: int = 0,
        password: str | None = None,
    ) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._port = port
        self._session_s = session_s
        self._connected: list[ReasonCode] = []
        self._subscribed: dict[int, list[ReasonCode]] = {}
        self._acknowledged: dict[int, ReasonCode] = {}
        self.lost = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv5)
        context = ssl.create_default_context(cafile=trusted or files / "trusted.crt")
        context.sslsocket_class = _TidySocket
        if pair == "own" and (files / f"{name}.crt").exists():
            context.load_cert_chain(files / f"{name}.crt", files / f"{name}.key")
        elif isinstance(pair, tuple):
            context.load_cert_chain(*pair)
        if password is not None:
            self.client.username_pw_set(name, password)
        self.client.tls_set_context(context)
        self.client.on_connect = lambda _c, _d, _f, code, _p: self._connected.append(code)
        self.client.on_connect_fail = lambda *_: self.lost.set()
        self.client.on_disconnect = lambda *_: self.lost.set()
        self.client.on_message = self._on_message
        self.client.on_subscribe = lambda _c, _d, mid, codes, _p: self._subscribed.__setitem__(mid, codes)
        self.client.on_publish = lambda _c, _d, mid, code, _p: self._acknowledged.__setitem__(mid, code)

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        self.heard.append((message.topic, bytes(message.payload)))

    def __enter__(self) -> Client:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's
        properties.SessionExpiryInterval = self._session_s
        clean = self._session_s == 0
        self.client.connect("127.0.0.1", self._port, clean_start=clean, properties=properties)
        self.client.loop_start()
        try:
            until(lambda: bool(self._connected) or self.lost.is_set(), what="the broker answers")
            if not self._connected or self._connected[0].is_failure:
                raise ConnectionRefusedError(str(self._connected))
        except BaseException:
            self.client.loop_stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def subscribe(self, *filters: str, qos: int = 0) -> list[int]:
        """What the broker says of each filter. All that it sent before that has been heard then."""
        _, mid = self.client.subscribe([(one, qos) for one in filters])
        assert mid is not None
        until(lambda: mid in self._subscribed, what=f"SUBACK for {filters}")
        return [code.value for code in self._subscribed[mid]]

    def publish(self, topic: str, payload: bytes | str = b"x", retain: bool = False) -> int:
        """The broker's answer to a publication at QoS 1."""
        mid = self.client.publish(topic, payload, qos=1, retain=retain).mid
        until(lambda: mid in self._acknowledged, what=f"PUBACK for {topic}")
        return self._acknowledged[mid].value

    def publishable(self, topics: Sequence[str]) -> set[str]:
        """Publish on each; those on which the broker took it."""
        mids = {topic: self.client.publish(topic, b"x", qos=1).mid for topic in topics}
        until(lambda: set(mids.values()) <= self._acknowledged.keys(), 20, what="every PUBACK")
        codes = {topic: self._acknowledged[mid].value for topic, mid in mids.items()}
        assert set(codes.values()) <= {*TAKEN, DENIED}, codes
        return {topic for topic, code in codes.items() if code != DENIED}

    def may_publish(self, topic: str) -> bool:
        return bool(self.publishable([topic]))

    def last(self, topic: str) -> bytes:
        """The newest message on a topic; empty when there was none."""
        return next((payload for one, payload in reversed(self.heard) if one == topic), b"")

    def topics(self) -> Sequence[str]:
        """Where messages have come, once the broker has sent all it has for us."""
        self.subscribe("barrier/of/the/test")
        return [topic for topic, _ in self.heard]
