"""Why a network camera does not open, told by asking it in plain."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from capture.rtsp_refusal import refusal
from tests.conftest import free_port

Answering = Callable[[bytes], int]


@pytest.fixture
def answering() -> Iterator[Answering]:
    """Starts a server that gives one answer to one question, and returns its port; b"" never answers."""
    opened: list[socket.socket] = []
    asked: list[bytes] = []

    def start(answer: bytes) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        opened.append(listener)

        def serve() -> None:
            connection, _ = listener.accept()
            opened.append(connection)
            asked.append(connection.recv(4096))
            if answer:
                connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        port: int = listener.getsockname()[1]
        return port

    yield start
    for each in opened:
        each.close()
    assert all(b"secret" not in question for question in asked)


ANSWERS = {
    b"RTSP/1.0 404 Not Found\r\n\r\n": "no stream of this name",
    b"RTSP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic\r\n\r\n": "refuses this user name and password",
    b"RTSP/1.0 403 Forbidden\r\n\r\n": "forbids access",
    b"RTSP/1.0 200 OK\r\n\r\n": "its stream does not start",
    b"RTSP/1.0 503 Service Unavailable\r\n\r\n": "as many viewers as it can",
    b"RTSP/1.0 551 Option not supported\r\n\r\n": "RTSP status 551",
    b"HTTP/1.1 400 Bad Request\r\n\r\n": "does not speak RTSP",
    b"\x15\x03\x01": "does not speak RTSP",
    b"": "does not answer",
}


@pytest.mark.system
@pytest.mark.parametrize("answer", ANSWERS)
def test_the_cameras_answer_is_put_into_words(answering: Answering, answer: bytes) -> None:
    assert ANSWERS[answer] in refusal(f"rtsp://admin:secret@127.0.0.1:{answering(answer)}/cam?x=1")


def test_a_camera_that_wants_a_password_says_so(answering: Answering) -> None:
    assert "asks for a user name" in refusal(f"rtsp://127.0.0.1:{answering(b'RTSP/1.0 401 Unauthorized')}/cam")


def test_nobody_there_and_nowhere_to_go_are_told_apart() -> None:
    port = free_port()
    assert refusal(f"rtsp://127.0.0.1:{port}/cam").startswith(f"nothing listens at 127.0.0.1:{port}")
    assert refusal("rtsp://no-such-camera.invalid/cam").startswith("the host no-such-camera.invalid is unknown")


@pytest.mark.parametrize(
    "uri",
    [
        "rtsp://admin:secret/word@127.0.0.1/cam",
        "rtsp://admin:12/secret@127.0.0.1/cam",
        "rtsp://admin:sec#ret@127.0.0.1/cam",
        "rtsp://[secret@127.0.0.1/cam",
    ],
)
def test_a_password_that_breaks_the_address_is_told_without_repeating_any_of_it(uri: str) -> None:
    words = refusal(uri)
    assert "%40 for @" in words
    assert "secret" not in words
    assert "admin" not in words.replace("user:password", "")
