"""`appliance broker`, and what a real mosquitto makes of its files: who gets in, who may say and hear what."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from appliance.broker_folder.client import PLACE
from appliance.broker_folder.password import hashed
from appliance.broker_folder.rights import Right, Role, rights
from appliance.service.settings import ServiceConfig
from tests.appliance_process import ApplianceProcess
from tests.certificates import LONG_AGO, Authority
from tests.chaos.telling import tell
from tests.secured_broker import DENIED, TAKEN, SecuredBroker, command, is_root, needed
from tests.waiting import until

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = [pytest.mark.broker, pytest.mark.system]

MEMBERS = {
    "dock-1": (Role.DEVICE, ()),
    "dock-2": (Role.DEVICE, ()),
    "brain-1": (Role.SERVICE, ()),
    "brain-2": (Role.SERVICE, ("people",)),
    "board": (Role.VIEWER, ()),
    "store": (Role.COLLECTOR, ()),
    "boss": (Role.OPERATOR, ()),
    "shop": (Role.REGISTRY, ()),
}

SHAPES = """
[[camera]]
name = "scene"
uri = "scene:shapes"

[[pipeline]]
name = "shapes"
source = "scene"
model = "shapes"
"""


@pytest.fixture(scope="module", autouse=True)
def _programs() -> None:
    needed("mosquitto", "openssl")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    """A broker with everybody of MEMBERS on it. Tests must leave it as it was."""
    made = SecuredBroker(tmp_path_factory.mktemp("secured") / "broker")
    for name, (role, models) in MEMBERS.items():
        command(f"add-{role.value}", made.folder, name, *(word for model in models for word in ("--model", model)))
    with made:
        yield made


# Who may do what.


def _rights(name: str) -> tuple[Right, ...]:
    role, models = MEMBERS[name]
    return rights(role, name, "appliance", models)


def _matches(topic: str, wanted: str) -> bool:
    """Whether a topic filter without `#` takes a topic."""
    levels, filters = topic.split("/"), wanted.split("/")
    return len(levels) == len(filters) and all(f in ("+", level) for level, f in zip(levels, filters, strict=True))


def _may(name: str, verb: str, topic: str) -> bool:
    return any(right.verb == verb and _matches(topic, right.topic) for right in _rights(name))


def _everything() -> list[str]:
    """Every topic that somebody has a right to, with each of two names in each free place, and some that nobody has."""
    filters = {right.topic for name in MEMBERS for right in _rights(name)}
    filled = {one.replace("+", word) for one in filters for word in ("people", "dock-2", "brain-1", "boss")}
    return sorted(filled | {"appliance", "appliance/dock-1", "elsewhere/dock-1", "appliance/dock-1/answer/more"})


TOPICS = _everything()


def test_a_real_broker_lets_everybody_publish_exactly_what_the_table_says(broker: SecuredBroker) -> None:
    allowed = 0
    for name in MEMBERS:
        with broker.client(name) as client:
            wanted = {topic for topic in TOPICS if _may(name, "write", topic)}
            assert client.publishable(TOPICS) == wanted, name
            allowed += len(wanted)
    assert allowed > 50
    tell("G23 publishing", tried=len(TOPICS) * len(MEMBERS), allowed=allowed, otherwise=0)


def test_a_real_broker_gives_everybody_exactly_what_the_table_says(broker: SecuredBroker) -> None:
    with ExitStack() as stack:
        clients = {name: stack.enter_context(broker.client(name)) for name in MEMBERS}
        for client in clients.values():
            assert client.subscribe("#") == [0], "mosquitto grants any subscription: what counts is what is delivered"
        published: set[str] = set()
        for writer, client in clients.items():
            mine = {topic for topic in TOPICS if _may(writer, "write", topic)} - published
            published |= client.publishable(sorted(mine))
        assert len(published) > 50
        for name, client in clients.items():
            assert set(client.topics()) == {topic for topic in published if _may(name, "read", topic)}, name
        tell("G23 delivery", tried=len(published) * len(MEMBERS), otherwise=0)


FORBIDDEN = {
    "fetch in another's name": ("dock-1", "model-registry/fetch/dock-2"),
    "send another a piece of a model": ("dock-1", "appliance/dock-2/models/piece"),
    "send itself a piece of a model": ("dock-1", "appliance/dock-1/models/piece"),
    "answer another device": ("dock-1", "appliance/dock-2/answer"),
    "answer itself": ("dock-1", "appliance/dock-1/answer"),
    "ask in another's name": ("dock-1", "model-service/people/infer/dock-2"),
    "announce itself as a service": ("dock-1", "model-service/dock-1/available"),
    "announce a service that there is": ("dock-1", "model-service/brain-1/available"),
    "publish a result of another's": ("dock-1", "appliance/dock-2/pipeline/p/result"),
    "command another": ("dock-1", "appliance/dock-2/pipeline/p/set"),
    "respond for another": ("dock-1", "responses/boss/dock-2"),
    "say how far its events are stored": ("dock-1", "appliance/dock-1/acknowledged/p"),
}


@pytest.mark.parametrize("deed", FORBIDDEN)
def test_a_device_cannot(broker: SecuredBroker, deed: str) -> None:
    name, topic = FORBIDDEN[deed]
    with broker.client(name) as client:
        assert client.publish(topic) == DENIED
        assert client.publish("model-service/people/infer/dock-1") in TAKEN


@pytest.mark.parametrize(
    "wanted", ["appliance/dock-2/answer", "appliance/+/answer", "#", "$share/g/appliance/+/answer"]
)
def test_a_device_is_never_given_the_answers_of_another(broker: SecuredBroker, wanted: str) -> None:
    with broker.client("dock-1") as device, broker.client("brain-1") as service:
        device.subscribe(wanted, "appliance/dock-1/answer")
        assert service.publish("appliance/dock-2/answer", b"for dock-2") in TAKEN
        assert service.publish("appliance/dock-1/answer", b"for dock-1") in TAKEN
        device.topics()
        assert {payload for _, payload in device.heard} == {b"for dock-1"}


def test_a_retained_announcement_is_for_everybody_and_cannot_be_replaced_by_a_device(broker: SecuredBroker) -> None:
    with broker.client("brain-1") as service, broker.client("dock-1") as device:
        assert service.publish("model-service/brain-1/available", b"online", retain=True) in TAKEN
        assert device.publish("model-service/brain-1/available", b"", retain=True) == DENIED
        device.subscribe("model-service/+/available")
        device.topics()
        assert device.heard == [("model-service/brain-1/available", b"online")]
        assert service.publish("model-service/brain-1/available", b"", retain=True) in TAKEN


def test_a_service_for_one_model_is_not_given_the_questions_of_another(broker: SecuredBroker) -> None:
    with broker.client("brain-2") as service, broker.client("dock-1") as device:
        service.subscribe("model-service/+/infer/+")
        for model in ("words", "people"):
            assert device.publish(f"model-service/{model}/infer/dock-1") in TAKEN
        assert service.topics() == ["model-service/people/infer/dock-1"]


def test_replicas_share_a_name_and_announce_themselves_under_others(tmp_path: Path) -> None:
    with SecuredBroker(tmp_path / "broker") as broker:
        command("add-service", broker.folder, "brains", "--replicas", "--host", "brains.example", "--host", "localhost")
        broker.reload()
        lines = (broker.of("brains") / "mqtt.toml").read_text()
        assert "id =" not in lines, "each replica has its own"
        with broker.client("brains") as first, broker.client("brains") as second:
            for client, topic in (
                (first, "model-service/brains-x1/available"),
                (second, "model-service/brains-x2/available"),
            ):
                assert client.may_publish(topic)
                assert not client.may_publish("model-service/people/infer/brains")
                assert not client.may_publish("appliance/dock-1/available")


def test_a_service_has_a_certificate_of_its_own_to_serve_with(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    command("setup", folder, "--host", "h")
    command("add-service", folder, "brain", "--host", "brain.example", "--host", "10.1.2.3")
    files = folder / "clients" / "brain"
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files / "serving.crt", files / "serving.key")
    client = ssl.create_default_context(cafile=files / "trusted.crt")
    assert _handshake(server, client, "brain.example") == ""
    assert _handshake(server, client, "10.1.2.3") == ""
    assert "not valid for" in _handshake(server, client, "h")
    server.load_cert_chain(files / "brain.crt", files / "brain.key")
    assert "unsuitable certificate purpose" in _handshake(server, client, "brain.example")
    ServiceConfig.model_validate(lines := tomllib.loads((files / "mqtt.toml").read_text()))
    assert lines["oip"]["cert_file"].endswith("/serving.crt")
    assert lines["serve"]["id"] == "brain"


def test_a_device_that_does_not_know_the_services_group_takes_none_of_their_questions(broker: SecuredBroker) -> None:
    """mosquitto gives a member of a shared subscription its turn even when it may not read: the name is a secret."""
    lines = (broker.of("brain-1") / "mqtt.toml").read_text().splitlines()
    group = next(line for line in lines if line.startswith("group = ")).split('"')[1]
    assert len(group) >= 20
    assert f'group = "{group}"' in (broker.of("brain-2") / "mqtt.toml").read_text()
    assert group not in (broker.of("dock-1") / "mqtt.toml").read_text()
    with broker.client("brain-1") as service, broker.client("dock-1") as asker, broker.client("dock-2") as thief:
        service.subscribe(f"$share/{group}/model-service/+/infer/+")
        thief.subscribe("$share/services/model-service/+/infer/+", "$share/+/model-service/+/infer/+")
        for number in range(20):
            assert asker.publish("model-service/people/infer/dock-1", str(number)) in TAKEN
        assert len(service.topics()) == 20
        assert thief.topics() == []


def test_whoever_takes_the_client_id_of_another_gets_nothing_of_what_waits_for_it(broker: SecuredBroker) -> None:
    with broker.client("dock-1", client_id="dock-1-asker", session_s=60) as device:
        device.subscribe("appliance/dock-1/answer", qos=1)
    with broker.client("brain-1") as service:
        assert service.publish("appliance/dock-1/answer", b"secret") in TAKEN
    with broker.client("dock-2", client_id="dock-1-asker", session_s=60) as thief:
        thief.subscribe("appliance/dock-2/answer", qos=1)
        with broker.client("brain-1") as service:
            service.publish("appliance/dock-1/answer", b"secret")
            service.publish("appliance/dock-2/answer", b"its own")
        until(lambda: bool(thief.heard))
        thief.topics()
        assert [payload for _, payload in thief.heard] == [b"its own"]
    with broker.client("dock-1", client_id="dock-1-asker"):
        pass  # takes the session, and lets it end


def test_a_message_beyond_the_limit_ends_the_connection_of_its_sender_only(broker: SecuredBroker) -> None:
    with broker.client("dock-1") as device, broker.client("dock-2") as other:
        device.client.publish("model-service/people/infer/dock-1", bytes(5 << 20), qos=1)
        assert device.lost.wait(10)
        assert other.publish("model-service/people/infer/dock-2") in TAKEN


def test_the_appliance_works_through_it_and_a_collector_that_was_away_loses_nothing(tmp_path: Path) -> None:
    """`appliance run` with the lines of its `mqtt.toml`: results, a command, a restart of the broker, its will."""
    broker = SecuredBroker(tmp_path / "broker")
    for role, name in (("device", "box"), ("collector", "store"), ("operator", "boss")):
        broker.add(role, name)
    lines = (broker.of("box") / "mqtt.toml").read_text().replace(PLACE, str(broker.of("box")))
    config = f"{lines}\n{SHAPES}"
    with broker, broker.client("boss") as boss:
        with broker.client("store", client_id="store", session_s=600) as store:
            store.subscribe("appliance/+/pipeline/+/event", qos=1)
        boss.subscribe("#")
        with ApplianceProcess(tmp_path, config) as appliance:
            until(lambda: "appliance/box/pipeline/shapes/event" in boss.topics(), 30, "events")
            until(lambda: "appliance/box/pipeline/shapes/result" in boss.topics(), 10, "results")
            assert boss.publish("appliance/box/pipeline/shapes/set", b'{"threshold": 0.5}') == 0
            until(lambda: b'"threshold":0.5' in boss.last("appliance/box/pipeline/shapes/state"), 10, "the state")
            broker.restart()
            until(lambda: boss.client.is_connected() and bool(boss.subscribe("#")), 30)
            so_far = len(boss.heard)
            until(lambda: "appliance/box/pipeline/shapes/event" in [topic for topic, _ in boss.heard[so_far:]], 30)
            appliance.send(signal.SIGKILL)
            until(lambda: ("appliance/box/available", b"offline") in boss.heard, 20, "the will")
            assert "does not let us" not in appliance.log
        with broker.client("store", client_id="store", session_s=600) as store:
            until(lambda: len(store.heard) >= 2)
            store.topics()
            numbers = [json.loads(payload)["spool"]["seq"] for _, payload in store.heard]
            assert sorted(set(numbers)) == list(range(1, max(numbers) + 1))


def test_whoever_fills_the_memory_of_the_broker_is_thrown_out_and_the_others_go_on(tmp_path: Path) -> None:
    with SecuredBroker(tmp_path / "broker", "--memory-mb", "24") as broker:
        broker.add("device", "flood", "calm")
        broker.reload()
        with broker.client("calm") as calm, broker.client("flood") as flood:
            for number in range(40):
                flood.client.publish(f"appliance/flood/source/s{number}/available", bytes(1 << 20), qos=1, retain=True)
            assert flood.lost.wait(20)
            assert calm.may_publish("model-service/people/infer/calm")
            assert not calm.lost.is_set()


# Who gets in.


def _refused(broker: SecuredBroker, **how: object) -> None:
    with pytest.raises((ssl.SSLError, OSError)), broker.client("dock-1", **how):
        pass


def test_nobody_gets_in_without_a_certificate_of_ours(broker: SecuredBroker, tmp_path: Path) -> None:
    with broker.client("dock-1"):
        pass
    _refused(broker, pair=None)
    foreign = Authority(tmp_path / "foreign")
    _refused(broker, pair=foreign.sign("dock-1"))
    _refused(broker, pair=(broker.folder / "broker" / "server.crt", broker.folder / "broker" / "server.key"))


def test_an_expired_certificate_does_not_get_in(broker: SecuredBroker, tmp_path: Path) -> None:
    """Signed by the very key of the authority, so that only its end can be the reason."""
    ours = Authority(tmp_path / "ours")
    for ending in ("crt", "key"):
        source = broker.folder / "authority" / "1" / f"authority.{ending}"
        (tmp_path / "ours" / f"authority.{ending}").write_bytes(source.read_bytes())
    with broker.client("dock-1", pair=ours.sign("dock-1")):
        pass
    _refused(broker, pair=ours.sign("dock-2", valid=LONG_AGO))


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
    assert "unsuitable certificate purpose" in _handshake(server, client)
    server.load_cert_chain(broker.folder / "broker" / "server.crt", broker.folder / "broker" / "server.key")
    assert _handshake(server, client) == ""


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str = "localhost") -> str:
    """What the client says of the server, in memory."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = client.wrap_bio(back, there, server_hostname=host), server.wrap_bio(there, back, server_side=True)
    for _ in range(5):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                return str(error)
    return ""


