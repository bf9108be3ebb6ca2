"""The stream of a live page, read without a thread."""

from __future__ import annotations

import socket
import threading

import pytest

from appliance.page.record import record
from appliance.window.following import Following, Told
from tests.waiting import until

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n\r\n"


def taken(page: Following, count: int) -> list[Told]:
    found: list[Told] = []

    def enough() -> bool:
        found.extend(page.records(0.05))
        return len(found) >= count

    until(enough, 10)
    return found


def test_records_come_whole_however_they_are_cut() -> None:
    records = [({"type": "picture", "n": n}, bytes(n)) for n in (0, 5, 70_000)]
    stream = HEAD + b"".join(record(head, body).data for head, body in records)
    with socket.create_server(("127.0.0.1", 0)) as server, Following(*server.getsockname()) as page:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                for place in range(0, len(stream), 997):
                    connection.sendall(stream[place : place + 997])
                done.wait(10)

        done = threading.Event()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        assert taken(page, 3) == records
        assert page.connected
        done.set()
        thread.join(5)


@pytest.mark.system
def test_a_page_that_comes_later_or_again_is_found_by_itself() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        address = holder.getsockname()
    with Following(*address) as page:
        assert page.records(0.01) == []
        for turn in range(2):
            with socket.create_server(address) as server:
                answered = threading.Event()

                def serve(
                    server: socket.socket = server, turn: int = turn, answered: threading.Event = answered
                ) -> None:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(1000)
                        connection.sendall(HEAD + record({"turn": turn}).data)
                        answered.wait(10)

                thread = threading.Thread(target=serve, daemon=True)
                thread.start()
                assert taken(page, 1) == [({"turn": turn}, b"")]
                answered.set()
                thread.join(5)
            until(lambda: page.records(0.01) == [] and not page.connected, 10)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 401 Unauthorized\r\n\r\n{}", b"nonsense\r\n\r\n", b""])
def test_what_is_no_stream_is_left_alone(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, Following(*server.getsockname()) as page:
        served = threading.Event()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(answer)
            served.set()

        threading.Thread(target=serve, daemon=True).start()
        until(lambda: page.records(0.01) == [] and served.is_set(), 10)
        for _ in range(5):
            assert page.records(0.01) == []
        assert not page.connected
