"""One network, and every way in which a picture can be put through it, to be timed in turn."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from capture.options import VideoOptions
from capture.recording import VideoFile
from engines.bundle import Bundle
from engines.engine import EngineError
from engines.model import Model
from scripts.benchmarks.bench import Bench, Pictures
from scripts.benchmarks.detector import IOU, THRESHOLD
from scripts.benchmarks.lockstep import Lockstep
from scripts.benchmarks.peer import Serving
from scripts.benchmarks.plain import PlainDetector, letterbox
from scripts.benchmarks.timing import Timed, Turn, take_turns, turn


@dataclass(slots=True)
class Subject:
    """One network, in every way that a picture can be put through it."""

    bench: Bench
    bundle: Bundle
    size: int
    stack: ExitStack
    alternatives: dict[str, Callable[[int], Turn]] = field(default_factory=dict)
    outside_ms: dict[str, list[list[float]]] = field(default_factory=dict)
    """What was not the engine: of every picture, turn by turn."""
    appliances: list[Lockstep] = field(default_factory=list)

    @property
    def network(self) -> str:
        return str(self.bundle.stage_path("network"))

    def add_bare(self, pictures: npt.NDArray[np.uint8]) -> None:
        """`session.run` on one prepared tensor."""
        session = bare_session(self.network, self.bench.threads)
        tensors = {session.get_inputs()[0].name: letterbox(pictures[0], self.size)[0]}
        self.alternatives["bare engine"] = lambda count: turn(lambda: session.run(None, tensors), count)

    def add_ours(self, pictures: npt.NDArray[np.uint8], film: Path | None) -> None:
        """The model alone; feed, pipeline and worker; the same with capture."""
        model = self.stack.enter_context(Model(self.bundle, threads=self.bench.threads))
        turning = itertools.cycle(pictures)
        outside = self.outside_ms["model"] = []

        def predict() -> None:
            started = time.perf_counter()
            answer = model.predict([next(turning)])[0]
            if isinstance(answer, EngineError):
                raise answer
            outside[-1].append((time.perf_counter() - started) * 1e3 - answer.times.infer_ms)

        def take_turn(count: int) -> Turn:
            outside.append([])
            return turn(predict, count)

        self.alternatives["model"] = take_turn
        self._add_lockstep("appliance", lambda: Pictures("camera", pictures), sensor=True)
        if film is not None:
            self._add_lockstep("appliance with capture", lambda: video(film), sensor=False)

    def _add_lockstep(self, name: str, make: Callable[[], Any], *, sensor: bool) -> None:
        steps = self.stack.enter_context(Lockstep(self.bundle, make, self.bench.threads, sensor=sensor))
        self.alternatives[name] = steps.turn
        self.appliances.append(steps)

    def add_plain(self, pictures: npt.NDArray[np.uint8], film: Path | None) -> None:
        detect = PlainDetector(self.network, self.size, THRESHOLD, IOU, self.bench.threads)
        turning = itertools.cycle(pictures)
        self.alternatives["plain loop"] = lambda count: turn(lambda: json.dumps(detect(next(turning))), count)
        if film is not None:
            read = self.stack.enter_context(_reading(film))
            self.alternatives["plain loop with capture"] = lambda count: turn(
                lambda: json.dumps(detect(next(read))), count
            )

    def add_capture(self, film: Path) -> None:
        frames = iter(self.stack.enter_context(video(film)))
        self.alternatives["capture alone"] = lambda count: turn(lambda: next(frames), count)

    def add_peer(self, serving: Serving) -> None:
        """The same pictures one by one, and the film read by the peer itself."""
        outside = self.outside_ms["peer"] = []

        def predict(count: int) -> Turn:
            answer = serving.ask("predict", count=count)
            both = zip(answer["wall_ms"], answer["inference"], strict=True)
            outside.append([wall - inference for wall, inference in both])
            return Turn(answer["wall_ms"], answer["cpu_ms"])

        self.alternatives["Ultralytics predict"] = predict
        self.alternatives["Ultralytics stream"] = lambda count: serving.turn("stream", count)

    def take_turns(self, kind: str) -> dict[str, Timed]:
        extent = self.bench.extent
        count = extent.pictures * (1 if kind == "large" else 2)
        return take_turns(self.alternatives, rounds=extent.rounds, count=count)


def bare_session(network: str, threads: int) -> Any:
    """ONNX Runtime as it is, with as many threads as everybody here gets."""
    import onnxruntime  # type: ignore[import-untyped]  # it ships no types

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])


def video(film: Path) -> VideoFile:
    """The film, again and again, as fast as it is read."""
    return VideoFile("camera", str(film), VideoOptions(realtime=False, loop=True))


@contextmanager
def _reading(film: Path) -> Iterator[Iterator[Any]]:
    """The film with OpenCV as it comes, again and again."""
    import cv2

    capture = cv2.VideoCapture(str(film), cv2.CAP_FFMPEG)

    def pictures() -> Iterator[Any]:
        while True:
            there, pixels = capture.read()
            if there:
                yield pixels
            else:
                capture.set(cv2.CAP_PROP_POS_FRAMES, 0)

    try:
        yield pictures()
    finally:
        capture.release()
