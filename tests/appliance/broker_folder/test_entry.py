"""Who gets in to a real mosquitto on the files of `appliance broker`, and whom clients believe."""

from __future__ import annotations

import socket
import ssl
import sys
from pathlib import Path

import pytest

from appliance.broker_folder.password import hashed
from appliance.service.settings import ServiceConfig
from tests.appliance.broker_folder.members import TOPICS, handshake, pair, refused
from tests.certificates import LONG_AGO, Authority
from tests.secured_broker import TAKEN, SecuredBroker, command

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = [pytest.mark.broker, pytest.mark.system, pytest.mark.usefixtures("programs")]


def test_nobody_gets_in_without_a_certificate_of_ours(broker: SecuredBroker, tmp_path: Path) -> None:
    with broker.client("dock-1"):
        pass
    refused(broker, pair=None)
    foreign = Authority(tmp_path / "foreign")
    refused(broker, pair=foreign.sign("dock-1"))
    refused(broker, pair=(broker.folder / "broker" / "server.crt", broker.folder / "broker" / "server.key"))


def test_an_expired_certificate_does_not_get_in(broker: SecuredBroker, tmp_path: Path) -> None:
    """Signed by the very key of the authority, so that only its end can be the reason."""
    ours = Authority(tmp_path / "ours")
    for ending in ("crt", "key"):
        source = broker.folder / "authority" / "1" / f"authority.{ending}"
        (tmp_path / "ours" / f"authority.{ending}").write_bytes(source.read_bytes())
    with broker.client("dock-1", pair=ours.sign("dock-1")):
        pass
    refused(broker, pair=ours.sign("dock-2", valid=LONG_AGO))


def test_a_stranger_with_a_certificate_of_ours_may_do_nothing(broker: SecuredBroker, tmp_path: Path) -> None:
    ours = Authority(tmp_path / "ours")
    for ending in ("crt", "key"):
        source = broker.folder / "authority" / "1" / f"authority.{ending}"
        (tmp_path / "ours" / f"authority.{ending}").write_bytes(source.read_bytes())
    with broker.client("dock-1", pair=ours.sign("stranger")) as stranger, broker.client("dock-1") as device:
        stranger.subscribe("#")
        assert stranger.publishable(TOPICS) == set()
        assert device.publish("appliance/dock-1/available", b"online") in TAKEN
        assert stranger.topics() == []


def test_a_device_cannot_play_the_broker(broker: SecuredBroker) -> None:
    """Its certificate is for clients: whoever shows it as a server is not believed."""
    files = broker.of("dock-1")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files / "dock-1.crt", files / "dock-1.key")
    client = ssl.create_default_context(cafile=broker.of("dock-2") / "trusted.crt")
    assert "unsuitable certificate purpose" in handshake(server, client)
    server.load_cert_chain(broker.folder / "broker" / "server.crt", broker.folder / "broker" / "server.key")
    assert handshake(server, client) == ""


def test_tls_older_than_1_2_is_refused_and_1_3_is_used(broker: SecuredBroker) -> None:
    with broker.client("dock-1") as client:
        assert client.client.socket().version() == "TLSv1.3"  # type: ignore[union-attr]
    context = ssl.create_default_context(cafile=broker.of("dock-1") / "trusted.crt")
    context.load_cert_chain(*pair(broker.of("dock-1"), "dock-1"))
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", broker.port)) as plain,
        pytest.raises(OSError, match=r"alert protocol version"),
    ):
        context.wrap_socket(plain, server_hostname="localhost")


def test_a_service_has_a_certificate_of_its_own_to_serve_with(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    command("setup", folder, "--host", "h")
    command("add-service", folder, "brain", "--host", "brain.example", "--host", "10.1.2.3")
    files = folder / "clients" / "brain"
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files / "serving.crt", files / "serving.key")
    client = ssl.create_default_context(cafile=files / "trusted.crt")
    assert handshake(server, client, "brain.example") == ""
    assert handshake(server, client, "10.1.2.3") == ""
    assert "not valid for" in handshake(server, client, "h")
    server.load_cert_chain(files / "brain.crt", files / "brain.key")
    assert "unsuitable certificate purpose" in handshake(server, client, "brain.example")
    ServiceConfig.model_validate(lines := tomllib.loads((files / "mqtt.toml").read_text()))
    assert lines["oip"]["cert_file"].endswith("/serving.crt")
    assert lines["serve"]["id"] == "brain"


def test_with_passwords_the_same_rights_hold_and_only_the_password_opens(tmp_path: Path) -> None:
    with SecuredBroker(tmp_path / "broker", "--identity", "password") as broker:
        broker.add("device", "dock-1", "dock-2")
        broker.reload()
        secrets = {name: (broker.of(name) / "password").read_text().strip() for name in ("dock-1", "dock-2")}
        assert secrets["dock-1"] not in (broker.folder / "broker.json").read_text()
        assert secrets["dock-1"] not in (broker.folder / "broker" / "passwords").read_text()
        with broker.client("dock-1", password=secrets["dock-1"]) as device:
            assert device.may_publish("appliance/dock-1/available")
            assert not device.may_publish("appliance/dock-2/available")
        refused(broker, password=secrets["dock-2"])
        refused(broker)
        command("renew", broker.folder, "dock-1")
        broker.reload()
        refused(broker, password=secrets["dock-1"])
        fresh = (broker.of("dock-1") / "password").read_text().strip()
        with broker.client("dock-1", password=fresh) as device:
            assert device.may_publish("appliance/dock-1/available")


def test_a_password_is_never_kept_twice_alike() -> None:
    assert hashed("one") != hashed("one")
    assert hashed("one").startswith("$7$")
