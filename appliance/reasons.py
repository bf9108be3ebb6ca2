"""MQTT 5 reason codes: what each means for us, and in words for the person who has to act.

Numbers and names: MQTT Version 5.0 (OASIS), section 2.4 and tables 3-1, 3-4 and 3-13.
"""

from __future__ import annotations

from enum import Enum


class Loss(Enum):
    """Why there is no connection; decides how long to wait for the next."""

    LOST = "lost"
    """It worked and ended."""
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
    """Keep it and ask again soon."""
    UNACCEPTABLE = "unacceptable"
    """This message will never be taken."""


_VERDICTS = {
    0x00: Verdict.DONE,
    0x10: Verdict.NOBODY_LISTENS,
    0x87: Verdict.FORBIDDEN,
    0x90: Verdict.UNACCEPTABLE,
    0x95: Verdict.UNACCEPTABLE,
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
    0x87: "the broker does not let {client} in: allow it there, or check [mqtt] username",
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
    0x82: "the two sides disagree about the protocol",
    0x87: "the broker no longer allows {client}",
    0x89: "the broker is busy",
    0x8B: "the broker is shutting down",
    0x8D: "no answer within the keep-alive time",
    0x93: "we sent more at once than the broker takes",
    0x95: "a message was larger than the broker accepts",
    0x97: "a quota on the broker is used up",
    0x98: "an administrator disconnected {client}",
}

SESSION_TAKEN_OVER = 0x8E
_BLAMELESS = frozenset({0x8B, 0x8D, 0x8E, 0x98})
"""Ends that no message of ours can have caused."""


def verdict(code: int) -> Verdict:
    """What to do with the message that got this PUBACK."""
    return _VERDICTS.get(code, Verdict.DONE if code < 0x80 else Verdict.BUSY)


def puback_words(code: int) -> str:
    """`the broker does not allow it (0x87)`."""
    return f"{_PUBACK_WORDS.get(code, 'the broker refused it')} (0x{code:02X})"


def refusal(code: int, client: str) -> tuple[Loss, str]:
    """How a refused CONNECT is to be taken, and the sentence for it."""
    words = _CONNACK_WORDS.get(code, "the broker refused the connection").format(client=client)
    return (Loss.UNREACHABLE if code in _PASSING else Loss.REFUSED), f"{words} (0x{code:02X})"


def ending(code: int, client: str, *, from_broker: bool) -> tuple[Loss, str]:
    """How the end of an established connection is to be taken, and the sentence for it."""
    if from_broker and code == SESSION_TAKEN_OVER:
        words = (
            f'another client uses the id "{client}" on this broker: give every device its own [device] name, '
            "or stop the second appliance"
        )
        return Loss.TAKEN_OVER, f"{words} (0x{code:02X})"
    words = _DISCONNECT_WORDS.get(code, "the connection ended").format(client=client)
    return Loss.LOST, f"{words} (0x{code:02X})" if from_broker else words


def may_be_our_fault(code: int) -> bool:
    """Whether the message that was on its way could be what the broker choked on."""
    return code not in _BLAMELESS
