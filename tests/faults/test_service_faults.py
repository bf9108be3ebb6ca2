"""Model services killed, drained and left without a broker; devices that mean harm. On a real mosquitto."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from appliance.mqtt.topics import EVERY_SERVICE
from appliance.questions.question import Refused, Reply
from scripts.benchmarks.crowd import Crowd, question_of
from tests.children import resident_kb
from tests.conftest import Broker
from tests.hostile_device import KINDS
from tests.service_process import ServiceProcess
from tests.uplinks import Listener
from tests.waiting import until

pytestmark = [pytest.mark.broker, pytest.mark.faults]

SOUND = np.zeros(8000, np.float32)
DEADLINE_MS = 1500.0


def devices(count: int) -> list[str]:
    return [f"device-{number}" for number in range(count)]


def ask_all(crowd: Crowd, each: int = 1, left_ms: float = DEADLINE_MS) -> list[str]:
    """So many questions of every device; their ids."""
    return [
        crowd.ask(device, "stated", question_of("stated", sound=SOUND), left_ms)
        for _ in range(each)
        for device in crowd.devices
    ]


def settle(crowd: Crowd, questions: list[str]) -> tuple[list[str], list[str]]:
    """Wait until all are answered or their deadline is well over; the answered ones and the others."""
    crowd.wait(questions, DEADLINE_MS / 1000 + 0.5)
    answered = [each for each in questions if crowd.asked[each].answered]
    assert all(len(crowd.asked[each].answers) <= 1 for each in questions), "a question was answered twice"
    return answered, [each for each in questions if each not in set(answered)]


def services_of(crowd: Crowd, answered: list[str]) -> set[str]:
    replies = [crowd.asked[each].answers[0][1] for each in answered]
    return {reply.service for reply in replies if isinstance(reply, Reply)}


def test_a_service_killed_at_work_costs_what_it_held_and_nothing_after(broker: Broker, tmp_path: Path) -> None:
    first = ServiceProcess(tmp_path, broker.url, "first", "--ms", "100")
    second = ServiceProcess(tmp_path, broker.url, "second", "--ms", "20")
    with (
        Listener(broker.port, EVERY_SERVICE) as listener,
        first,
        second,
        Crowd("127.0.0.1", broker.port, devices(8)) as crowd,
    ):
        for service in (first, second):
            service.await_ready(listener)
        questions = ask_all(crowd)
        until(lambda: any(services_of(crowd, [each]) for each in questions if crowd.asked[each].answered))
        first.kill()
        answered, lost = settle(crowd, questions)
        assert len(lost) <= 4, "the killed service can hold no more than its half"
        assert len(answered) >= 4
        until(lambda: first.told(listener)[-1].state == "offline")
        answered, lost = settle(crowd, ask_all(crowd, each=3))
        assert lost == []
        assert services_of(crowd, answered) == {"second"}


def test_a_service_told_to_stop_answers_what_it_has_and_the_others_get_the_rest(broker: Broker, tmp_path: Path) -> None:
    leaving = ServiceProcess(tmp_path, broker.url, "leaving", "--ms", "60")
    staying = ServiceProcess(tmp_path, broker.url, "staying", "--ms", "5")
    with (
        Listener(broker.port, EVERY_SERVICE) as listener,
        leaving,
        staying,
        Crowd("127.0.0.1", broker.port, devices(10)) as crowd,
    ):
        for service in (leaving, staying):
            service.await_ready(listener)
        questions = ask_all(crowd)
        until(lambda: "leaving" in services_of(crowd, [each for each in questions if crowd.asked[each].answered]))
        ended: list[int] = []
        ender = threading.Thread(target=lambda: ended.append(leaving.stop()))
        ender.start()
        until(lambda: any(each.state == "draining" for each in leaving.told(listener)))
        later = ask_all(crowd)
        answered, lost = settle(crowd, questions)
        assert lost == [], "what it had taken was answered"
        assert services_of(crowd, answered) == {"leaving", "staying"}
        ender.join(10)
        assert ended == [0]
        answered, lost = settle(crowd, later)
        assert lost == [], "what came after went to the other"
        answered, lost = settle(crowd, ask_all(crowd))
        assert lost == []
        assert services_of(crowd, answered) == {"staying"}
        states = [each.state for each in leaving.told(listener)]
        assert states[-1] == "offline"
        assert states.index("draining") < states.index("offline")


def test_a_service_that_is_started_again_answers_again(broker: Broker, tmp_path: Path) -> None:
    with (
        Listener(broker.port, EVERY_SERVICE) as listener,
        ServiceProcess(tmp_path, broker.url, "s1", "--ms", "5") as service,
        Crowd("127.0.0.1", broker.port, devices(2)) as crowd,
    ):
        service.await_ready(listener)
        for end in (service.stop, service.kill):
            end()
            _, lost = settle(crowd, ask_all(crowd))
            assert len(lost) == 2, "nobody is there"
            until(lambda: service.told(listener)[-1].state == "offline")
            service.start()
            until(lambda: service.told(listener)[-1].state == "online")
            service.await_ready(listener)
            answered, lost = settle(crowd, ask_all(crowd))
            assert (len(answered), lost) == (2, [])


def test_a_broker_that_is_lost_and_comes_back_finds_the_service_again(broker: Broker, tmp_path: Path) -> None:
    with ServiceProcess(tmp_path, broker.url, "s1", "--ms", "50") as service:
        with Listener(broker.port, EVERY_SERVICE) as listener, Crowd("127.0.0.1", broker.port, devices(3)) as crowd:
            service.await_ready(listener)
            questions = ask_all(crowd)
            until(lambda: crowd.wait(questions[:1], 5))
        broker.kill()
        broker.start()
        with Listener(broker.port, EVERY_SERVICE) as listener, Crowd("127.0.0.1", broker.port, devices(3)) as crowd:
            service.await_ready(listener)
            answered, lost = settle(crowd, ask_all(crowd))
            assert (len(answered), lost) == (3, [])
            assert set(crowd.asked) == set(answered), "no answer to what was asked before"


def _median_ms(crowd: Crowd, count: int) -> float:
    """To an answer, of questions asked at moments that have nothing to do with what the service is doing.

    Whoever asks as soon as the answer is there always finds the run just begun that took its place in between: twice
    the time to the millisecond, when two share one model fairly.
    """
    took = []
    chance, pause = random.Random(5), threading.Event()
    for _ in range(count):
        pause.wait(chance.uniform(0, 0.1))
        question = crowd.ask("good", "stated", question_of("stated", sound=SOUND), 2000.0)
        assert crowd.wait([question], 3.0), "the good device got no answer"
        [(_, said)] = crowd.asked[question].answers
        assert isinstance(said, Reply), said
        took.append(crowd.asked[question].ms)
    return float(np.median(took))


@pytest.mark.parametrize("kind", KINDS)
def test_a_hostile_device_does_not_keep_a_good_one_waiting_twice_as_long(
    broker: Broker, tmp_path: Path, kind: str, long_run: bool
) -> None:
    count = 100 if long_run else 25
    with (
        Listener(broker.port, EVERY_SERVICE) as listener,
        ServiceProcess(tmp_path, broker.url, "s1", "--ms", "50") as service,
        Crowd("127.0.0.1", broker.port, ["good"]) as crowd,
    ):
        service.await_ready(listener)
        alone_ms = _median_ms(crowd, count)
        before_kb = resident_kb(service.pid)
        command = [sys.executable, "-m", "tests.hostile_device", str(broker.port), kind, "60"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as hostile:
            try:
                assert hostile.stdout is not None
                assert hostile.stdout.readline() == b"at work\n"
                beside_ms = _median_ms(crowd, count)
            finally:
                hostile.kill()
        grown_mb = (resident_kb(service.pid) - before_kb) / 1000
        print(f"{kind}: {alone_ms:.1f} ms alone, {beside_ms:.1f} ms beside it, {grown_mb:.0f} MB more")
        assert beside_ms < 2 * alone_ms
        assert grown_mb < 150
        assert all(len(asked.answers) == 1 for asked in crowd.asked.values())
        assert service.stop() == 0
        assert "Traceback" not in service.log


def test_what_is_refused_is_told_why_to_the_device_itself(broker: Broker, tmp_path: Path) -> None:
    with (
        Listener(broker.port, EVERY_SERVICE) as listener,
        ServiceProcess(tmp_path, broker.url, "s1", "--ms", "5") as service,
        Crowd("127.0.0.1", broker.port, devices(2)) as crowd,
    ):
        service.await_ready(listener)
        one, other = crowd.devices
        stray = crowd.ask(
            one, "stated", question_of("stated", sound=SOUND), 1000.0, response_topic=f"appliance/{other}/answer"
        )
        wrong = crowd.ask(one, "stated", question_of("stated", sound=np.zeros(9000, np.float32)), 1000.0)
        right = crowd.ask(one, "stated", question_of("stated", sound=SOUND), 1000.0)
        assert crowd.wait([wrong, right], 3.0)
        said = crowd.asked[wrong].answers[0][1]
        assert isinstance(said, Refused)
        assert (said.code, "windows of 8000 samples" in said.words) == ("malformed", True)
        assert crowd.asked[right].answered
        assert crowd.asked[stray].answers == []


def test_bytes_that_are_no_text_do_not_reach_the_service(broker: Broker, tmp_path: Path) -> None:
    def string(data: bytes) -> bytes:
        return len(data).to_bytes(2, "big") + data

    def packet(kind: int, body: bytes) -> bytes:
        return bytes([kind, len(body)]) + body

    hello = packet(0x10, string(b"MQTT") + b"\x05\x02\x00\x3c\x00" + string(b"raw"))
    for topic in (b"model-service/stated/infer/\xff\xfe", b"model-service/\xc3\x28/infer/x"):
        with (
            Listener(broker.port, EVERY_SERVICE) as listener,
            ServiceProcess(tmp_path, broker.url, "s1", "--ms", "5") as service,
            Crowd("127.0.0.1", broker.port, devices(1)) as crowd,
        ):
            service.await_ready(listener)
            with socket.create_connection(("127.0.0.1", broker.port)) as raw:
                raw.sendall(hello)
                assert raw.recv(100)[0] == 0x20
                raw.sendall(packet(0x30, string(topic) + b"\x00" + b"{}"))
                raw.settimeout(2)
                assert raw.recv(100)[:1] in (b"", b"\xe0"), "the broker closes"
            assert settle(crowd, ask_all(crowd))[1] == []
