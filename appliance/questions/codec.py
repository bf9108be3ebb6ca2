"""Questions, replies and refusals as the payload of an MQTT message: JSON, then raw bytes.

The JSON is that of an inference request or response of the Open Inference Protocol v2, so that whoever can read one
can read the other; its length is the user property `inference-header-content-length`. What the protocol lacks is said
in `parameters`, and in `labels` (of a question) and `answer` (of a reply). docs/serve.md describes every field.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from appliance.questions import fields
from appliance.questions.packing import Packing, packed, unpack_all
from appliance.questions.picture import MOST_PIXELS, decode_jpeg
from appliance.questions.predictions import answer_from_json, answer_to_json
from appliance.questions.question import CODES, Code, Question, Refused, Reply
from appliance.questions.tensors import (
    BadTensor,
    Limits,
    Tensor,
    TooLarge,
    describe_all,
    joined,
    raw_of_each,
    split,
    written,
)
from appliance.result import ModelId
from engines.engine import Array, Tensors

HEADER_PROPERTY = "inference-header-content-length"
DEADLINE_PROPERTY = "deadline-ms"
PICTURE = "picture"
SOUND = "sound"
"""Names of the tensor that holds a sample; the parameter `sample` of the question says that it does."""

LONGEST_DEADLINE_MS = 3_600_000.0
MESSAGE_LIMITS = Limits()
FULL_SCALE = 32768
"""INT16 of a sample of 1.0."""

_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")


@dataclass(frozen=True, slots=True, eq=False)
class Payload:
    """What travels, but for the properties that depend on the moment it is sent."""

    body: bytes
    header_bytes: int

    def user(self, left_ms: float | None = None) -> list[tuple[str, str]]:
        """The user properties that belong to it. `left_ms`: of a question, the time until its deadline."""
        properties = [(HEADER_PROPERTY, str(self.header_bytes))]
        if left_ms is not None:
            properties.append((DEADLINE_PROPERTY, f"{left_ms:.1f}"))
        return properties


@dataclass(frozen=True, slots=True)
class QuestionLimits:
    """What a question may hold."""

    message: Limits = MESSAGE_LIMITS
    pixels: int = MOST_PIXELS


QUESTION_LIMITS = QuestionLimits()


def encode_question(
    question: Question,
    *,
    jpeg: bytes | None = None,
    sound_as: Literal["INT16", "FP32"] = "INT16",
    packing: Packing = "exact",
) -> Payload:
    """`jpeg`: what travels of `question.picture`, which is not looked at. `packing`: of the tensors.

    Raises BadTensor for tensors that cannot travel, such as those with NaN, packed.
    """
    if jpeg is not None:
        sent = [written(Tensor(PICTURE, _one(jpeg), {}))]
    elif question.sound is not None:
        sent = [packed(SOUND, _steps(question.sound) if sound_as == "INT16" else question.sound)]
    elif question.tensors:
        sent = [packed(name, array, packing) for name, array in question.tensors.items()]
    else:
        raise BadTensor("a question without a JPEG, a sound or tensors")
    given = {"version": question.version, "first": question.first, "last": question.last}
    parameters: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    parameters["decode"] = question.decode
    if jpeg is not None or question.sound is not None:
        parameters["sample"] = PICTURE if jpeg is not None else SOUND
    if question.threshold is not None:
        parameters["threshold"] = question.threshold
    document: dict[str, Any] = {"id": question.id, "parameters": parameters, "inputs": [entry for entry, _ in sent]}
    if question.labels is not None:
        document["labels"] = list(question.labels)
    return Payload(*joined(document, [raw for _, raw in sent]))


def decode_question(
    body: bytes,
    header_bytes: int,
    *,
    model: str,
    device: str,
    deadline_ns: int,
    limits: QuestionLimits = QUESTION_LIMITS,
) -> Question:
    """A question as its payload tells it; model and device come from the topic. Arrays may look at `body`.

    Raises Refused `malformed` or `too-large`, before anything larger than its limits is allocated.
    """
    try:
        document, binary = split(body, header_bytes, limits.message)
        pairs = raw_of_each(describe_all(document.get("inputs"), limits.message), binary)
        parameters = fields.table(document, "parameters")
        tensors = unpack_all(pairs, limits.message)
        picture, sound = _sample(parameters, tensors, limits)
        return Question(
            id=question_id(document.get("id")),
            device=device,
            model=model,
            version=fields.text(parameters, "version"),
            first=fields.text(parameters, "first"),
            last=fields.text(parameters, "last"),
            picture=picture,
            sound=sound,
            tensors={} if picture is not None or sound is not None else tensors,
            decode=fields.flag(parameters, "decode"),
            threshold=fields.share(parameters, "threshold"),
            labels=fields.labels(document.get("labels")),
            deadline_ns=deadline_ns,
        )
    except TooLarge as e:
        raise Refused("too-large", str(e)) from e
    except BadTensor as e:
        raise Refused("malformed", str(e)) from e


def _sample(parameters: dict[str, Any], tensors: Tensors, limits: QuestionLimits) -> tuple[Array | None, Array | None]:
    """Picture and sound, where the question is a sample; a network's own input may have the same name."""
    kind = fields.text(parameters, "sample")
    if kind is None:
        return None, None
    if kind not in (PICTURE, SOUND) or tensors.keys() != {kind} or "first" in parameters:
        raise BadTensor(f"a sample is one tensor, {PICTURE} or {SOUND}, and starts at the first stage")
    if kind == PICTURE:
        return decode_jpeg(_only(tensors[PICTURE]), limits.pixels), None
    return None, _samples(tensors[SOUND])


