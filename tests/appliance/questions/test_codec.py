"""Questions and answers survive the way; hostile ones are refused before they cost anything."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from appliance.questions import codec
from appliance.questions.codec import Payload, QuestionLimits, decode_answer, decode_question, encode_answer
from appliance.questions.question import CODES, Question, Refused, Reply
from appliance.questions.tensors import BadTensor, Limits
from appliance.result import ModelId
from engines.engine import Array
from engines.predictions import Answer, Detection, Keypoint, Label, Mask, Pose, Segment, StageTimes

ID = "01JD0000000000000000000000"
QUESTION = Question(ID, "dock", "people", None, None, None, None, None, {}, True, None, None, 7)
MODEL = ModelId("people", "3", "sha256:" + "0" * 64)
TIMES = StageTimes(0.5, 1.5, 0.25)


def _sent(payload: Payload, limits: QuestionLimits = codec.QUESTION_LIMITS) -> Question:
    return decode_question(
        payload.body, payload.header_bytes, model="people", device="dock", deadline_ns=7, limits=limits
    )


def _jpeg(pixels: Array, **options: int) -> bytes:
    import cv2

    flags = [each for name, value in options.items() for each in (getattr(cv2, name), value)]
    done, data = cv2.imencode(".jpg", pixels, flags)
    assert done
    return data.tobytes()


def _picture(height: int = 48, width: int = 64) -> Array:
    ramp = np.linspace(0, 255, width, dtype=np.uint8)
    return np.ascontiguousarray(np.broadcast_to(ramp[None, :, None], (height, width, 3)))


def test_a_picture_arrives_as_its_jpeg_decodes() -> None:
    picture = _picture()
    sent = _sent(codec.encode_question(replace(QUESTION, threshold=0.25, labels=("person",)), jpeg=_jpeg(picture)))
    assert sent.picture is not None
    assert np.abs(sent.picture.astype(int) - picture).max() <= 4
    assert (sent.id, sent.device, sent.model, sent.deadline_ns) == (ID, "dock", "people", 7)
    assert (sent.threshold, sent.labels, sent.decode) == (0.25, ("person",), True)
    assert sent.sound is None
    assert not sent.tensors


@pytest.mark.parametrize(("sound_as", "off"), [("FP32", 0.0), ("INT16", 1 / 32768)])
def test_a_sound_arrives_within_a_step(sound_as: Any, off: float) -> None:
    sound = np.sin(np.arange(1600, dtype=np.float32) / 9)
    sent = _sent(codec.encode_question(replace(QUESTION, sound=sound), sound_as=sound_as))
    assert sent.sound is not None
    assert sent.sound.dtype == np.float32
    assert np.abs(sent.sound - sound).max() <= off


@pytest.mark.parametrize(("packing", "off"), [("exact", 0.0), ("half", 0.002), ("byte", 0.02)])
def test_tensors_arrive_within_what_their_packing_keeps(packing: Any, off: float) -> None:
    features = np.random.default_rng(0).normal(0, 1, (1, 49, 40)).astype(np.float32)
    flags = np.array([1, 2, 3], np.int64)
    asked = replace(QUESTION, first="words", last="words", decode=False, tensors={"x": features, "flags": flags})
    payload = codec.encode_question(asked, packing=packing)
    sent = _sent(payload)
    assert (sent.first, sent.last, sent.decode) == ("words", "words", False)
    assert sent.tensors["x"].dtype == np.float32
    assert np.abs(sent.tensors["x"] - features).max() <= off
    np.testing.assert_array_equal(sent.tensors["flags"], flags)
    sizes = {"exact": features.nbytes, "half": features.nbytes / 2, "byte": features.nbytes / 4}
    assert len(payload.body) <= sizes[packing] + 600


@pytest.mark.parametrize("fill", [0.0, -3.5, 1e-30], ids=str)
def test_bytes_hold_a_tensor_that_is_the_same_everywhere(fill: float) -> None:
    features = np.full((3, 3), fill, np.float32)
    asked = replace(QUESTION, first="words", tensors={"x": features}, decode=False)
    np.testing.assert_allclose(_sent(codec.encode_question(asked, packing="byte")).tensors["x"], features, rtol=1e-6)


def test_what_deflates_is_sent_deflated_and_arrives_whole() -> None:
    features = np.zeros((100, 100), np.float32)
    payload = codec.encode_question(replace(QUESTION, first="words", tensors={"x": features}, decode=False))
    assert len(payload.body) < 1000
    np.testing.assert_array_equal(_sent(payload).tensors["x"], features)


@pytest.mark.parametrize("packing", ["half", "byte"])
def test_a_tensor_with_nan_is_not_packed(packing: Any) -> None:
    bad = {"x": np.array([np.nan], np.float32)}
    with pytest.raises(BadTensor, match="no number"):
        codec.encode_question(replace(QUESTION, first="words", tensors=bad), packing=packing)


# Hostile questions.


def _header(**changes: Any) -> dict[str, Any]:
    entry = {"name": "x", "datatype": "UINT8", "shape": [4], "parameters": {"binary_data_size": 4}}
    return {"id": ID, "parameters": {"decode": False}, "inputs": [entry]} | changes


def _payload(header: Any, raw: bytes = b"1234") -> Payload:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return Payload(text + raw, len(text))


def _deflated(values: bytes, shape: list[int], datatype: str = "FP32", **parameters: Any) -> Payload:
    data = zlib.compress(values)
    told = {"binary_data_size": len(data), "deflate": True} | parameters
    entry = {"name": "x", "datatype": datatype, "shape": shape, "parameters": told}
    return _payload(_header(inputs=[entry]), data)


def _sampled(name: str, data: bytes, datatype: str = "BYTES", shape: tuple[int, ...] = (1,), **more: Any) -> Payload:
    raw = len(data).to_bytes(4, "little") + data if datatype == "BYTES" else data
    told = {"binary_data_size": len(raw)}
    entry = {"name": name, "datatype": datatype, "shape": list(shape), "parameters": told}
    return _payload(_header(inputs=[entry], parameters={"sample": name} | more), raw)


def _claiming(width: int, height: int) -> bytes:
    """A small JPEG whose header claims to be a picture of another size."""
    data = bytearray(_jpeg(_picture()))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(data)


def _many_scans() -> bytes:
    data = _jpeg(_picture(), IMWRITE_JPEG_PROGRESSIVE=1)
    start = data.rindex(b"\xff\xda")
    scan = data[start : data.rindex(b"\xff\xd9")]
    return data[:start] + scan * 1000 + b"\xff\xd9"


HOSTILE: dict[str, tuple[Callable[[], Payload], str, str]] = {
    "nothing": (lambda: Payload(b"", 0), "malformed", "JSON header of 0"),
    "noise": (lambda: Payload(bytes(range(256)), 256), "malformed", "not JSON"),
    "a header longer than the message": (lambda: Payload(b"{}", 999), "malformed", "999"),
    "a header of a megabyte": (lambda: Payload(b" " * (1 << 20), 1 << 20), "too-large", "at most 65536"),
    "nested without end": (lambda: _payload(b'{"inputs":' + b"[" * 60_000), "malformed", "not JSON"),
    "no inputs": (lambda: _payload({"id": ID}), "malformed", "must come as a list"),
    "an id that is none": (lambda: _payload(_header(id="../etc")), "malformed", "ULID"),
    "an id that is a list": (lambda: _payload(_header(id=[ID])), "malformed", "ULID"),
    "parameters that are a list": (lambda: _payload(_header(parameters=[])), "malformed", "JSON object"),
    "a threshold of NaN": (
        lambda: _payload(json.dumps(_header(parameters={"threshold": 1})).replace("1}", "NaN}").encode()),
        "malformed",
        "NaN is no JSON",
    ),
    "a threshold without end": (
        lambda: _payload(json.dumps(_header(parameters={"threshold": 77})).replace("77", "1e999").encode()),
        "malformed",
        "threshold must be a number",
    ),
    "a threshold of 2": (lambda: _payload(_header(parameters={"threshold": 2})), "malformed", "0 to 1"),
    "a threshold of true": (lambda: _payload(_header(parameters={"threshold": True})), "malformed", "a number"),
    "decode as a text": (lambda: _payload(_header(parameters={"decode": "yes"})), "malformed", "true or false"),
    "a stage without end": (lambda: _payload(_header(parameters={"first": "x" * 999})), "malformed", "at most 128"),
    "labels that are a text": (lambda: _payload(_header(labels="person")), "malformed", "labels"),
    "labels without end": (lambda: _payload(_header(labels=["x"] * 5000)), "malformed", "at most 1000"),
    "labels that are numbers": (lambda: _payload(_header(labels=[1])), "malformed", "texts"),
    "a deflated gigabyte": (lambda: _deflated(bytes(1 << 20), [1 << 22], "FP64"), "too-large", "unpacked"),
    "a deflated stream that is longer": (lambda: _deflated(bytes(1 << 20), [4]), "malformed", "does not hold"),
    "a deflated stream that is shorter": (lambda: _deflated(bytes(8), [4]), "malformed", "does not hold"),
    "a deflated stream that is none": (
        lambda: _payload(
            _header(
                inputs=[
                    {
                        "name": "x",
                        "datatype": "FP32",
                        "shape": [1],
                        "parameters": {"deflate": True, "binary_data_size": 4},
                    }
                ]
            )
        ),
        "malformed",
        "not a zlib stream",
    ),
    "deflated nothing of nothing": (lambda: _deflated(bytes(1 << 20), [0]), "malformed", "does not hold"),
    "bytes of an unknown kind": (lambda: _deflated(bytes(4), [4], "UINT8", of="FP64"), "malformed", "no packing"),
    "a scale of nothing": (lambda: _deflated(bytes(4), [4], "UINT8", of="FP32"), "malformed", "scale must be"),
    "a sample that is a tensor's name": (
        lambda: _payload(_header(parameters={"sample": "x"})),
        "malformed",
        "a sample is one tensor",
    ),
    "a sample in the middle": (
        lambda: _sampled("sound", bytes(4), "FP32", (1,), first="words"),
        "malformed",
        "starts at the first stage",
    ),
    "a sound of two dimensions": (lambda: _sampled("sound", bytes(8), "FP32", (1, 2)), "malformed", "one dimension"),
    "a picture as numbers": (lambda: _sampled("picture", bytes(4), "UINT8", (4,)), "malformed", "BYTES"),
    "a picture that is none": (lambda: _sampled("picture", b"hello"), "malformed", "neither a JPEG"),
    "a picture of nothing": (lambda: _sampled("picture", b""), "malformed", "empty"),
    "a PNG": (lambda: _sampled("picture", _png()), "malformed", "send a JPEG"),
    "half a picture": (lambda: _sampled("picture", _jpeg(_picture())[:30]), "malformed", "broken or cut off"),
    "a picture of 4 gigapixels": (lambda: _sampled("picture", _claiming(65500, 65500)), "too-large", "65500x65500"),
    "a picture of no pixels": (lambda: _sampled("picture", _claiming(0, 100)), "malformed", "0x100"),
    "a picture of a thousand passes": (lambda: _sampled("picture", _many_scans()), "too-large", "scans"),
}


def _png() -> bytes:
    import cv2

    return bytes(cv2.imencode(".png", _picture())[1].tobytes())


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_question_is_refused_with_its_reason(name: str) -> None:
    make, code, words = HOSTILE[name]
    with pytest.raises(Refused, match=words) as refused:
        _sent(make())
    assert refused.value.code == code


def test_a_message_longer_than_the_limit_is_refused_unread() -> None:
    small = QuestionLimits(Limits(body_bytes=1000))
    with pytest.raises(Refused) as refused:
        _sent(Payload(bytes(1001), 500), small)
    assert refused.value.code == "too-large"


def test_any_byte_changed_gives_a_question_or_a_refusal() -> None:
    features = np.random.default_rng(0).normal(0, 1, (1, 7)).astype(np.float32)
    asked = replace(QUESTION, first="words", decode=False, tensors={"x": features})
    payload = codec.encode_question(asked, packing="byte")
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(2000):
        body = bytearray(payload.body)
        body[rng.integers(len(body))] = rng.integers(256)
        try:
            _sent(Payload(bytes(body), payload.header_bytes))
        except Refused:
            refused += 1
    assert refused > 500


# Answers.

SAID: dict[str, Answer] = {
    "nothing there": Answer("detect", (), TIMES),
    "boxes": Answer("detect", (Detection("person", 0, 0.9, (1.0, 2.0, 3.0, 4.0)),), TIMES),
    "all a box may have": Answer(
        "detect",
        (
            Detection(
                "person",
                0,
                0.9,
                (1.0, 2.0, 3.0, 4.0),
                mask=Mask((((0.0, 0.0), (1.0, 0.0), (1.0, 1.0)),)),
                pose=Pose((Keypoint(1.0, 2.0, 0.5),)),
                corners=((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)),
            ),
        ),
        TIMES,
    ),
    "labels": Answer("audio-labels", (Label("seven", 7, 0.75), Label("two", 2, 0.1)), TIMES),
    "segments": Answer("vad", (Label("speech", 0, 0.9), Segment("speech", 0.5, 1.5)), TIMES),
}


@pytest.mark.parametrize("name", SAID)
def test_an_answer_arrives_as_it_was_given(name: str) -> None:
    payload = encode_answer(Reply(ID, MODEL, SAID[name], {}, 1.25, 2.5, "gpu-1", "tensorrt"), ID, "gpu-1")
    question, reply = decode_answer(payload.body, payload.header_bytes)
    assert question == ID
    assert isinstance(reply, Reply)
    assert reply.answer == SAID[name]
    assert (reply.id, reply.model, reply.service, reply.engine) == (ID, MODEL, "gpu-1", "tensorrt")
    assert (reply.queue_ms, reply.infer_ms) == (1.25, 2.5)


def test_output_tensors_arrive_as_they_were_given() -> None:
    tensors: dict[str, Array] = {"scores": np.arange(12, dtype=np.float32).reshape(1, 12), "n": np.array([3], np.int64)}
    payload = encode_answer(Reply(ID, MODEL, None, tensors, 0.0, 1.0, "gpu-1", "onnxruntime"), ID, "gpu-1")
    _, reply = decode_answer(payload.body, payload.header_bytes)
    assert isinstance(reply, Reply)
    assert reply.answer is None
    for name, array in tensors.items():
        np.testing.assert_array_equal(reply.tensors[name], array)


@pytest.mark.parametrize("code", CODES)
def test_a_refusal_arrives_with_its_reason(code: Any) -> None:
    payload = encode_answer(Refused(code, "because"), ID, "gpu-1")
    question, refused = decode_answer(payload.body, payload.header_bytes)
    assert question == ID
    assert isinstance(refused, Refused)
    assert (refused.code, refused.words) == (code, "because")


def _said(**changes: Any) -> dict[str, Any]:
    document = json.loads(encode_answer(Reply(ID, MODEL, SAID["boxes"], {}, 1.0, 2.0, "gpu-1", "x"), ID, "gpu-1").body)
    return {**document, **changes}


WRONG_ANSWERS: dict[str, Any] = {
    "no model": _said(model_name=None),
    "a service that is a number": _said(parameters={"service": 3}),
    "a time below zero": _said(parameters=_said()["parameters"] | {"queue_ms": -1}),
    "a task nobody has": _said(answer={"task": "dance", "times": {"prepare_ms": 0, "infer_ms": 0, "decode_ms": 0}}),
    "a box of three": _said(
        answer=_said()["answer"] | {"detections": [{"label": "a", "class_id": 0, "score": 0.5, "box": [1, 2, 3]}]}
    ),
    "a code nobody knows": {"id": ID, "error": "x", "parameters": {"code": "why not"}},
    "no id": _said(id=None),
    "outputs that are a text": _said(outputs="x"),
}


@pytest.mark.parametrize("name", WRONG_ANSWERS)
def test_what_is_no_answer_is_refused(name: str) -> None:
    text = json.dumps(WRONG_ANSWERS[name]).encode()
    with pytest.raises(BadTensor):
        decode_answer(text, len(text))


def test_a_score_that_is_no_number_is_refused() -> None:
    text = json.dumps(_said()).replace("0.9", "1e999").encode()
    with pytest.raises(BadTensor, match="finite"):
        decode_answer(text, len(text))


@pytest.mark.parametrize("value", ["", "x", "-1", "1e9", "٣", "99999999999"])
def test_lengths_and_deadlines_are_plain_numbers(value: str) -> None:
    with pytest.raises(BadTensor):
        codec.header_bytes(((codec.HEADER_PROPERTY, value),))
    with pytest.raises(BadTensor):
        codec.deadline_ms(((codec.DEADLINE_PROPERTY, value),))


def test_a_deadline_is_an_hour_at_most() -> None:
    assert codec.deadline_ms((("deadline-ms", "250.5"),)) == 250.5
    assert codec.deadline_ms((("deadline-ms", "999999999"),)) == codec.LONGEST_DEADLINE_MS
