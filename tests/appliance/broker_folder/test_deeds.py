"""Who may say and hear what, as a real mosquitto understands the files of `appliance broker`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.appliance.broker_folder.members import MEMBERS, TOPICS, may
from tests.chaos.telling import tell
from tests.secured_broker import DENIED, TAKEN, SecuredBroker, command
from tests.waiting import until

pytestmark = [pytest.mark.broker, pytest.mark.system, pytest.mark.usefixtures("programs")]


def test_a_real_broker_lets_everybody_publish_exactly_what_the_table_says(broker: SecuredBroker) -> None:
    allowed = 0
    for name in MEMBERS:
        with broker.client(name) as client:
            wanted = {topic for topic in TOPICS if may(name, "write", topic)}
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
            mine = {topic for topic in TOPICS if may(writer, "write", topic)} - published
            published |= client.publishable(sorted(mine))
        assert len(published) > 50
        for name, client in clients.items():
            assert set(client.topics()) == {topic for topic in published if may(name, "read", topic)}, name
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
