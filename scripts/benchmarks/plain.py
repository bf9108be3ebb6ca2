"""The loop most people would write: OpenCV, NumPy, ONNX Runtime and paho, as the tutorials have them.

Correct and not careless; what it lacks is what the appliance adds. Knows nothing of ours; its camera and publisher
serve the loop around Ultralytics as well. As a program: NETWORK SIZE FILM PORT SECONDS THREADS.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def letterbox(pixels: Array, size: int) -> tuple[Array, float, int, int]:
    """The input tensor (1, 3, size, size), and the scale and place of the picture in it."""
    import cv2

    height, width = pixels.shape[:2]
    scale = min(size / height, size / width)
    new_height, new_width = round(height * scale), round(width * scale)
    top, left = (size - new_height) // 2, (size - new_width) // 2
    canvas = np.full((size, size, 3), 114, np.uint8)
    canvas[top : top + new_height, left : left + new_width] = cv2.resize(pixels, (new_width, new_height))
    tensor = canvas[:, :, ::-1].transpose(2, 0, 1)[np.newaxis].astype(np.float32) / 255.0
    return np.ascontiguousarray(tensor), scale, left, top


def suppress(boxes: Array, scores: Array, iou: float) -> list[int]:
    """Greedy non-maximum suppression, the best first."""
    left, top, right, bottom = boxes.T
    areas = (right - left) * (bottom - top)
    order = scores.argsort()[::-1]
    kept = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        width = np.maximum(0, np.minimum(right[best], right[rest]) - np.maximum(left[best], left[rest]))
        height = np.maximum(0, np.minimum(bottom[best], bottom[rest]) - np.maximum(top[best], top[rest]))
        common = width * height
        order = rest[common <= iou * (areas[best] + areas[rest] - common)]
    return kept


class PlainDetector:
    """From a picture to boxes."""

    def __init__(self, network: str, size: int, threshold: float, iou: float, threads: int) -> None:
        import onnxruntime  # type: ignore[import-untyped]  # it ships no types

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._size, self._threshold, self._iou = size, threshold, iou

    def __call__(self, pixels: Array) -> list[tuple[float, float, Sequence[float]]]:
        """Class, score and corners of what is there."""
        tensor, scale, left, top = letterbox(pixels, self._size)
        rows = self._session.run(None, {self._input: tensor})[0][0].T
        classes, scores = rows[:, 4:].argmax(axis=1), rows[:, 4:].max(axis=1)
        chosen = scores > self._threshold
        rows, classes, scores = rows[chosen], classes[chosen], scores[chosen]
        boxes = np.concatenate([rows[:, :2] - rows[:, 2:4] / 2, rows[:, :2] + rows[:, 2:4] / 2], axis=1)
        kept = suppress(boxes + classes[:, np.newaxis] * 7680.0, scores, self._iou)
        boxes = (boxes[kept] - [left, top, left, top]) / scale
        return list(zip(classes[kept].tolist(), scores[kept].tolist(), boxes.tolist(), strict=True))


class Camera:
    """A film at its pace, in a thread of its own; only the newest picture is kept."""

    def __init__(self, film: str, fps: float) -> None:
        self._film, self._fps = film, fps
        self._news = threading.Condition()
        self._newest: tuple[Array, int] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Camera:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def newest(self) -> tuple[Array, int]:
        """The next picture, and the moment (Unix, ns) at which it was handed over."""
        with self._news:
            self._news.wait_for(lambda: self._newest is not None)
            assert self._newest is not None
            newest, self._newest = self._newest, None
            return newest

    def _run(self) -> None:
        import cv2

        film = cv2.VideoCapture(self._film, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        due_s = time.monotonic()
        while not self._stopping.wait(max(0.0, due_s - time.monotonic())):
            due_s += 1 / self._fps
            there, pixels = film.read()
            if not there:
                film.set(cv2.CAP_PROP_POS_FRAMES, 0)
                continue
            with self._news:
                self._newest = (pixels, time.time_ns())
                self._news.notify()


class Publisher:
    """paho with what its documentation starts with."""

    def __init__(self, port: int) -> None:
        import paho.mqtt.client as mqtt
        from paho.mqtt.enums import CallbackAPIVersion

        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._port = port

    def __enter__(self) -> Publisher:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, ready_ns: int, done_ns: int, boxes: Sequence[Any]) -> None:
        """QoS 1. The times (Unix, ns) are when the picture was handed over and when it was understood."""
        found = [{"class": int(kind), "score": round(score, 3), "box": box} for kind, score, box in boxes]
        document = {"ready_ns": ready_ns, "done_ns": done_ns, "detections": found}
        self._client.publish(topic, json.dumps(document), qos=1)


def watch(network: str, size: int, film: str, port: int, seconds: float, threads: int) -> None:
    """Look at the film at 30/s, the newest picture first, and publish what is there."""
    detect = PlainDetector(network, size, threshold=0.25, iou=0.45, threads=threads)
    with Publisher(port) as publisher, Camera(film, fps=30) as camera:
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            pixels, ready_ns = camera.newest()
            boxes = detect(pixels)
            publisher.publish("plain/result", ready_ns, time.time_ns(), boxes)


if __name__ == "__main__":
    watch(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), float(sys.argv[5]), int(sys.argv[6]))
