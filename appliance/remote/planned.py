"""How many bytes a question about stages takes, told from shapes and types alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from appliance.mqtt.connection import packet_bytes
from appliance.mqtt.properties import Written
from appliance.mqtt.topics import Topics
from appliance.mqtt.topics import question as question_topic
from appliance.questions.codec import FULL_SCALE
from appliance.remote.engine import Errand
from engines.engine import Array, TensorSpec


def planned_bytes(errand: Errand, inputs: Sequence[TensorSpec], topics: Topics) -> int:
    """Length of the MQTT packet of one question for one sample, to a byte or two, when nothing in it can be deflated.

    That is: every value in the type it travels in (float32 features two bytes, sound two bytes, anything else as it
    is), some 200 bytes of JSON, the topic, and some 200 bytes of properties. Real samples are never longer; they are
    shorter where deflating saves a tenth (docs/remote.md). `inputs`: of the first stage asked for; an open size is 1.
    """
    drawn = {spec.name: _steps(spec) if errand.as_sound else _incompressible(spec) for spec in inputs}
    question = errand.question(drawn, deadline_ns=0)
    payload = errand.payload(question)
    properties = Written(
        expires_s=1,
        response_topic=topics.answer,
        correlation=question.id.encode(),
        user=payload.user(errand.patience_s * 1e3),
    )
    return packet_bytes(question_topic(errand.asked_as, topics.device), payload.body, properties)


def _steps(spec: TensorSpec) -> Array:
    """Sound whose 16 bits are drawn by lot."""
    random = np.random.default_rng(0)
    shape = tuple(size or 1 for size in spec.shape)
    steps: Array = random.integers(-FULL_SCALE, FULL_SCALE, shape)
    return (steps / FULL_SCALE).astype(np.float32)


def _incompressible(spec: TensorSpec) -> Array:
    """Values of which every bit that travels is drawn by lot, as far as a number that is one allows it."""
    random = np.random.default_rng(0)
    shape = tuple(size or 1 for size in spec.shape)
    if spec.dtype == np.float32:
        halves = random.integers(0, 1 << 16, shape, np.uint16) & 0xBFFF  # never infinite, never NaN
        return halves.view(np.float16).astype(np.float32)
    if spec.dtype.kind == "f":
        return random.standard_normal(shape).astype(spec.dtype)
    if spec.dtype.kind == "b":
        return random.integers(0, 2, shape).astype(np.bool_)
    info = np.iinfo(spec.dtype)
    return random.integers(info.min, info.max, shape, spec.dtype, endpoint=True)
