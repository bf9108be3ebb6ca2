"""What lies on disks: configurations, manifests, networks, golden arrays, pictures, sounds."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import numpy as np

from appliance import config
from appliance.config_errors import ConfigError
from appliance.service import settings as service
from capture.pictures import decode_picture
from capture.source import CaptureError
from capture.wav import read_wav
from engines.bundle import BundleError, parse_manifest
from engines.engine import Array, EngineError
from engines.recognise.exported import read as exported
from engines.recognise.recognition import examine
from engines.stored_arrays import stored_arrays
from tests.fuzz.target import Target
from tests.registries import shipped

RATE_HZ = 16_000
MANY_WORDS = 1 << 20
"""A configuration is told of all its faults at once."""


@contextmanager
def on_disk(data: bytes, name: str) -> Iterator[Path]:
    """A file that holds these bytes, in memory."""
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir="/dev/shm") as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        yield path


def of_file(read: Callable[[Path], object], name: str) -> Callable[[bytes], None]:
    """A parser of bytes, of one that wants a file of this name."""

    def parse(data: bytes) -> None:
        with on_disk(data, name) as path:
            read(path)

    return parse


# -- configurations ---------------------------------------------------------------------------------------------------


def configurations() -> Iterator[bytes]:
    """The example, whole and table by table."""
    whole = files("appliance").joinpath("example.toml").read_bytes()
    yield whole
    for part in whole.split(b"\n\n"):
        yield part
        yield part.replace(b"\n# ", b"\n")


def service_configurations() -> Iterator[bytes]:
    whole = files("appliance.service").joinpath("example.toml").read_bytes()
    yield whole
    yield whole.replace(b"\n# ", b"\n")


# -- models -----------------------------------------------------------------------------------------------------------


def manifest(data: bytes) -> None:
    parse_manifest(data, "bundle.json")


def manifests() -> Iterator[bytes]:
    for name in ("shapes", "tones", "digits", "spoken-digits"):
        document = json.loads(shipped(name).manifest.model_dump_json(by_alias=True))
        yield json.dumps(document).encode()


def network(path: Path) -> None:
    examine(path)


def networks() -> Iterator[bytes]:
    """Small ones, that say something of themselves."""
    import onnx
    from onnx import TensorProto, helper

    yield shipped("tones").files["model.onnx"].read_bytes()
    for names, shape in (("{0: 'a', 1: 'b'}", [1, 2]), ('["a", "b", "c"]', [1, 3])):
        given = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 8, 8])
        made = helper.make_tensor_value_info("output0", TensorProto.FLOAT, shape)
        node = helper.make_node("Constant", [], ["output0"], value=helper.make_tensor("v", 1, shape, [0.5] * shape[1]))
        model = helper.make_model(
            helper.make_graph([node], "g", [given], [made]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
        )
        helper.set_model_props(model, {"names": names, "imgsz": "[8, 8]", "task": "classify", "args": "{'nms': True}"})
        yield model.SerializeToString()
    weights = helper.make_tensor("w", TensorProto.FLOAT, [1], [0.0])
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="../../etc/passwd")
    graph = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["y"])],
        "g",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        [weights],
    )
    yield helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def metadata(data: bytes) -> None:
    """What exporters write beside a network: a key and its value, in turn."""
    words = data.decode("utf-8", "replace").split("\0")
    exported(dict(zip(words[::2], words[1::2], strict=False)))


def metadatas() -> Iterator[bytes]:
    yield b"names\0{0: 'person', 1: 'bicycle'}\0imgsz\0[640, 480]\0task\0detect\0args\0{'nms': True}\0channels\x003"
    yield b'labels\0["a", "b"]\0sample_rate\x0016000\0kpt_shape\0[17, 3]\0description\0made by hand\0stride\x0032'
    yield b'classes\0a,b,c\0end2end\0True\0id2label\0{"0": "a", "1": "b"}'


def golden(path: Path) -> None:
    stored_arrays(path)


def goldens() -> Iterator[bytes]:
    for save in (np.savez, np.savez_compressed):
        into = io.BytesIO()
        save(into, x=np.arange(6, dtype=np.float32).reshape(1, 2, 3), y=np.zeros((1, 40), np.uint8))
        yield into.getvalue()


# -- pictures and sounds ----------------------------------------------------------------------------------------------


def picture(data: bytes) -> None:
    decode_picture(data)


def pictures() -> Iterator[bytes]:
    import cv2

    rng = np.random.default_rng(0)
    for pixels in (rng.integers(0, 255, (24, 32, 3)).astype(np.uint8), np.full((16, 16, 3), 90, np.uint8)):
        for kind, options in (
            (".jpg", []),
            (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 1]),
            (".png", []),
        ):
            _, data = cv2.imencode(kind, pixels, options)
            yield data.tobytes()


def sound(path: Path) -> None:
    read_wav(path, RATE_HZ)


def sounds() -> Iterator[bytes]:
    import soundfile  # type: ignore[import-untyped]  # it has no types

    tone: Array = (0.3 * np.sin(np.arange(400) / 9)).astype(np.float32)
    for kind, subtype, samples, rate_hz in (
        ("WAV", "PCM_16", tone, RATE_HZ),
        ("WAV", "FLOAT", np.stack([tone, tone[::-1]], axis=1), 44_100),
        ("WAV", "IMA_ADPCM", tone, 8_000),
        ("WAVEX", "PCM_24", np.stack([tone] * 4, axis=1), 48_000),
        ("FLAC", "PCM_16", tone, RATE_HZ),
        ("OGG", "VORBIS", tone, RATE_HZ),
        ("AIFF", "PCM_16", tone, RATE_HZ),
    ):
        into = io.BytesIO()
        soundfile.write(into, samples, rate_hz, subtype, format=kind)
        yield into.getvalue()


TARGETS = {
    "configuration": Target(
        of_file(config.load, "appliance.toml"), (ConfigError,), configurations, most_words=MANY_WORDS
    ),
    "service-configuration": Target(
        of_file(service.load, "service.toml"), (ConfigError,), service_configurations, most_words=MANY_WORDS
    ),
    "manifest": Target(manifest, (BundleError,), manifests),
    "network": Target(of_file(network, "model.onnx"), (EngineError,), networks, most_cpu_s=2.0, longest=1 << 13),
    "metadata": Target(metadata, (), metadatas),
    "golden": Target(of_file(golden, "input.npz"), (EngineError,), goldens),
    "picture": Target(picture, (CaptureError,), pictures),
    "sound": Target(of_file(sound, "sound.wav"), (CaptureError,), sounds, most_cpu_s=1.0),
}
