"""The fused kernel on the GPU: its numbers against the processor's, its speed against a plain copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engines.engine import Array, EngineUnavailable
from engines.gpu import Gpu
from engines.manifest import ImageInput
from engines.placement import place
from engines.tensorrt import kernels, taps
from engines.tensorrt.cuda import Cuda
from engines.tensorrt.letterbox import GpuPictures
from scripts.gpu_checks.table import Absent, Missed, Table

FORMS: dict[str, dict[str, Any]] = {
    "float32 NCHW RGB": {},
    "float16 NCHW RGB": {"dtype": "float16"},
    "uint8 NHWC BGR": {"dtype": "uint8", "layout": "nhwc", "channels": "bgr", "scale": (1.0,) * 3},
    "float32 with mean": {"mean": (123.7, 116.3, 103.5), "scale": (1 / 58.4, 1 / 57.1, 1 / 57.4)},
}
SIZES = ((720, 1280), (1080, 1920), (480, 640), (53, 97), (700, 300))


def run(table: Table, gpu: Gpu, folder: Path) -> None:
    image = bytearray()

    def compile_it() -> str:
        try:
            path = kernels.compile_for(gpu.compute_capability, folder)
        except EngineUnavailable as error:
            raise Absent(str(error)) from error
        image.extend(path.read_bytes())
        return f"{len(image)} bytes for sm_{gpu.compute_capability[0]}{gpu.compute_capability[1]}"

    table.check("the kernel compiles here", compile_it)
    if not image:
        return
    content = bytes(image)
    with Cuda() as cuda:
        for form, more in FORMS.items():
            spec = input_of(640, **more)
            table.check(f"kernel as OpenCV, {form}", lambda spec=spec: _same(cuda, content, spec, False), "G2")  # type: ignore[misc]
        table.check("kernel as OpenCV, NV12", lambda: _nv12(cuda, content), "G2")
        table.check("kernel on mapped memory", lambda: _same(cuda, content, input_of(640), True))
        table.check("kernel, one 1080p frame", lambda: _one(cuda, content), "G2")
        table.check("kernel, sixteen 1080p frames beside a copy", lambda: _bandwidth(cuda, content), "G2")
        table.check("frame from the host: mapped beside copied", lambda: _mapped(cuda, content), figure=True)


def input_of(size: int, **more: Any) -> ImageInput:
    return ImageInput(
        **{"tensor": "x", "width": size, "height": size, "fit": "letterbox", "scale": (1 / 255,) * 3} | more
    )


class Prepared:
    """Pictures on their way into an input that no network reads."""

    def __init__(self, cuda: Cuda, image: bytes, spec: ImageInput, rows: int, *, mapped: bool = False) -> None:
        size = (spec.height, spec.width)
        shape = (rows, 3, *size) if spec.layout == "nchw" else (rows, *size, 3)
        self.host = cuda.pinned(shape, np.dtype(spec.dtype))
        self.target = cuda.allocate(self.host.nbytes)
        self.pictures = GpuPictures(cuda, image, spec, self.host, mapped=mapped)
        self.stream = cuda.stream()
        self.rows = rows

    def result(self) -> Array:
        self.pictures.enqueue(self.stream, self.target.address, self.rows)
        self.stream.download(self.target.address, self.host)
        self.stream.wait()
        return self.host


def reference(spec: ImageInput, pixels: Array) -> Array:
    """What the processor makes of a picture: through OpenCV, or by the same whole numbers where there is none."""
    try:
        from engines.pictures import Pictures

        into = Pictures(spec, rows=1)
    except ImportError:
        return _by_hand(spec, pixels)
    into.put(0, pixels)
    return np.array(into.tensors(1)[spec.tensor][0])


def _by_hand(spec: ImageInput, pixels: Array) -> Array:
    height, width = pixels.shape[:2]
    placement = place(spec, height, width)
    x, y = taps.across(width, placement.width), taps.down(height, placement.height)
    source = pixels.astype(np.int64)
    lines = source[:, x["near"]] * x["near_weight"][:, None] + source[:, x["far"]] * x["far_weight"][:, None]
    upper, lower = lines[y["near"]] >> 4, lines[y["far"]] >> 4
    near, far = y["near_weight"][:, None, None], y["far_weight"][:, None, None]
    small = (((near * upper) >> 16) + ((far * lower) >> 16) + 2) >> 2
    canvas = np.full((spec.height, spec.width, 3), spec.pad, np.int64)
    canvas[placement.top :, placement.left :][: placement.height, : placement.width] = small
    ordered = canvas[:, :, ::-1] if spec.channels == "rgb" else canvas
    divisor = (1 / np.array(spec.scale)).astype(np.float32)
    values = (ordered.astype(np.float32) - np.array(spec.mean, np.float32)) / divisor
    return (values.transpose(2, 0, 1) if spec.layout == "nchw" else values).astype(spec.dtype)


def _same(cuda: Cuda, image: bytes, spec: ImageInput, mapped: bool) -> str:
    prepared = Prepared(cuda, image, spec, 1, mapped=mapped)
    worst = 0.0
    for seed, size in enumerate(SIZES):
        pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
        prepared.pictures.put(0, pixels)
        difference = prepared.result()[0].astype(np.float64) - reference(spec, pixels)
        worst = max(worst, float(np.abs(difference).max() / max(spec.scale)))
    if worst > 1:
        raise Missed(f"off by {worst:.3f} grey levels, 1 is allowed")
    return f"off by {worst:.3f} grey levels at most over {len(SIZES)} sizes"


def _nv12(cuda: Cuda, image: bytes) -> str:
    try:
        import cv2
    except ImportError as error:
        raise Absent("OpenCV is not installed") from error
    nv12 = np.random.default_rng(0).integers(0, 256, (1080, 1280), np.uint8)
    spec = input_of(640)
    prepared = Prepared(cuda, image, spec, 1)
    prepared.pictures.put(0, nv12)
    expected = reference(spec, np.asarray(cv2.cvtColor(nv12, cv2.COLOR_YUV2BGR_NV12)))
    worst = float(np.abs(prepared.result()[0] - expected).max() * 255)
    if worst > 1:
        raise Missed(f"off by {worst:.3f} grey levels, 1 is allowed")
    return f"off by {worst:.3f} grey levels at most"


def _on_the_gpu(cuda: Cuda, image: bytes, rows: int) -> tuple[Prepared, int]:
    """Pictures that lie on the GPU already, and how many bytes a pass reads and writes."""
    spec = input_of(640, batch=None)
    prepared = Prepared(cuda, image, spec, rows)
    pixels = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8)
    for row in range(rows):
        prepared.pictures.put(row, pixels)
    prepared.result()
    return prepared, rows * pixels.nbytes + prepared.host.nbytes


def _kernel_alone_ms(prepared: Prepared) -> float:
    return prepared.stream.timed_ms(
        lambda: prepared.pictures.launch(prepared.stream, prepared.target.address, prepared.rows), 200
    )


def _one(cuda: Cuda, image: bytes) -> str:
    prepared, size = _on_the_gpu(cuda, image, 1)
    took_us = _kernel_alone_ms(prepared) * 1000
    return f"{took_us:.1f} us on the GPU ({size / took_us / 1e3:.0f} GB/s); goal 10 us on a data-centre card"


def _bandwidth(cuda: Cuda, image: bytes) -> str:
    prepared, size = _on_the_gpu(cuda, image, 16)
    kernel_ms = _kernel_alone_ms(prepared)
    # A copy reads and writes: half the bytes each way make the same traffic.
    one, other = cuda.allocate(size // 2), cuda.allocate(size // 2)
    copy_ms = prepared.stream.timed_ms(lambda: prepared.stream.copy(one.address, other.address, size // 2), 200)
    one.free()
    other.free()
    words = f"{kernel_ms:.3f} ms against {copy_ms:.3f} ms for {size / 1e6:.0f} MB: {kernel_ms / copy_ms:.2f} x"
    if kernel_ms > 1.3 * copy_ms:
        raise Missed(f"{words}, 1.3 x is the goal")
    return words


def _mapped(cuda: Cuda, image: bytes) -> str:
    words = []
    for name, mapped in (("mapped", True), ("copied", False)):
        prepared = Prepared(cuda, image, input_of(640), 1, mapped=mapped)
        prepared.pictures.put(0, np.zeros((720, 1280, 3), np.uint8))
        prepared.result()
        took_ms = prepared.stream.timed_ms(
            lambda prepared=prepared: prepared.pictures.enqueue(prepared.stream, prepared.target.address, 1),  # type: ignore[misc]
            100,
        )
        words.append(f"{name} {took_ms:.3f} ms")
    return "a 720p frame: " + ", ".join(words)
