"""What comes over MQTT: commands, desired documents, questions, answers, announcements, pieces, others' documents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from appliance import commands, words
from appliance.commands import BadCommand
from appliance.home_assistant.announcer import _components
from appliance.questions import codec
from appliance.questions.announcement import Announcement, Load, ServedModel, announcement_from_json
from appliance.questions.announcement import announcement_to_json as announced
from appliance.questions.question import Question, Refused, Reply
from appliance.questions.tensors import BadTensor
from appliance.remote.services import Services
from appliance.result import ModelId
from appliance.sync import desired
from appliance.sync.pieces import Asked, Said
from appliance.uplink.encoding import confirmation
from engines.predictions import Answer, Detection, Keypoint, Label, Mask, Pose, Segment, StageTimes
from tests.fuzz.target import Target

ROOT = "appliance/box"
ID = "01JD0000000000000000000000"
QUESTION = Question(ID, "dock", "people", None, None, None, None, None, {}, True, None, None, 7)
MODEL = ModelId("people", "3", "sha256:" + "0" * 64)
TIMES = StageTimes(0.5, 1.5, 0.25)


def head_and_rest(data: bytes) -> tuple[str, bytes]:
    """The first line of an input, which is what travels beside a payload: a topic, or a length; and the payload."""
    head, _, rest = data.partition(b"\n")
    return head.decode("utf-8", "replace"), rest


# -- commands ---------------------------------------------------------------------------------------------------------


def command(data: bytes) -> None:
    topic, payload = head_and_rest(data)
    found = commands.read(f"{ROOT}/{topic}", payload, ROOT)
    if isinstance(found, commands.Request):
        commands.snapshot_data(found.data)


def commanded() -> Iterator[bytes]:
    yield b'source/dock/set\n{"enabled": false}'
    yield b'pipeline/shapes/set\n{"enabled": true, "threshold": 0.5, "snapshot": true}'
    yield b'pipeline/shapes/set\n{"threshold": null}'
    yield b'request/snapshot\n{"data": {"pipeline": "shapes"}, "transaction": "a-1"}'
    yield b"request/status\n"
    yield b'request/status\n{"transaction": 7, "data": {"a": [1.5, -2e3, "\\u00e9\\ud83d\\ude00", null, true]}}'


def desire() -> Iterator[bytes]:
    yield b'{"n": 3, "models": {"people": {"version": "4"}, "tones": {"version": "1.2-rc.1"}}}'
    yield b'{"n": 1, "models": {}}'


# -- questions and answers --------------------------------------------------------------------------------------------


def question(data: bytes) -> None:
    """As `appliance serve` reads it: the properties, then the payload."""
    head, body = head_and_rest(data)
    length, _, left_ms = head.partition(" ")
    user = ((codec.HEADER_PROPERTY, length), (codec.DEADLINE_PROPERTY, left_ms))
    codec.deadline_ms(user)
    codec.decode_question(body, codec.header_bytes(user), model="people", device="dock", deadline_ns=7)


def asked() -> Iterator[bytes]:
    import cv2

    rng = np.random.default_rng(0)
    _, jpeg = cv2.imencode(".jpg", rng.integers(0, 255, (24, 32, 3)).astype(np.uint8))
    features = rng.normal(0, 1, (1, 7, 40)).astype(np.float32)
    wide = replace(
        QUESTION, first="b", last="c", decode=False, tensors={"x": features, "n": np.array([1, 2], np.int64)}
    )
    even = replace(wide, tensors={"x": np.zeros((1, 1000), np.float32), "flags": np.array([True, False])})
    labelled = replace(QUESTION, threshold=0.25, labels=("person", "café"), version="3")
    made = [
        codec.encode_question(labelled, jpeg=jpeg.tobytes()),
        codec.encode_question(replace(QUESTION, sound=np.sin(np.arange(200, dtype=np.float32)))),
        codec.encode_question(replace(QUESTION, sound=np.ones(40, np.float32)), sound_as="FP32"),
        *(
            codec.encode_question(each, packing=packing)
            for each in (wide, even)
            for packing in ("exact", "half", "byte")
        ),
    ]
    for payload in made:
        yield f"{payload.header_bytes} 250.0\n".encode() + payload.body


def answer(data: bytes) -> None:
    head, body = head_and_rest(data)
    codec.decode_answer(body, codec.header_bytes(((codec.HEADER_PROPERTY, head),)))


def answered() -> Iterator[bytes]:
    box = (1.0, 2.0, 30.0, 40.0)
    seen = (
        Detection("person", 0, 0.9, box),
        Detection("person", 0, 0.8, box, pose=Pose((Keypoint(1.0, 2.0, 0.5),))),
        Detection("person", 0, 0.7, box, 4, mask=Mask((((1.0, 2.0), (9.0, 2.0), (5.0, 8.0)),))),
        Detection("ship", 1, 0.6, box, corners=((1.0, 9.0), (15.0, 2.0), (30.0, 20.0), (16.0, 40.0))),
    )
    heard = (Label("speech", 0, 0.75), Segment("one", 0.25, 0.5))
    reply = Reply(
        ID, MODEL, None, {"y": np.arange(6, dtype=np.float32).reshape(2, 3)}, 1.0, 2.0, "brain", "onnxruntime"
    )
    for said in (
        replace(reply, answer=Answer("detect", seen, TIMES), tensors={}),
        replace(reply, answer=Answer("audio-labels", heard, TIMES), tensors={}),
        reply,
        Refused("busy", "ask again"),
    ):
        payload = codec.encode_answer(said, ID, "brain")
        yield f"{payload.header_bytes}\n".encode() + payload.body


# -- announcements, pieces, documents ---------------------------------------------------------------------------------


def announcement(data: bytes) -> None:
    """Both ways in: the document alone, and in the list of services, which never refuses and must still answer."""
    services = Services()
    services.hear("brain-1", data)
    services.standing("people", "3", True, "")
    announcement_from_json(data)


def announcements() -> Iterator[bytes]:
    model = ServedModel(
        "people", True, "3", MODEL.digest, "detect", ("a", "b"), "image", "onnxruntime", None, 1.5, 20.0
    )
    yield announced(
        Announcement("brain-1", "online", "g", (model, ServedModel("b", False, fault="x")), Load(1, 0.5, 2.0))
    )
    yield announced(Announcement("brain-1", "offline"))


def piece(data: bytes) -> None:
    head, rest = head_and_rest(data)
    Asked.read(rest)
    name, _, value = head.partition("=")
    Said.read([(name, value)])


def pieces() -> Iterator[bytes]:
    yield b'total=1000\n{"path": "metadata/timestamp.json", "offset": 0, "most": 65536}'
    yield b"missing=\n"


def document(data: bytes) -> None:
    """What `appliance watch`, the uplink and Home Assistant's announcer read of others: never an exception."""
    topic, payload = head_and_rest(data)
    for line in (words.news(topic, payload), words.row(topic, payload)):
        assert line is None or line.isprintable(), "a control character would reach the terminal"
    words.numbers_read(topic, payload)
    confirmation(payload)
    _components(payload)


