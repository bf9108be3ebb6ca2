"""Who may ask, how much, and how it begins."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from appliance.config_errors import ConfigError
from appliance.oip import bodies, sockets
from appliance.oip.serving import Addresses, Serving
from appliance.oip.settings import Oip
from appliance.service.room import Room
from tests.appliance.oip.caller import INFER, PICTURE, Caller, binary
from tests.appliance.oip.conftest import offered, shipped
from tests.certificates import Authority
from tests.waiting import until

# -- who may ask ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:8000"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Host": ""}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_a_web_page_cannot_ask_a_server_on_loopback(caller: Caller, headers: Mapping[str, str], status: int) -> None:
    assert caller.ask("GET", "/v2", headers=headers)[0] == status


def test_from_other_machines_only_the_bearer_of_the_token_may_ask(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.sign("service")
    token = tmp_path / "token"
    token.write_text("open sesame\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(key.parent))
    theirs = Path(f"credential:{key.name}")
    settings = Oip(http="0.0.0.0:0", grpc="off", cert_file=certificate, key_file=theirs, token_file=token)
    with offered(room, settings) as addresses:
        context = ssl.create_default_context(cafile=str(authority.certificate))
        caller = Caller(f"localhost:{str(addresses.http).rpartition(':')[2]}", context=context)
        assert caller.ask("GET", "/v2/health/live")[0] == 200
        assert caller.ask("GET", "/v2")[0] == 401
        caller.connection.close()
        assert caller.ask("GET", "/v2", headers={"Authorization": "Bearer wrong"})[0] == 401
        caller.connection.close()
        assert caller.ask("GET", "/v2", headers={"Authorization": "Bearer open sesame"})[0] == 200
        caller.connection.close()


def test_callers_may_be_kept_from_loading_and_unloading(room: Room) -> None:
    with offered(room, Oip(http="127.0.0.1:0", grpc="off", repository=False)) as addresses:
        caller = Caller(addresses.http)
        status, body = caller.ask("POST", "/v2/repository/models/shapes/unload")
        caller.connection.close()
    assert (status, b"repository = false" in body) == (400, True)
    assert all(each.ready for each in room.models())


def test_files_of_the_callers_own_are_not_taken(caller: Caller) -> None:
    body = json.dumps({"parameters": {"config": "{}", "file:1/model.onnx": "AAAA"}}).encode()
    assert caller.ask("POST", "/v2/repository/models/shapes/load", body)[0] == 400


# -- what is bounded --------------------------------------------------------------------------------------------------


def _closed(connection: socket.socket) -> bool:
    connection.settimeout(0.01)
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def _connected(served: Addresses) -> socket.socket:
    host, _, port = str(served.http).rpartition(":")
    return socket.create_connection((host, int(port)), 5)


def test_who_sends_no_head_is_not_waited_for(served: Addresses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "IDLE_S", 0.3)
    silent, dripping = _connected(served), _connected(served)

    def dripped() -> bool:
        try:
            dripping.send(b"G")
        except OSError:
            return True
        return _closed(dripping)

    until(dripped, 5, "the one that drips is closed")
    until(lambda: _closed(silent), 5, "the silent one is closed")
    silent.close()
    dripping.close()


def test_a_body_that_drips_is_given_up(served: Addresses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "WITHIN_S", 0.3)
    slow = _connected(served)
    slow.sendall(f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n".encode())
    started = time.monotonic()
    answer = b""
    slow.settimeout(0.05)
    while not answer and time.monotonic() < started + 5:
        try:
            slow.sendall(b"x")
            answer = slow.recv(65536)
        except TimeoutError:
            continue
    assert answer.startswith(b"HTTP/1.1 504")
    slow.close()


@pytest.mark.system
def test_who_does_not_read_the_answers_is_not_waited_for(served: Addresses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "READS_WITHIN_S", 0.3)
    monkeypatch.setattr(sockets, "IDLE_S", 0.3)
    deaf = _connected(served)
    head = json.dumps(binary()).encode()
    request = (
        f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nInference-Header-Content-Length: {len(head)}\r\n"
        f"Content-Length: {len(head) + PICTURE.nbytes}\r\n\r\n"
    ).encode()
    deaf.settimeout(0.05)

    def given_up() -> bool:
        """Answers of 400 kB, until the system's buffers hold no more and the server ends it."""
        try:
            deaf.sendall(request + head + PICTURE.tobytes())
        except TimeoutError:
            return False
        except OSError:
            return True
        return False

    until(given_up, 20)
    deaf.close()
    until(lambda: _asked(served) == 200, 5)


