"""TLS, client certificates and access control, with keys made for the test."""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from appliance.mqtt.connection import Down, Up
from appliance.uplink.outgoing import Publish
from appliance.uplink.uplink import Uplink
from tests.certificates import LATER, LONG_AGO, Authority
from tests.conftest import Broker, free_port
from tests.links import turned
from tests.uplinks import TOPICS, Listener, Running, connected, settings, spool
from tests.waiting import until

pytestmark = pytest.mark.faults

ACCESS = """
user dock-1
topic write appliance/dock-1/#
topic read appliance/dock-1/+/+/set
user viewer
topic read appliance/#
"""


class TlsBroker(Broker):
    """A mosquitto with a second listener for TLS; `tls_url` by name, `address_url` by address."""

    def __init__(self, folder: Path, server: tuple[Path, Path], more: str) -> None:
        self.tls_port = free_port()
        self.tls_url = f"mqtts://localhost:{self.tls_port}"
        certificate, key = server
        super().__init__(
            folder,
            f"per_listener_settings true\nlistener {self.tls_port} 127.0.0.1\n"
            f"certfile {certificate}\nkeyfile {key}\nset_tcp_nodelay true\n{more}",
        )
        text = self._config.read_text()
        self._config.write_text("per_listener_settings true\n" + text.replace("per_listener_settings true\n", "", 1))

    def reload(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)


@dataclass
class World:
    """One authority, another one, and a way to start a broker."""

    ours: Authority
    foreign: Authority
    folder: Path
    started: list[TlsBroker]

    def broker(self, server: tuple[Path, Path], more: str = "allow_anonymous true") -> TlsBroker:
        broker = TlsBroker(self.folder, server, more)
        broker.start()
        self.started.append(broker)
        return broker

    def strict(self) -> TlsBroker:
        """Who has no certificate of ours stays outside; the name in it is the user."""
        (self.folder / "access").write_text(ACCESS)
        return self.broker(
            self.ours.sign("server"),
            f"cafile {self.ours.certificate}\nrequire_certificate true\nuse_identity_as_username true\n"
            f"acl_file {self.folder}/access\nallow_anonymous false",
        )


@pytest.fixture
def world(new_broker: type[Broker], tmp_path: Path) -> Iterator[World]:
    world = World(Authority(tmp_path / "ours"), Authority(tmp_path / "foreign"), tmp_path, [])
    yield world
    for broker in world.started:
        broker.kill()


def words_of(url: str, **changes: Any) -> str:
    """What a link says of its first attempt."""
    with turned(url, answer_within_s=3.0, **changes) as hand:
        return hand.await_event(Down).words


# The broker's certificate.

SERVERS: dict[str, tuple[Callable[[World], tuple[Path, Path]], str]] = {
    "expired": (lambda world: world.ours.sign("server", valid=LONG_AGO), "has expired"),
    "not yet valid": (lambda world: world.ours.sign("server", valid=LATER), "is the clock of this machine right?"),
    "of another authority": (lambda world: world.foreign.sign("server"), "name that one in [mqtt] ca_file"),
    "for another name": (
        lambda world: world.ours.sign("server", hosts="DNS:other.example"),
        "is for another name than localhost",
    ),
}


@pytest.mark.parametrize("name", SERVERS)
def test_a_broker_whose_certificate_is_no_good_is_not_talked_to_and_the_cause_is_named(world: World, name: str) -> None:
    make, words = SERVERS[name]
    broker = world.broker(make(world))
    assert words in words_of(broker.tls_url, ca_file=world.ours.certificate)


def test_a_good_certificate_lets_us_in_by_name_and_by_address(world: World) -> None:
    broker = world.broker(world.ours.sign("server"))
    for url in (broker.tls_url, f"mqtts://127.0.0.1:{broker.tls_port}"):
        with turned(url, ca_file=world.ours.certificate) as hand:
            hand.await_event(Up)