def test_tls_older_than_1_2_is_refused_and_1_3_is_used(broker: SecuredBroker) -> None:
    with broker.client("dock-1") as client:
        assert client.client.socket().version() == "TLSv1.3"  # type: ignore[union-attr]
    context = ssl.create_default_context(cafile=broker.of("dock-1") / "trusted.crt")
    context.load_cert_chain(*_pair(broker.of("dock-1"), "dock-1"))
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", broker.port)) as plain,
        pytest.raises(OSError, match=r"alert protocol version"),
    ):
        context.wrap_socket(plain, server_hostname="localhost")


# The folder.


def test_secrets_are_for_their_owner_only(broker: SecuredBroker) -> None:
    secret = [
        path for path in broker.folder.rglob("*") if path.suffix == ".key" or path.name in ("broker.json", "access")
    ]
    assert len(secret) == 2 + len(MEMBERS) + 2
    for path in secret:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for name in ("authority", "clients", "retired"):
        assert stat.S_IMODE((broker.folder / name).stat().st_mode) == 0o700


def test_nothing_that_is_there_is_overwritten(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "notes").write_text("mine")
    said = command("setup", full, "--host", "h", fails=True)
    assert "holds notes already, and nothing is overwritten" in said
    assert [path.name for path in full.iterdir()] == ["notes"]
    folder = tmp_path / "broker"
    command("setup", folder, "--host", "h")
    before = (folder / "broker" / "server.key").read_bytes()
    assert "a broker is set up here already" in command("setup", folder, "--host", "h", fails=True)
    assert (folder / "broker" / "server.key").read_bytes() == before
    file = tmp_path / "file"
    file.touch()
    assert "file" in command("setup", file, "--host", "h", fails=True)