def encode_answer(answer: Reply | Refused, question: str, service: str) -> Payload:
    """What a service says to the question with this id; raises BadTensor for tensors the protocol cannot say."""
    if isinstance(answer, Refused):
        told = {"code": answer.code, "service": service}
        return Payload(*joined({"id": question, "error": answer.words or answer.code, "parameters": told}, []))
    sent = [packed(name, array) for name, array in answer.tensors.items()]
    document: dict[str, Any] = {
        "id": question,
        "model_name": answer.model.name,
        "model_version": answer.model.version,
        "parameters": {
            "digest": answer.model.digest,
            "service": answer.service,
            "engine": answer.engine,
            "queue_ms": round(answer.queue_ms, 3),
            "infer_ms": round(answer.infer_ms, 3),
        },
        "outputs": [entry for entry, _ in sent],
    }
    if answer.answer is not None:
        document["answer"] = answer_to_json(answer.answer)
    return Payload(*joined(document, [raw for _, raw in sent]))


def decode_answer(body: bytes, header_bytes: int, limits: Limits = MESSAGE_LIMITS) -> tuple[str, Reply | Refused]:
    """The id of the question and what was said to it. Raises BadTensor for what is no answer."""
    document, binary = split(body, header_bytes, limits)
    question = question_id(document.get("id"))
    parameters = fields.table(document, "parameters")
    if "error" in document:
        return question, Refused(_code(parameters.get("code")), str(document["error"])[:1000])
    tensors = unpack_all(raw_of_each(describe_all(document.get("outputs", []), limits), binary), limits)
    answer = document.get("answer")
    reply = Reply(
        id=question,
        model=ModelId(
            fields.word(document, "model_name"),
            fields.word(document, "model_version"),
            fields.word(parameters, "digest"),
        ),
        answer=None if answer is None else answer_from_json(answer),
        tensors=tensors,
        queue_ms=fields.duration(parameters, "queue_ms"),
        infer_ms=fields.duration(parameters, "infer_ms"),
        service=fields.word(parameters, "service"),
        engine=fields.word(parameters, "engine"),
    )
    return question, reply


def header_bytes(user: tuple[tuple[str, str], ...]) -> int:
    """Length of the JSON from the user properties of a message; raises BadTensor."""
    text = dict(user).get(HEADER_PROPERTY, "")
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise BadTensor(f"the user property {HEADER_PROPERTY} must say how long the JSON is")
    return int(text)


def deadline_ms(user: tuple[tuple[str, str], ...]) -> float:
    """Time left when the question was sent, from its user properties; raises BadTensor."""
    text = dict(user).get(DEADLINE_PROPERTY, "")
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        raise BadTensor(f"the user property {DEADLINE_PROPERTY} must say how many milliseconds are left")
    return min(float(text), LONGEST_DEADLINE_MS)


def question_id(given: object) -> str:
    """A ULID; raises BadTensor."""
    if not isinstance(given, str) or not _ID.fullmatch(given):
        raise BadTensor("id must be a ULID, 26 characters")
    return given


def _one(jpeg: bytes) -> Array:
    array = np.empty(1, object)
    array[0] = jpeg
    return array


def _only(array: Array) -> bytes:
    if array.dtype != object or array.shape != (1,):
        raise BadTensor(f"{PICTURE} must be BYTES [1], a JPEG")
    data: bytes = array[0]
    return data


def _steps(samples: Array) -> Array:
    steps: Array = np.clip(np.rint(samples * np.float32(FULL_SCALE)), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    return steps


def _samples(array: Array) -> Array:
    if array.ndim != 1 or array.dtype not in (np.float32, np.int16) or not array.size:
        raise BadTensor(f"{SOUND} must be FP32 or INT16 of one dimension")
    if array.dtype == np.float32:
        return array
    samples: Array = array.astype(np.float32) / np.float32(FULL_SCALE)
    samples.flags.writeable = False
    return samples


def _code(given: object) -> Code:
    for code in CODES:
        if given == code:
            return code
    raise BadTensor("a refusal with a code that is not known here")
