"""Connections to the page, from the first packet on."""

from __future__ import annotations

import socket

from appliance.page.sockets import Listener


def test_whoever_gives_up_within_the_handshake_leaves_nothing_behind() -> None:
    """A browser that does not trust the certificate does, at every attempt."""
    with Listener("127.0.0.1", 0) as listener:
        for _ in range(20):
            with socket.create_connection(listener.getsockname()):
                accepted, _ = listener.accept()
                accepted.close()
                del accepted
        assert listener.waiting == 0