def test_what_cannot_be_done_is_said_with_the_next_step(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    assert f"appliance broker setup {folder}" in command("add-device", folder, "dock-1", fails=True)
    assert "without a port" in command("setup", folder, "--host", "h:1883", fails=True)
    assert "letters, digits" in command("setup", folder, "--host", "h", "--base", "a/b", fails=True)
    assert "user nobody-of-that-name" in command(
        "setup", folder, "--host", "h", "--owner", "nobody-of-that-name", fails=True
    )
    command("setup", folder, "--host", "h")
    command("add-device", folder, "dock-1")
    assert "is a device already: renew it" in command("add-service", folder, "new", "dock-1", fails=True)
    assert "no dock-9 here; there is dock-1" in command("renew", folder, "dock-1", "dock-9", fails=True)
    assert "no dock-9 here" in command("remove", folder, "dock-9", fails=True)
    assert "letters, digits" in command("add-device", folder, "a+b", fails=True)
    assert "nothing to renew" in command("renew", folder, fails=True)
    assert "new" not in command("show", folder)
    (folder / "broker.json").write_text('{"format": 7}')
    assert "not what `appliance broker` writes" in command("show", folder, fails=True)


def test_without_openssl_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "broker"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "apt-get install openssl" in command("setup", folder, "--host", "h", fails=True)


def test_an_authority_that_is_kept_elsewhere_is_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    command("setup", folder, "--host", "h")
    (folder / "authority" / "1" / "authority.key").rename(tmp_path / "safe")
    assert "authority.key is not here" in command("add-device", folder, "dock-1", fails=True)
    (tmp_path / "safe").rename(folder / "authority" / "1" / "authority.key")
    command("add-device", folder, "dock-1")


def test_two_who_add_at_the_same_moment_lose_neither_s_devices(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    command("setup", folder, "--host", "h")
    words = [sys.executable, "-m", "appliance", "broker", "add-device", str(folder)]
    adding = [subprocess.Popen([*words, f"dock-{n}", f"gate-{n}"], stdout=subprocess.DEVNULL) for n in range(4)]
    assert [one.wait(60) for one in adding] == [0] * 4
    listed = command("show", folder)
    entered = (folder / "broker" / "access").read_text()
    for name in (f"{place}-{n}" for place in ("dock", "gate") for n in range(4)):
        assert name in listed
        assert f"user {name}\n" in entered


def test_an_addition_that_fails_leaves_no_half_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "broker"
    command("setup", folder, "--host", "h")
    before = (folder / "broker" / "access").read_bytes()
    with monkeypatch.context() as there:
        there.setenv("PATH", str(tmp_path))
        command("add-device", folder, "dock-1", "dock-2", fails=True)
    assert (folder / "broker" / "access").read_bytes() == before
    command("add-device", folder, "dock-1", "dock-2")
    assert "dock-2" in command("show", folder)


@pytest.mark.skipif(not is_root(), reason="only root gives files away")
def test_the_broker_s_files_belong_to_the_user_that_it_runs_as(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    elsewhere = ("--at", "/mosquitto/config", "--data", "/mosquitto/data")
    before = os.umask(0o077)
    try:
        command("setup", folder, "--host", "h", "--owner", "1883:1884", *elsewhere)
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "broker").stat().st_mode) == 0o755, "that user has to get at them"
    command("add-device", folder, "dock-1")
    for name in ("access", "server.key", "trusted.crt", "revoked.pem"):
        status = (folder / "broker" / name).stat()
        assert (status.st_uid, status.st_gid) == (1883, 1884), name
    assert (folder / "authority" / "1" / "authority.key").stat().st_uid == os.getuid()
    text = (folder / "broker" / "mosquitto.conf").read_text()
    assert "keyfile /mosquitto/config/server.key" in text
    assert "persistence_location /mosquitto/data/" in text
    assert str(tmp_path) not in text


# Renewal, removal.


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SecuredBroker]:
    """A broker of the test's own with two devices."""
    made = SecuredBroker(tmp_path / "broker")
    made.add("device", "dock-1", "dock-2")
    with made:
        yield made


