"""Why the broker or the network said no: what each answer means for us, and in words for the person who has to act.

Reason codes: MQTT Version 5.0 (OASIS), section 2.4 and tables 3-1, 3-4 and 3-13. Alerts of TLS: RFC 8446, section 6.2.
Codes of certificate checks: OpenSSL, X509_STORE_CTX_get_error(3).
"""

from __future__ import annotations

import errno
import socket
import ssl
from enum import Enum


class Loss(Enum):
    """Why there is no connection; decides how long to wait for the next."""

    LOST = "lost"
    """It worked and ended."""
    CLOSED = "closed"
    """It worked, and the broker closed it in order without a reason."""
    UNREACHABLE = "unreachable"
    """Nobody answered there."""
    REFUSED = "refused"
    """The broker said no; without a person it will say so again."""
    TAKEN_OVER = "taken over"
    """Another client came with our id."""


class Verdict(Enum):
    """What the broker's answer to a spooled message means."""

    DONE = "done"
    NOBODY_LISTENS = "nobody listens"
    """0x10 is a success code, yet the broker has thrown the message away."""
    FORBIDDEN = "forbidden"
    """Keep it, tell somebody, ask again much later."""
    BUSY = "busy"
    """Keep it and ask again soon, however often."""
    UNEXPLAINED = "unexplained"
    """Ask again soon, but not for ever."""
    UNACCEPTABLE = "unacceptable"
    """This message will never be taken."""


_VERDICTS = {
    0x00: Verdict.DONE,
    0x10: Verdict.NOBODY_LISTENS,
    0x87: Verdict.FORBIDDEN,
    0x89: Verdict.BUSY,
    0x90: Verdict.UNACCEPTABLE,
    0x91: Verdict.BUSY,
    0x93: Verdict.BUSY,
    0x95: Verdict.UNACCEPTABLE,
    0x96: Verdict.BUSY,
    0x97: Verdict.BUSY,
    0x99: Verdict.UNACCEPTABLE,
}

_PUBACK_WORDS = {
    0x80: "the broker refused it without a reason",
    0x83: "the broker refused it for a reason of its own",
    0x87: "the broker does not allow it",
    0x90: "the broker does not accept the topic name",
    0x95: "it is larger than the broker accepts",
    0x97: "a quota on the broker is used up",
    0x99: "the broker does not accept the format of the content",
}

_CONNACK_WORDS = {
    0x80: "the broker refused the connection without a reason",
    0x81: "the broker could not read our greeting (malformed packet)",
    0x82: "the broker could not read our greeting (protocol error)",
    0x84: "the broker does not speak MQTT 5: use one that does, such as mosquitto 1.6 or later",
    0x85: "the broker does not accept the client id {client}: [device] name is part of it",
    0x86: "the broker does not accept the user name or password: check [mqtt] username and password_file",
    0x87: "the broker does not let {client} in: allow it there, or check [mqtt] username and password_file",
    0x88: "the broker is not available at the moment",
    0x89: "the broker is busy",
    0x8A: "the broker has banned {client}",
    0x8C: "the broker wants another kind of authentication than user name, password or certificate",
    0x95: "the broker finds our greeting too large",
    0x97: "a quota on the broker is used up",
    0x9A: "the broker keeps no retained messages, which the appliance needs",
    0x9B: "the broker offers QoS 0 only; the appliance needs QoS 1",
    0x9C: "the broker says: use another server",
    0x9D: "the broker says: this server has moved; change [mqtt] broker",
    0x9F: "the broker finds that we connect too often",
}

_PASSING = frozenset({0x88, 0x89, 0x97, 0x9F})
"""Refusals that end by themselves."""

_DISCONNECT_WORDS = {
    0x81: "the broker could not read a packet of ours",
    0x82: "the broker finds that a packet of ours breaks the protocol",
    0x87: "the broker does not allow {client} to do what it does: see its access rules",
    0x89: "the broker is busy",
    0x8B: "the broker is shutting down",
    0x8D: "the broker heard nothing from us within the keep-alive time",
    0x93: "we sent more at once than the broker takes",
    0x95: "a message was larger than the broker accepts",
    0x96: "the broker finds that we send too fast: lower [outbox] drain_per_s",
    0x97: "a quota on the broker is used up",
    0x98: "an administrator disconnected {client}",
    0x9F: "the broker finds that we connect too often",
}

_LINE_BROKE, _PROTOCOL_ERROR, _SILENT = 0x80, 0x82, 0x8D
_ENDING_WORDS = {
    _LINE_BROKE: "the connection to the broker broke",
    _PROTOCOL_ERROR: "the broker sent a packet that MQTT 5 does not know",
    _SILENT: "the broker answers no more",
}
"""Ends that paho finds by itself, for which it borrows codes."""

SESSION_TAKEN_OVER = 0x8E
_BLAMELESS = frozenset({0x89, 0x8B, 0x8D, 0x8E, 0x93, 0x96, 0x97, 0x98, 0x9C, 0x9D, 0x9F})
"""Ends by the broker that no single message of ours can have caused."""


def verdict(code: int) -> Verdict:
    """What to do with the message that got this PUBACK."""
    return _VERDICTS.get(code, Verdict.DONE if code < 0x80 else Verdict.UNEXPLAINED)


def puback_words(code: int) -> str:
    """`the broker does not allow it (0x87)`."""
    return f"{_PUBACK_WORDS.get(code, 'the broker refused it')} (0x{code:02X})"


