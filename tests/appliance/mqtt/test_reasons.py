"""What the reason codes of MQTT 5 mean for us."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from appliance.mqtt import reasons
from appliance.mqtt.reasons import Loss, Verdict

VERDICTS = {
    0x00: Verdict.DONE,
    0x10: Verdict.NOBODY_LISTENS,
    0x80: Verdict.UNEXPLAINED,
    0x83: Verdict.UNEXPLAINED,
    0x87: Verdict.FORBIDDEN,
    0x90: Verdict.UNACCEPTABLE,
    0x91: Verdict.BUSY,
    0x95: Verdict.UNACCEPTABLE,
    0x97: Verdict.BUSY,
    0x99: Verdict.UNACCEPTABLE,
    0xFF: Verdict.UNEXPLAINED,
}


@pytest.mark.parametrize("code", VERDICTS, ids=lambda code: f"0x{code:02X}")
def test_an_answer_to_a_message_has_one_meaning(code: int) -> None:
    assert reasons.verdict(code) is VERDICTS[code]


def test_every_code_that_paho_knows_for_an_answer_has_words_with_its_number() -> None:
    for code in range(0x80, 0x100):
        assert reasons.puback_words(code).endswith(f"(0x{code:02X})")
        assert len(reasons.puback_words(code)) > len("(0x80)") + 10


REFUSALS = {
    0x84: (Loss.REFUSED, "does not speak MQTT 5"),
    0x85: (Loss.REFUSED, "client id box"),
    0x86: (Loss.REFUSED, "password_file"),
    0x87: (Loss.REFUSED, "does not let box in"),
    0x88: (Loss.UNREACHABLE, "not available"),
    0x89: (Loss.UNREACHABLE, "busy"),
    0x8A: (Loss.REFUSED, "banned box"),
    0x97: (Loss.UNREACHABLE, "quota"),
    0x9A: (Loss.REFUSED, "retained"),
    0x9F: (Loss.UNREACHABLE, "too often"),
    0xEE: (Loss.REFUSED, "refused the connection"),
}


@pytest.mark.parametrize("code", REFUSALS, ids=lambda code: f"0x{code:02X}")
def test_a_refused_connection_is_explained_and_what_passes_by_itself_is_tried_sooner(code: int) -> None:
    loss, words = reasons.refusal(code, "box")
    assert loss is REFUSALS[code][0]
    assert REFUSALS[code][1] in words
    assert words.endswith(f"(0x{code:02X})")


def test_every_refusal_that_mqtt_5_lists_has_its_own_sentence() -> None:
    general = reasons.refusal(0xEE, "box")[1].removesuffix(" (0xEE)")
    for name, code in connack_codes():
        assert not reasons.refusal(code, "box")[1].startswith(f"{general} ("), name


def connack_codes() -> list[tuple[str, int]]:
    found = []
    for code in range(0x80, 0x100):
        try:
            reason = ReasonCode(PacketTypes.CONNACK, identifier=code)
        except (KeyError, ValueError):
            continue
        # Without a will that is too large and topic names that are wrong, which cannot come from us.
        if code not in (0x83, 0x90, 0x99):
            found.append((str(reason), code))
    return found


ENDINGS: dict[str, tuple[int, bool | None, Loss, int]] = {
    "another client took our id": (0x8E, True, Loss.TAKEN_OVER, 0),
    "the broker shuts down": (0x8B, True, Loss.LOST, 0),
    "an administrator acted": (0x98, True, Loss.LOST, 0),
    "a quota is used up": (0x97, True, Loss.LOST, 0),
    "we send too fast": (0x96, True, Loss.LOST, 0),
    "a packet too large": (0x95, True, Loss.LOST, 2),
    "a malformed packet": (0x81, True, Loss.LOST, 2),
    "a topic that is forbidden": (0x87, True, Loss.LOST, 2),
    "no reason given": (0x80, True, Loss.LOST, 2),
    "the line broke": (0x80, False, Loss.LOST, 1),
    "the broker closed it without a word": (0x80, None, Loss.CLOSED, 2),
    "paho could not read an answer": (0x82, False, Loss.LOST, 2),
    "the broker is silent": (0x8D, False, Loss.LOST, 0),
    "we said goodbye": (0x00, False, Loss.LOST, 0),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_an_end_is_blamed_on_a_message_only_where_one_can_be_the_cause(name: str) -> None:
    code, from_broker, loss, blame = ENDINGS[name]
    how = {"from_broker": bool(from_broker), "in_order": from_broker is None}
    assert reasons.ending(code, "box", **how)[0] is loss
    assert reasons.blame(code, **how) == blame


def test_the_sentence_about_a_stolen_id_names_it_and_the_next_step() -> None:
    words = reasons.ending(0x8E, "appliance-dock", from_broker=True)[1]
    assert '"appliance-dock"' in words
    assert "[device] name" in words


def certificate_error(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError("certificate verify failed")
    error.verify_code, error.verify_message = code, "as OpenSSL says it"
    return error


CAUSES = {
    "nobody listens": (ConnectionRefusedError(), "port"),
    "no such name": (socket.gaierror(-2, "Name or service not known"), "name is not known"),
    "no answer": (TimeoutError("timed out"), "no answer"),
    "cut short": (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "port for TLS"),
    "no network": (OSError(errno.ENETUNREACH, "Network is unreachable"), "is the network up"),
    "expired": (certificate_error(10), "has expired"),
    "from the future": (certificate_error(9), "clock"),
    "signed by itself": (certificate_error(18), "ca_file"),
    "another authority": (certificate_error(20), "ca_file"),
    "another name": (certificate_error(62), "than there"),
    "another check": (certificate_error(99), "ca_file"),
    "no TLS there": (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), "does not speak TLS"),
    "no certificate": (ssl.SSLError(1, "[SSL: SSLV3_ALERT_HANDSHAKE_FAILURE] handshake failure"), "cert_file"),
    "something else in TLS": (ssl.SSLError(1, "[SSL: BAD_DIGEST_LENGTH] bad"), "TLS failed"),
    "something else": (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
}


@pytest.mark.parametrize("name", CAUSES)
def test_why_no_connection_came_to_be_is_said_with_the_next_step(name: str) -> None:
    error, part = CAUSES[name]
    assert part in reasons.unreachable(error, "there")


TROUBLES = {
    "TLS 1.3: no certificate": ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13", 0x80, True, "set [mqtt] cert_file"),
    "TLS 1.3: expired": ("[SSL: SSLV3_ALERT_CERTIFICATE_EXPIRED] sslv3", 0x80, True, "our certificate has expired"),
    "TLS 1.3: unknown authority": ("[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1", 0x80, True, "authority of our certificate"),
    "TLS 1.3: bad": ("[SSL: SSLV3_ALERT_BAD_CERTIFICATE] x", 0x80, True, "does not accept our certificate"),
    "TLS, closed without a word": ("", 0x80, True, "may not accept our certificate"),
    "plain, closed without a word": ("", 0x80, False, "mqtts://"),
    "plain, reset": ("failed to receive on socket: [Errno 104] Connection reset by peer", 0x80, False, "mqtts://"),
    "not a broker": ("", 0x82, False, "does not speak MQTT 5"),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_why_the_broker_did_not_answer_our_greeting_is_said_with_the_next_step(name: str) -> None:
    trouble, code, tls, part = TROUBLES[name]
    assert part in reasons.unanswered(trouble, code, tls=tls)