def test_a_renewed_certificate_of_the_broker_works_without_help(world: World) -> None:
    old = world.ours.sign("server", valid=LONG_AGO)
    broker = world.broker(old)
    with turned(broker.tls_url, ca_file=world.ours.certificate) as hand:
        assert "has expired" in hand.await_event(Down).words
        for path, fresh in zip(old, world.ours.sign("renewed"), strict=True):
            path.write_bytes(fresh.read_bytes())
        broker.kill()
        broker.start()
        hand.await_event(Up)


# The wrong door.


def test_a_plain_port_is_not_mistaken_for_tls_and_the_other_way_round(world: World) -> None:
    broker = world.broker(world.ours.sign("server"))
    assert "TLS" in words_of(f"mqtts://localhost:{broker.port}", ca_file=world.ours.certificate)
    assert "mqtts://" in words_of(f"mqtt://localhost:{broker.tls_port}")


# Our certificate.

CLIENTS: dict[str, tuple[Callable[[World], tuple[Path, Path] | None], str]] = {
    "none": (lambda world: None, "asks for a certificate: set [mqtt] cert_file"),
    "of another authority": (lambda world: world.foreign.sign("dock-1"), "[mqtt] cert_file"),
    "expired": (lambda world: world.ours.sign("dock-1", valid=LONG_AGO), "has expired: renew [mqtt] cert_file"),
}


@pytest.mark.parametrize("version", ["tlsv1.2", "tlsv1.3"])
@pytest.mark.parametrize("name", CLIENTS)
def test_what_the_broker_thinks_of_our_certificate_is_said(world: World, name: str, version: str) -> None:
    make, words = CLIENTS[name]
    pair = make(world)
    broker = world.broker(
        world.ours.sign("server"),
        f"cafile {world.ours.certificate}\nrequire_certificate true\ntls_version {version}\nallow_anonymous true",
    )
    cert_file, key_file = pair if pair is not None else (None, None)
    said = words_of(broker.tls_url, ca_file=world.ours.certificate, cert_file=cert_file, key_file=key_file)
    assert words in said


def test_a_revoked_certificate_is_named(world: World) -> None:
    cert_file, key_file = world.ours.sign("dock-1")
    listed = world.ours.revoke(cert_file)
    broker = world.broker(
        world.ours.sign("server"),
        f"cafile {world.ours.certificate}\ncrlfile {listed}\nrequire_certificate true\nallow_anonymous true",
    )
    said = words_of(broker.tls_url, ca_file=world.ours.certificate, cert_file=cert_file, key_file=key_file)
    assert "was revoked: renew [mqtt] cert_file" in said


def test_files_that_cannot_be_used_are_named(world: World, tmp_path: Path) -> None:
    cert_file, key_file = world.ours.sign("dock-1")
    other_key = world.ours.sign("dock-2")[1]
    nothing, text = tmp_path / "nothing", tmp_path / "text"
    text.write_text("not a certificate\n")
    url = "mqtts://localhost:1"
    good = {"ca_file": world.ours.certificate, "cert_file": cert_file, "key_file": key_file}
    for change, words in (
        ({"ca_file": nothing}, f"{nothing}: cannot be read: No such file or directory; [mqtt] ca_file"),
        ({"ca_file": tmp_path}, f"{tmp_path}: cannot be read: Is a directory"),
        ({"ca_file": text}, f"{text}: not a certificate authority in PEM form"),
        ({"cert_file": nothing}, f"{nothing}: cannot be read: No such file or directory; [mqtt] cert_file"),
        ({"cert_file": text}, f"{text}: this certificate and its key cannot be used"),
        ({"key_file": nothing}, f"{nothing}: cannot be read: No such file or directory; [mqtt] key_file"),
        ({"key_file": other_key}, f"{other_key}: not the key of the certificate {cert_file}"),
        ({"key_file": Path("credential:key")}, "credential:key: no systemd credentials here"),
    ):
        assert words in words_of(url, **{**good, **change})