def _pair(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}.crt", folder / f"{name}.key"


def test_a_renewed_certificate_and_the_one_before_it_are_both_good(small: SecuredBroker) -> None:
    command("renew", small.folder, "dock-1")
    old, new = small.folder / "retired" / "dock-1-1", small.of("dock-1")
    assert (old / "dock-1.key").read_bytes() != (new / "dock-1.key").read_bytes()
    for folder in (old, new):
        with small.client("dock-1", pair=_pair(folder, "dock-1")) as client:
            assert client.may_publish("appliance/dock-1/available")


def test_who_is_removed_may_do_nothing_after_a_reload_and_is_not_let_in_again(small: SecuredBroker) -> None:
    command("renew", small.folder, "dock-1")
    with small.client("dock-1") as gone:
        assert gone.may_publish("appliance/dock-1/available")
        command("remove", small.folder, "dock-1")
        removed_s = time.monotonic()
        small.reload()
        until(lambda: not gone.may_publish("appliance/dock-1/available"))
        tell("G23 removed", cut_after_s=round(time.monotonic() - removed_s, 2))
    small.reload()
    for folder in sorted((small.folder / "retired").glob("dock-1-*")):
        _refused(small, pair=_pair(folder, "dock-1"), trusted=small.of("dock-2") / "trusted.crt")
    with small.client("dock-2") as other:
        assert other.may_publish("appliance/dock-2/available")
    command("add-device", small.folder, "dock-1")
    small.reload()
    with small.client("dock-1") as back:
        assert back.may_publish("appliance/dock-1/available")


