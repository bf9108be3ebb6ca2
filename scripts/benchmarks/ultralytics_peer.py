"""Ultralytics and librosa, driven by scripts/bench: runs in the virtual environment of peer.sh, knows nothing of ours.

`serve` answers one JSON line for each it is given. Every request names what to `do`; see the methods of `Peer`.
"""

# mypy: disable-error-code="import-not-found, import-untyped"
# What it imports is in the peer's environment only.
from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
STATE = Path(sys.prefix) / "peer"
LIKELY_CLASSES = 1
os.environ.setdefault("YOLO_OFFLINE", "true")
os.environ.setdefault("YOLO_CONFIG_DIR", str(STATE))
os.environ.setdefault("TORCH_EXTENSIONS_DIR", str(STATE / "extensions"))


def load_suppression() -> None:
    """torchvision's own operators where they load beside this torch, else ours (nms.cpp)."""
    import importlib.util

    import torch

    found = importlib.util.find_spec("torchvision")
    assert found is not None, "torchvision is missing: run scripts/benchmarks/peer.sh"
    compiled = next(iter(Path(next(iter(found.submodule_search_locations or []))).glob("_C*.so")), None)
    try:
        torch.ops.load_library(str(compiled))
    except (OSError, RuntimeError):
        from torch.utils.cpp_extension import load

        os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # ninja
        load("bench_nms", [str(HERE / "nms.cpp")], is_python_module=False, extra_cflags=["-O3"])
        import torchvision

        torchvision.extension._has_ops = lambda: True


def one_thread(threads: int) -> None:
    """The peer leaves threads to ONNX Runtime, which takes every core; in a comparison all have the same number."""
    import onnxruntime
    import torch

    plain = onnxruntime.InferenceSession

    def session(path: Any, options: Any = None, **rest: Any) -> Any:
        options = options or onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        return plain(path, options, **rest)

    onnxruntime.InferenceSession = session
    torch.set_num_threads(threads)