def documents() -> Iterator[bytes]:
    digit = {"label": "7", "score": 0.9, "box": [1.0, 2.0, 10.0, 20.0], "confirmed": True, "id": "a"}
    result = {"type": "result", "pipeline": "p", "status": "ok", "latency_ms": {"total": 12.5}, "engine": "onnxruntime"}
    seen = result | {"frame": {"width": 64, "height": 48}, "detections": [digit, {**digit, "box": [11, 2, 20, 20]}]}
    event = {"type": "event", "event": "new", "pipeline": "p", "label": "a", "id": "b", "score": 0.5, "zones": ["gate"]}
    health = {"type": "health", "device": "box", "status": "ok", "sources": {}, "pipelines": {}}
    for topic, each in {
        f"{ROOT}/pipeline/p/result": seen,
        f"{ROOT}/pipeline/p/results": result | {"labels": [{"label": "speech", "score": 0.5}]},
        f"{ROOT}/pipeline/q/result": result | {"status": "failed", "reason": "no engine"},
        f"{ROOT}/pipeline/p/event": event,
        f"{ROOT}/health": health,
        f"{ROOT}/pipeline/p/gap": {"type": "gap", "device": "box", "count": 3, "reason": "disk"},
        f"{ROOT}/together/t/event": {
            "type": "together",
            "together": "t",
            "event": "new",
            "picture": event,
            "sound": event,
        },
        "collector/box": {"epoch": "e", "seq": 9},
        "homeassistant/device/x/config": {"components": {"a": {"platform": "sensor", "name": "n"}}},
    }.items():
        yield topic.encode() + b"\n" + json.dumps(each).encode()
    yield f"{ROOT}/available\nonline".encode()


TARGETS = {
    "command": Target(command, (BadCommand,), commanded),
    "desired": Target(desired.read, (BadCommand,), desire),
    "question": Target(question, (Refused, BadTensor), asked),
    "answer": Target(answer, (BadTensor,), answered),
    "announcement": Target(announcement, (BadTensor,), announcements),
    "piece": Target(piece, (), pieces),
    "document": Target(document, (), documents),
}
