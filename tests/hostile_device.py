"""A device that means harm, in a process of its own: what it may publish by its rights, and what it may not.

python -m tests.hostile_device PORT KIND SECONDS: says so when it has begun.
"""

from __future__ import annotations

import sys
import time
import zlib
from collections.abc import Callable

import numpy as np
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from ulid import ULID

from appliance.mqtt.connection import properties_of
from appliance.questions.codec import Payload
from appliance.questions.tensors import joined
from scripts.benchmarks.crowd import question_of

NAME = "mallory"


def _bomb() -> bytes:
    """A small JPEG that claims to be 65500 pixels wide and high."""
    import cv2

    data = bytearray(cv2.imencode(".jpg", np.zeros((32, 32, 3), np.uint8))[1].tobytes())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = (65500).to_bytes(2, "big") * 2
    return bytes(data)


def _large_picture() -> bytes:
    """As large as is allowed: it takes real work to decode."""
    import cv2

    pixels = np.random.default_rng(0).integers(0, 256, (270, 480, 3), np.uint8)
    pixels = cv2.resize(pixels, (3840, 2160), interpolation=cv2.INTER_LINEAR)
    return bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 60])[1].tobytes())


def _deflated() -> Payload:
    """A kilobyte that claims to be a tensor of many megabytes."""
    data = zlib.compress(bytes(1 << 20))
    told = {"deflate": True, "binary_data_size": len(data)}
    entry = {"name": "x", "datatype": "FP64", "shape": [4_000_000], "parameters": told}
    return Payload(*joined({"id": str(ULID()), "inputs": [entry]}, [data]))


def _json(text: str) -> Payload:
    data = text.replace("ID", str(ULID())).encode()
    return Payload(data, len(data))


SOUND = np.zeros(8000, np.float32)

BOMB = _bomb()
LARGE = _large_picture()

KINDS: dict[str, tuple[float, Callable[[], Payload]]] = {
    "a flood of good questions": (500.0, lambda: question_of("stated", sound=SOUND)),
    "picture bombs": (200.0, lambda: question_of("stated", jpeg=BOMB)),
    "the largest pictures": (20.0, lambda: question_of("stated", jpeg=LARGE)),
    "deflated nothing": (200.0, _deflated),
    "deeply nested JSON": (200.0, lambda: _json('{"id":"ID","inputs":' + "[" * 60_000)),
    "NaN thresholds": (200.0, lambda: _json('{"id":"ID","parameters":{"threshold":NaN},"inputs":[]}')),
    "giant payloads": (10.0, lambda: Payload(b"{" * (8 << 20), 8 << 20)),
    "payloads at the limit": (10.0, lambda: Payload(b"{" * (4 << 20), 4 << 20)),
    "noise": (200.0, lambda: Payload(bytes(range(256)) * 80, 1000)),
    "foreign response topics": (200.0, lambda: question_of("stated", sound=SOUND)),
}
"""Messages a second, and one of them."""


def main() -> None:
    port, kind, seconds = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    per_s, make = KINDS[kind]
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=NAME, protocol=mqtt.MQTTv5)
    client.max_inflight_messages_set(0)
    client.connect("127.0.0.1", port)
    client.loop_start()
    victim = "good" if kind == "foreign response topics" else NAME
    sent = 0
    began_s = time.monotonic()
    while (now_s := time.monotonic()) < began_s + seconds:
        if sent / per_s > now_s - began_s:
            time.sleep(0.001)
            continue
        payload = make()
        at = payload.body.find(b'"id":"') + 6
        properties = properties_of(PacketTypes.PUBLISH)
        properties.ResponseTopic = f"appliance/{victim}/answer"
        properties.CorrelationData = payload.body[at : at + 26] if at > 5 else str(ULID()).encode()
        properties.UserProperty = payload.user(1000.0)
        client.publish(f"model-service/stated/infer/{NAME}", payload.body, 0, properties=properties)
        sent += 1
        if sent == 1:
            print("at work", flush=True)


if __name__ == "__main__":
    main()