class Peer:
    """What can be asked for. Times are milliseconds."""

    def __init__(self) -> None:
        self._model: Any = None
        self._frames: Any = None
        self._settings: dict[str, Any] = {}
        self._video = ""
        self._threads = 1
        self._position = 0
        self._streaming: Iterator[Any] | None = None
        self._sound: Any = None

    def open(self, model: str, size: int, threads: int, confidence: float, iou: float, frames: str, video: str) -> Any:
        """A network, and what it is to look at: pictures (`frames`, .npy) and a film."""
        import numpy as np

        load_suppression()
        one_thread(threads)
        import ultralytics

        self._model = ultralytics.YOLO(model, task="detect")
        self._frames = np.load(frames, mmap_mode=None)
        self._video, self._threads, self._position = video, threads, 0
        self._settings = {"imgsz": size, "conf": confidence, "iou": iou, "verbose": False, "device": "cpu"}
        self._streaming = self._stream()
        return {"version": ultralytics.__version__}

    def _stream(self) -> Iterator[Any]:
        """A model of its own: the source of a prediction stays with its model."""
        import ultralytics

        model = ultralytics.YOLO(self._model.ckpt_path or self._model.model_name, task="detect")
        while True:
            yield from model.predict(self._video, stream=True, **self._settings)

    def predict(self, count: int) -> Any:
        """`count` pictures, one call each."""

        def one() -> Any:
            pixels = self._frames[self._position % len(self._frames)]
            self._position += 1
            return self._model.predict(pixels, **self._settings)[0]

        return measured(one, count)

    def stream(self, count: int) -> Any:
        """`count` pictures of the film, which is read by the peer itself."""
        assert self._streaming is not None
        streaming = self._streaming
        return measured(lambda: next(streaming), count)

    def boxes(self) -> Any:
        """Of every picture: left, top, right, bottom, score, class."""
        return [self._model.predict(pixels, **self._settings)[0].boxes.data.tolist() for pixels in self._frames]

    def camera(self, seconds: float, fps: float, port: int, topic: str) -> Any:
        """Look at the film at its pace, the newest picture first, and publish what is there at QoS 1."""
        from plain import Camera, Publisher

        with Publisher(port) as publisher, Camera(self._video, fps) as camera:
            started, cpu = time.monotonic(), time.process_time()
            count = 0
            while time.monotonic() < started + seconds:
                pixels, ready_ns = camera.newest()
                boxes = self._model.predict(pixels, **self._settings)[0].boxes
                rows = zip(boxes.cls.tolist(), boxes.conf.tolist(), boxes.xyxy.tolist(), strict=True)
                done_ns = time.time_ns()
                publisher.publish(topic, ready_ns, done_ns, list(rows))
                count += 1
            cpu_ms = (time.process_time() - cpu) * 1e3 / count
        return {"count": count, "cpu_ms": cpu_ms, "per_s": count / (time.monotonic() - started)}

    def sound(self, network: str, rate_hz: int, window: int, hop: int, bins: int, bands: int, pcm: str) -> Any:
        """A keyword network on a log-mel spectrogram that librosa computes anew for every step."""
        import librosa
        import numpy as np
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
        samples = np.load(pcm)

        def step(last: int) -> Any:
            heard = samples[last - rate_hz : last]
            heard = np.concatenate([heard, np.zeros(bins - window, np.float32)])
            mel = librosa.feature.melspectrogram(
                y=heard, sr=rate_hz, n_fft=bins, hop_length=hop, win_length=window, n_mels=bands, center=False
            )
            logmel = np.ascontiguousarray(np.log(mel + 1e-6).T[None, None], np.float32)
            return session.run(None, {session.get_inputs()[0].name: logmel})

        self._sound = (step, len(samples), rate_hz)
        return {"version": librosa.__version__}

    def listen(self, count: int) -> Any:
        """`count` steps of 100 ms."""
        step, length, rate_hz = self._sound
        walls = []
        cpu = time.process_time()
        for number in range(count):
            last = rate_hz + (number * rate_hz // 10) % (length - rate_hz)
            started = time.perf_counter()
            step(last)
            walls.append((time.perf_counter() - started) * 1e3)
        return {"wall_ms": walls, "cpu_ms": (time.process_time() - cpu) * 1e3 / count}


def measured(one: Any, count: int) -> Any:
    """Run `count` times; the wall time of each, the CPU time per picture, and the stages as the peer times them."""
    walls: list[float] = []
    stages: dict[str, list[float]] = {"preprocess": [], "inference": [], "postprocess": []}
    found = 0
    cpu = time.process_time()
    for _ in range(count):
        started = time.perf_counter()
        result = one()
        walls.append((time.perf_counter() - started) * 1e3)
        for stage, times in stages.items():
            times.append(result.speed[stage])
        found += len(result.boxes)
    cpu_ms = (time.process_time() - cpu) * 1e3 / count
    return {"wall_ms": walls, "cpu_ms": cpu_ms, **stages, "detections": found / count}


def export(folder: Path, frames: str) -> None:
    """YOLO11n with random weights at 640 and 320, some tens of candidates over the threshold in the pictures given."""
    import copy

    import numpy as np

    load_suppression()
    import torch
    import ultralytics

    torch.manual_seed(0)
    pictures = np.load(frames)[::3]
    yolo = ultralytics.YOLO("yolo11n.yaml", task="detect")
    network = yolo.model.eval()
    tensors = [letterboxed(pixels, 640) for pixels in pictures]
    settle(torch, network, tensors[::3])
    spread(torch, network, tensors, wanted=100, threshold=0.25)
    for size in (640, 320):
        twin = copy.deepcopy(yolo)
        twin.overrides["model"] = str(folder / f"yolo11n_{size}")
        made = twin.export(
            format="onnx", imgsz=size, opset=17, simplify=True, dynamic=False, nms=False, device="cpu", verbose=False
        )
        Path(made).replace(folder / f"yolo11n_{size}.onnx")


def letterboxed(pixels: Any, size: int) -> Any:
    import cv2
    import numpy as np
    import torch

    height, width = pixels.shape[:2]
    scale = min(size / height, size / width)
    new_height, new_width = round(height * scale), round(width * scale)
    top, left = (size - new_height) // 2, (size - new_width) // 2
    canvas = np.full((size, size, 3), 114, np.uint8)
    canvas[top : top + new_height, left : left + new_width] = cv2.resize(pixels, (new_width, new_height))
    return torch.from_numpy(np.ascontiguousarray(canvas[..., ::-1].transpose(2, 0, 1)[None])).float() / 255


def settle(torch: Any, network: Any, tensors: list[Any]) -> None:
    """Random normalisation statistics let the signal die: take them from the pictures."""
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None
            layer.reset_running_stats()
            layer.train()
    with torch.no_grad():
        for tensor in tensors:
            network(torch.cat([tensor, tensor.flip(3)]))
    network.eval()


def spread(torch: Any, network: Any, tensors: list[Any], wanted: int, threshold: float) -> None:
    """Shift the class scores so that `wanted` boxes of the middle picture reach the threshold, all of a few classes, as
    in any scene."""
    heads = [head[-1] for head in network.model[-1].cv3]
    with torch.no_grad():
        for head in heads:
            head.weight.mul_(2.0)
            head.bias.fill_(-4.0)
            head.bias[LIKELY_CLASSES:] = -20.0
        cuts = []
        for tensor in tensors:
            best = network(tensor)[0][0, 4 : 4 + LIKELY_CLASSES].amax(0).double().clamp(1e-9, 1 - 1e-9)
            cuts.append(torch.logit(best).sort(descending=True).values[wanted])
        shift = torch.logit(torch.tensor(threshold)) - torch.stack(cuts).median()
        for head in heads:
            head.bias.add_(shift)


def first(model: str, size: int) -> None:
    """From nothing to the first answer, and the memory that took; the caller reads the line and the clock."""
    import numpy as np

    load_suppression()
    one_thread(1)
    import ultralytics

    yolo = ultralytics.YOLO(model, task="detect")
    yolo.predict(np.zeros((720, 1280, 3), np.uint8), imgsz=size, verbose=False, device="cpu")
    status = Path("/proc/self/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    tell({"memory_mb": int(resident.split()[1]) / 1024, "threads": threading.active_count()})


def tell(answer: Any) -> None:
    """One line on the standard output that we were started with."""
    OUTPUT.write(json.dumps(answer) + "\n")
    OUTPUT.flush()


def serve() -> None:
    peer = Peer()
    for line in sys.stdin:
        request = json.loads(line)
        tell(getattr(peer, request.pop("do"))(**request))


if __name__ == "__main__":
    # Libraries print; the lines of the protocol have the standard output for themselves.
    OUTPUT = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    STATE.mkdir(exist_ok=True)
    match sys.argv[1:]:
        case ["check"]:
            load_suppression()
            import torch
            import torchvision

            twins = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 0, 30, 10]])
            assert torchvision.ops.nms(twins, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist() == [0, 2]
        case ["export", folder, frames]:
            export(Path(folder), frames)
        case ["first", model, size]:
            first(model, int(size))
        case ["serve"]:
            serve()
        case _:
            sys.exit("check | export FOLDER FRAMES | first MODEL SIZE | serve")