def test_an_authority_is_renewed_without_a_moment_in_which_somebody_is_locked_out(small: SecuredBroker) -> None:
    def all_get_in() -> None:
        for name in ("dock-1", "dock-2"):
            with small.client(name) as client:
                assert client.may_publish(f"appliance/{name}/available")

    command("renew", small.folder, "--authority")
    small.reload()
    all_get_in()
    command("renew", small.folder, "dock-1")
    all_get_in()
    said = command("renew", small.folder, "--broker", fails=True)
    assert f"appliance broker renew {small.folder} dock-2" in said
    command("renew", small.folder, "dock-2")
    all_get_in()
    command("renew", small.folder, "--broker")
    all_get_in()
    small.reload()
    all_get_in()
    old = small.folder / "retired" / "dock-1-1"
    _refused(small, pair=_pair(old, "dock-1"))
    with pytest.raises(ssl.SSLCertVerificationError), small.client("dock-1", trusted=old / "trusted.crt"):
        pass


def test_the_dates_are_shown_and_what_ends_soon_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    command("setup", folder, "--host", "h", "--days", "20")
    command("add-device", folder, "dock-1")
    lines = command("show", folder).splitlines()
    assert [line.split()[:2] for line in lines] == [["authority", "signs"], ["broker", "h"], ["dock-1", "device"]]
    assert "renew it soon" not in lines[0]
    assert "renew it soon" in lines[1]
    assert "renew it soon" in lines[2]


# Passwords.


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
        _refused(broker, password=secrets["dock-2"])
        _refused(broker)
        command("renew", broker.folder, "dock-1")
        broker.reload()
        _refused(broker, password=secrets["dock-1"])
        fresh = (broker.of("dock-1") / "password").read_text().strip()
        with broker.client("dock-1", password=fresh) as device:
            assert device.may_publish("appliance/dock-1/available")


def test_a_password_is_never_kept_twice_alike() -> None:
    assert hashed("one") != hashed("one")
    assert hashed("one").startswith("$7$")