@pytest.mark.system
def test_more_connections_than_are_kept_are_told_so_and_others_go_on(served: Addresses) -> None:
    caller = Caller(served.http)
    assert caller.ask("GET", "/v2")[0] == 200
    crowd = [_connected(served) for _ in range(sockets.MOST_CONNECTIONS + 10)]
    try:
        until(lambda: sum(_closed(each) for each in crowd[-9:]) == 9, 5, "the last ones are closed")
        assert caller.ask("GET", "/v2")[0] == 200
    finally:
        for each in crowd:
            each.close()
        caller.connection.close()
    until(lambda: _asked(served) == 200, 5, "there is room again")


def _asked(served: Addresses) -> int:
    caller = Caller(served.http)
    try:
        return caller.ask("GET", "/v2")[0]
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        caller.connection.close()


def test_large_bodies_together_are_bounded(room: Room) -> None:
    """One caller may hold two of the largest size; what comes then is told to ask again, and small questions go on."""
    with offered(room, Oip(http="127.0.0.1:0", grpc="off", max_mb=1)) as addresses:
        holding = [_connected(addresses) for _ in range(6)]
        answers: dict[int, bytes] = {}
        for connection in holding:
            head = f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
            connection.sendall(head.encode() + bytes(990_000))
            connection.settimeout(0.05)

        def refused() -> bool:
            for number, connection in enumerate(holding):
                try:
                    answers.setdefault(number, connection.recv(1000))
                except TimeoutError:
                    continue
            return len(answers) >= 1

        until(refused, 5)
        assert all(answer.startswith(b"HTTP/1.1 503") for answer in answers.values())
        assert _asked(addresses) == 200
        for connection in holding:
            connection.close()


def test_a_crowd_gets_its_answers(served: Addresses) -> None:
    codes: list[int] = []

    def ask() -> None:
        caller = Caller(served.http)
        for _ in range(5):
            codes.append(caller.infer(binary(), PICTURE.tobytes())[0])
        caller.connection.close()

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert codes == [200] * 40


# -- how it begins ----------------------------------------------------------------------------------------------------


def test_a_model_is_loaded_when_it_is_first_asked_for(tmp_path: Path) -> None:
    with shipped(tmp_path, eager=False) as room, offered(room, lazy=True) as addresses:
        caller = Caller(addresses.http)
        assert caller.ask("GET", "/v2/health/ready")[0] == 200
        assert not any(each.ready for each in room.models())
        assert caller.infer(binary(), PICTURE.tobytes())[0] == 200
        assert [each.name for each in room.models() if each.ready] == ["shapes"]
        assert caller.ask("POST", "/v2/repository/models/shapes/unload")[0] == 200
        assert caller.infer(binary(), PICTURE.tobytes())[0] == 503
        caller.connection.close()


def test_an_address_that_is_taken_is_named(room: Room, served: Addresses) -> None:
    with pytest.raises(ConfigError, match=r"\[oip\]: http = .* cannot listen there"):
        Serving(room, Oip(http=str(served.http), grpc="off"), "here").listen()
    with pytest.raises(ConfigError, match=r"\[oip\]: grpc = .* cannot listen there"):
        Serving(room, Oip(http="off", grpc=str(served.grpc)), "here").listen()


def test_a_certificate_that_is_none_is_named(room: Room, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.crt"
    nothing.write_text("hello")
    with pytest.raises(ConfigError, match=r"nothing\.crt"):
        Serving(room, Oip(http="127.0.0.1:0", grpc="off", cert_file=nothing, key_file=nothing), "here").listen()
