"""Why an RTSP camera cannot be opened: FFmpeg knows but tells only its log, so the camera is asked again, in plain.

One DESCRIBE without credentials (RFC 2326, section 10.2): the first line of the answer tells what is wrong.
"""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

PATIENCE_S = 1.0

_ANSWERS = {
    400: "the camera does not understand this address: check the path after the host",
    403: "the camera forbids access: check the rights of this user in the camera",
    404: "the camera has no stream of this name: check the path after the host",
    453: "the camera has no bandwidth for another viewer: close one, or use its second stream",
    454: "the camera lost the session: try again",
    503: "the camera serves as many viewers as it can: close one, or restart the camera",
}

_UNCLEAR = (
    "this address cannot be understood: write rtsp://user:password@host:554/path, "
    "with %40 for @, %2F for /, %3A for :, %3F for ? and %23 for # in the password"
)


def refusal(uri: str) -> str:
    """What is wrong with the camera at `uri` that FFmpeg could not open, in words without credentials.

    Takes at most two seconds.
    """
    try:
        parts = urlsplit(uri)
        host, port, known = parts.hostname, parts.port, parts.username is not None
    except ValueError:  # its message would repeat parts of the address
        return _UNCLEAR
    if "@" in parts.path + parts.query + parts.fragment:  # what looks like the host may be half of a password
        return _UNCLEAR
    if not host:
        return "the host is missing: write rtsp://host:554/path"
    secure = parts.scheme == "rtsps"
    port = port or (322 if secure else 554)
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        with socket.create_connection((host, port), timeout=PATIENCE_S) as connection:
            if secure:
                return f"{place} accepts connections but no stream opens: check the path and the camera's certificate"
            query = f"?{parts.query}" if parts.query else ""
            return _described(connection, f"rtsp://{place}{parts.path}{query}", known)
    except socket.gaierror:
        return f"the host {host} is unknown: check its name, or write its IP address"
    except ConnectionRefusedError:
        return f"nothing listens at {place}: is the camera on, and is this its RTSP port?"
    except TimeoutError:
        return f"{place} does not answer: is the camera on, and reachable from here?"
    except OSError as e:
        return f"{place} cannot be reached: {e.strerror or 'the network is down'}"


def _described(connection: socket.socket, address: str, known: bool) -> str:
    connection.sendall(f"DESCRIBE {address} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n".encode())
    words = connection.recv(256).split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"RTSP/") or not words[1].isdigit():
        return "something answers there, but it does not speak RTSP: check host and port"
    status = int(words[1])
    if status == 401:
        if known:
            return "the camera refuses this user name and password"
        return "the camera asks for a user name and password: write rtsp://user:password@host/path"
    if status == 200:
        return "the camera answers, but its stream does not start, or is of a kind that cannot be decoded"
    return _ANSWERS.get(status, f"the camera answers with RTSP status {status}: look into its own log")