def suback_words(code: int) -> str:
    """`the broker does not let us subscribe: commands on it are not heard (0x87)`."""
    return f"the broker does not let us subscribe to it, so nothing on it is heard: allow it there (0x{code:02X})"


def refusal(code: int, client: str) -> tuple[Loss, str]:
    """How a refused CONNECT is to be taken, and the sentence for it."""
    words = _CONNACK_WORDS.get(code, "the broker refused the connection").format(client=client)
    return (Loss.UNREACHABLE if code in _PASSING else Loss.REFUSED), f"{words} (0x{code:02X})"


def taken_over(client: str) -> str:
    """What to do about a second client with our id."""
    return (
        f'another client uses the id "{client}" on this broker: give every device its own [device] name, '
        "or stop the second appliance"
    )


def ending(code: int, client: str, *, from_broker: bool, in_order: bool = False) -> tuple[Loss, str]:
    """How the end of an established connection is to be taken, and the sentence for it.

    `in_order`: the broker closed it as one closes a connection, and it did not just break.
    """
    if from_broker and code == SESSION_TAKEN_OVER:
        return Loss.TAKEN_OVER, f"{taken_over(client)} (0x{code:02X})"
    if not from_broker and in_order and code == _LINE_BROKE:
        return Loss.CLOSED, "the broker closed the connection and gave no reason"
    if not from_broker:
        return Loss.LOST, _ENDING_WORDS.get(code, "the connection ended")
    words = _DISCONNECT_WORDS.get(code, "the broker ended the connection").format(client=client)
    return Loss.LOST, f"{words} (0x{code:02X})"


def blame(code: int, *, from_broker: bool, in_order: bool = False) -> int:
    """How much an end speaks against the message that was on its way: 0 not at all, 1 a little, 2 much."""
    if from_broker:
        return 0 if code in _BLAMELESS else 2
    return {_LINE_BROKE: 2 if in_order else 1, _PROTOCOL_ERROR: 2}.get(code, 0)


# Before there is a connection.

_CERTIFICATE_WORDS = {
    9: "the broker's certificate is not valid yet: is the clock of this machine right?",
    10: "the broker's certificate has expired: renew it there (or is the clock of this machine wrong?)",
    18: "the broker's certificate is signed by itself: name it in [mqtt] ca_file if you trust it",
    19: "the broker's certificate comes from an authority that we do not know: name that one in [mqtt] ca_file",
    20: "the broker's certificate comes from an authority that we do not know: name that one in [mqtt] ca_file",
    62: "the broker's certificate is for another name than {host}: write in [mqtt] broker the name it was made for",
    64: "the broker's certificate is for another address than {host}: write in [mqtt] broker the name it was made for",
}

_ALERT_WORDS = {
    "CERTIFICATE_REQUIRED": "the broker asks for a certificate: set [mqtt] cert_file and key_file",
    "CERTIFICATE_EXPIRED": "our certificate has expired: renew [mqtt] cert_file",
    "CERTIFICATE_REVOKED": "our certificate was revoked: renew [mqtt] cert_file",
    "UNKNOWN_CA": "the broker does not know the authority of our certificate: is [mqtt] cert_file the one for it?",
    "HANDSHAKE_FAILURE": "the broker ended the TLS handshake: does it ask for a certificate ([mqtt] cert_file)?",
    "PROTOCOL_VERSION": "the broker and we have no version of TLS in common: it should offer TLS 1.2 or 1.3",
    "WRONG_VERSION_NUMBER": "that port does not speak TLS: write mqtt:// or give the port for TLS, usually 8883",
    "EOF": "the connection was closed in the TLS handshake: is that the port for TLS, usually 8883?",
}
"""By a part of the name that OpenSSL gives the error."""
_CUT_SHORT = _ALERT_WORDS["EOF"]


def unreachable(error: BaseException | None, host: str) -> str:
    """Why no connection came to be, from what the operating system or TLS said."""
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there: is the broker running, and is the port right?"
    if isinstance(error, ConnectionResetError):
        return _CUT_SHORT
    if isinstance(error, socket.gaierror):
        return "the name is not known: check [mqtt] broker and the network"
    if isinstance(error, TimeoutError):
        return "no answer: is the address right, and the network up?"
    if isinstance(error, ssl.SSLCertVerificationError):
        words = _CERTIFICATE_WORDS.get(
            error.verify_code, "the broker's certificate is not trusted: check [mqtt] ca_file"
        )
        return f"{words.format(host=host)} ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return _alert_words(str(error)) or f"TLS failed: {error}"
    if isinstance(error, OSError) and error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return "there is no way to it: is the network up?"
    return f"cannot connect: {error}"


def unanswered(trouble: str, code: int, *, tls: bool) -> str:
    """Why a connection ended before the broker answered our greeting.

    `trouble` is what paho wrote to its log, if anything: with TLS 1.3 a broker says only now what it thinks of our
    certificate. `code` is what paho made of it.
    """
    if (words := _alert_words(trouble)) is not None:
        return words
    if code == _PROTOCOL_ERROR:
        return "what answers there does not speak MQTT 5"
    if tls:
        return "the broker closed the connection before it answered: it may not accept our certificate"
    return "the broker closed the connection before it answered: does that port want TLS (mqtts://)?"


def _alert_words(trouble: str) -> str | None:
    if "SSL" not in trouble:
        return None
    known = next((words for name, words in _ALERT_WORDS.items() if name in trouble), None)
    if known is None and "CERTIFICATE" in trouble:
        return f"the broker does not accept our certificate ([mqtt] cert_file): {trouble}"
    return known