def test_a_key_with_a_passphrase_stops_nobody_to_type_it(world: World) -> None:
    cert_file, key_file = world.ours.sign("dock-1")
    locked = world.ours.lock(key_file, "open sesame")
    said = words_of("mqtts://localhost:1", ca_file=world.ours.certificate, cert_file=cert_file, key_file=locked)
    assert f"{locked}: locked with a passphrase" in said


def test_a_key_among_systemds_credentials_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = world.strict()
    cert_file, key_file = world.ours.sign("dock-1")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(key_file.parent))
    key = Path(f"credential:{key_file.name}")
    with turned(broker.tls_url, ca_file=world.ours.certificate, cert_file=cert_file, key_file=key) as hand:
        hand.await_event(Up)


# Events over TLS, and what access rules do to them.


def with_certificate(world: World, broker: TlsBroker, **changes: Any) -> Any:
    cert_file, key_file = world.ours.sign("dock-1")
    wanted = settings(broker.tls_url, world.folder, **changes)
    link = replace(wanted.link, ca_file=world.ours.certificate, cert_file=cert_file, key_file=key_file)
    return replace(wanted, link=link)


def test_events_go_out_over_tls_under_the_name_in_the_certificate(world: World) -> None:
    broker = world.strict()
    with Listener(broker.port) as listener, Running(with_certificate(world, broker)) as uplink:
        for number in range(500):
            uplink.mailbox.put(spool(number))
        until(lambda: len(listener.numbers()) == 500, 10)
        assert listener.numbers() == list(range(500))


def test_a_renewed_certificate_of_ours_is_used_at_the_next_connection(world: World) -> None:
    broker = world.strict()
    wanted = with_certificate(world, broker)
    old = world.ours.sign("dock-1", valid=LONG_AGO)
    link = replace(wanted.link, cert_file=old[0], key_file=old[1], longest_refused_wait_s=0.2)
    with Listener(broker.port) as listener, Running(replace(wanted, link=link)) as uplink:
        uplink.mailbox.put(spool(1))
        until(lambda: "has expired: renew" in uplink.figures().broker)
        world.ours.sign("dock-1")
        connected(uplink)
        until(lambda: listener.numbers() == [1])


def tried(uplink: Uplink) -> Callable[[], bool]:
    return lambda: uplink.figures().broker != "not connected yet"


def test_no_secret_is_in_any_log_or_figure(
    new_broker: type[Broker], world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    password = "correct-horse-battery"
    secret = world.folder / "secret"
    secret.write_text(password + "\n")
    passwords = world.folder / "passwords"
    passwords.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", str(passwords), "dock", "another"], check=True, capture_output=True)
    broker = world.broker(world.ours.sign("server"), f"allow_anonymous false\npassword_file {passwords}")
    cert_file, key_file = world.ours.sign("dock-1")
    locked = world.ours.lock(key_file, password)
    wanted = settings(broker.tls_url, world.folder)
    base = replace(wanted.link, username="dock", password_file=secret, ca_file=world.ours.certificate)
    said = []
    for link in (base, replace(base, cert_file=cert_file, key_file=locked), replace(base, url="mqtt://127.0.0.1:1")):
        with Running(replace(wanted, link=link)) as uplink:
            uplink.mailbox.put(Publish(TOPICS.info, {"version": "1"}, qos=1, retain=True))
            until(tried(uplink))
            said.append(str(uplink.figures()))
    assert "check [mqtt] username and password_file" in said[0]
    everything = "\n".join([*said, caplog.text])
    assert password not in everything
    assert key_file.read_text().splitlines()[1] not in everything


def test_the_handshake_of_a_silent_port_is_given_up_in_time(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"mqtts://127.0.0.1:{silent.getsockname()[1]}"
        with turned(url, ca_file=world.ours.certificate, answer_within_s=0.5) as hand:
            assert "no answer to our greeting within 0.5 s" in hand.await_event(Down).words
