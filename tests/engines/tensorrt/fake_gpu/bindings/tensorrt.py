"""A stand-in for NVIDIA's `tensorrt` on the fake CUDA driver: the names that we use, with their way of failing.

A plan is JSON around the ONNX file. Running it puts a host function on the stream that lets ONNX Runtime compute, from
"device" memory (which is host memory there) into "device" memory; so streams, recording and waiting count, and the
numbers are real. A network whose file name begins with `crash`, `slow` or `stuck` does so while it is built.
$STAND_IN_DLA is the number of deep-learning accelerators, and the kinds of layers they can run: `2 Add Mul`.
"""

from __future__ import annotations

import base64
import ctypes
import enum
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__version__ = os.environ.get("STAND_IN_TENSORRT", "10.3.0")

_cuda = ctypes.CDLL("libcuda.so.1")
_HostFunction = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
Shape = tuple[int, ...]


class ILogger:
    class Severity(enum.Enum):
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    def __init__(self) -> None: ...


class IProgressMonitor:
    def __init__(self) -> None: ...


class NetworkDefinitionCreationFlag(enum.IntEnum):
    STRONGLY_TYPED = 1


class MemoryPoolType(enum.Enum):
    WORKSPACE = 0


class DeviceType(enum.Enum):
    GPU, DLA = 0, 1


class BuilderFlag(enum.Enum):
    GPU_FALLBACK = 3


class TensorLocation(enum.Enum):
    DEVICE, HOST = 0, 1


class TensorIOMode(enum.Enum):
    NONE, INPUT, OUTPUT = range(3)


def _accelerators() -> tuple[int, frozenset[str]]:
    """How many, and what they can run."""
    count, *kinds = os.environ.get("STAND_IN_DLA", "0").split()
    return int(count), frozenset(kinds)


def nptype(dtype: str) -> type[np.generic]:
    if dtype == "bfloat16":
        raise TypeError("Could not resolve TensorRT datatype to an equivalent numpy datatype.")
    return np.dtype(dtype).type


def _session(onnx: bytes) -> Any:
    import onnxruntime  # type: ignore[import-untyped]  # it ships no types

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])


_TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8", "tensor(int64)": "int64"}


def _shape(node: Any) -> Shape:
    return tuple(size if isinstance(size, int) else -1 for size in node.shape)


# -- building ---------------------------------------------------------------------------------------------------------


class _Tensor:
    def __init__(self, name: str, shape: Shape) -> None:
        self.name, self.shape = name, shape


class _Layer:
    def __init__(self, kind: str, name: str) -> None:
        self.kind, self.name = kind, name


class _Network:
    def __init__(self) -> None:
        self.onnx, self.file = b"", Path()
        self.layers: list[_Layer] = []
        self.inputs: list[_Tensor] = []
        self.num_outputs = 0

    @property
    def num_inputs(self) -> int:
        return len(self.inputs)

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    def get_layer(self, index: int) -> _Layer:
        return self.layers[index]

    def get_input(self, index: int) -> _Tensor:
        return self.inputs[index]


class _ParserError:
    def __init__(self, text: str) -> None:
        self._text = text

    def desc(self) -> str:
        return self._text

    def node_name(self) -> str:
        return ""

    def node_operator(self) -> str:
        return ""


class OnnxParser:
    def __init__(self, network: _Network, logger: ILogger) -> None:
        self._network = network
        self.num_errors = 0
        self._error = ""

    def parse_from_file(self, path: str) -> bool:
        import onnx

        try:
            model = onnx.load(path)
            self._network.onnx = model.SerializeToString()
            session = _session(self._network.onnx)
        except Exception as error:
            self.num_errors, self._error = 1, str(error)
            return False
        self._network.layers = [_Layer(node.op_type, node.name or node.output[0]) for node in model.graph.node]
        self._network.file = Path(path)
        self._network.inputs = [_Tensor(node.name, _shape(node)) for node in session.get_inputs()]
        self._network.num_outputs = len(session.get_outputs())
        return True

    def get_error(self, index: int) -> _ParserError:
        return _ParserError(self._error)


class _Profile:
    def __init__(self) -> None:
        self.shapes: dict[str, list[Shape]] = {}

    def set_shape(self, name: str, *shapes: Shape) -> None:
        self.shapes[name] = [tuple(shape) for shape in shapes]


class _TimingCache:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def serialize(self) -> bytes:
        return b"timings" + self._content[7:] + b"."


class _Config:
    progress_monitor: Any = None
    builder_optimization_level = 3
    default_device_type = DeviceType.GPU
    DLA_core = -1

    def __init__(self) -> None:
        self.profiles: list[_Profile] = []
        self._cache = _TimingCache(b"")

    def set_memory_pool_limit(self, pool: MemoryPoolType, size: int) -> None: ...
    def set_flag(self, flag: BuilderFlag) -> None: ...

    def can_run_on_DLA(self, layer: _Layer) -> bool:  # noqa: N802  # NVIDIA's name
        return layer.kind in _accelerators()[1]

    def add_optimization_profile(self, profile: _Profile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, content: bytes) -> _TimingCache:
        return _TimingCache(content)

    def set_timing_cache(self, cache: _TimingCache, ignore_mismatch: bool) -> bool:
        if cache._content and not cache._content.startswith(b"timings"):
            return False
        self._cache = cache
        return True

    def get_timing_cache(self) -> _TimingCache:
        return self._cache


class Builder:
    def __init__(self, logger: ILogger) -> None:
        self._logger = logger
        self.num_DLA_cores = _accelerators()[0]

    def create_network(self, flags: int) -> _Network:
        assert flags == 1 << int(NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        return _Network()

    def create_builder_config(self) -> _Config:
        return _Config()

    def create_optimization_profile(self) -> _Profile:
        return _Profile()

    def build_serialized_network(self, network: _Network, config: _Config) -> bytes | None:
        if not self._progress(network.file.name, config.progress_monitor):
            return None
        if b"Frobnicate" in network.onnx:
            self._logger.log(ILogger.Severity.ERROR, "no implementation")  # type: ignore[attr-defined]
            return None
        return json.dumps(
            {
                "tensorrt": __version__,
                "onnx": base64.b64encode(network.onnx).decode(),
                "profiles": [profile.shapes for profile in config.profiles],
                "spoils": network.file.name.startswith("spoils"),
                "dla_core": config.DLA_core if config.default_device_type is DeviceType.DLA else -1,
            }
        ).encode()

    def _progress(self, name: str, monitor: Any) -> bool:
        if name.startswith("crash"):
            os.abort()
        steps = 200 if name.startswith("slow") else 4
        monitor.phase_start("Building", None, steps)
        go_on = True
        for step in range(steps):
            time.sleep(0.05 if steps > 4 else 0.005)
            go_on = go_on and monitor.step_complete("Building", step)
            if not go_on and not name.startswith("stuck"):
                break
        while name.startswith("stuck"):
            time.sleep(1)
        monitor.phase_finish("Building")
        return go_on


# -- running ----------------------------------------------------------------------------------------------------------


class _Context:
    def __init__(self, engine: _Engine) -> None:
        self._engine = engine
        self._given: dict[str, Shape] = {}
        self._shapes: dict[str, Shape] = {}
        self._addresses: dict[str, int] = {}
        self._profile = 0
        self._kept: list[Any] = []

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        self._profile = index
        return index < self._engine.num_optimization_profiles

    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool:
        declared = self._engine.get_tensor_shape(name)
        if any(size < 0 for size in declared):
            least, _, most = self._engine.get_tensor_profile_shape(name, self._profile)
            if any(not low <= size <= high for low, size, high in zip(least, shape, most, strict=True)):
                return False
        self._given[name] = tuple(shape)
        return True

    def infer_shapes(self) -> list[str]:
        zeros = {n: np.zeros(shape, self._engine.get_tensor_dtype(n)) for n, shape in self._given.items()}
        outputs = self._engine.session.run(None, zeros)
        self._shapes = self._given | {
            node.name: output.shape for node, output in zip(self._engine.session.get_outputs(), outputs, strict=True)
        }
        for name in self._engine.unknown:
            self._shapes[name] = (-1, *self._shapes[name][1:])
        return []

    def get_tensor_shape(self, name: str) -> Shape:
        return self._shapes[name]

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        if set(self._addresses) != set(self._shapes):
            return False
        inputs = {name: self._memory(name) for name in self._given}
        outputs = {name: self._memory(name) for name in self._shapes if name not in self._given}

        def work(_: Any) -> None:
            results = self._engine.session.run(list(outputs), {name: np.array(value) for name, value in inputs.items()})
            for (name, target), result in zip(outputs.items(), results, strict=True):
                target[...] = result
                if self._engine.spoils and name.endswith(":selected"):
                    target[...] += 1

        function = _HostFunction(work)
        self._kept.append(function)
        code = _cuda.cuLaunchHostFunc(ctypes.c_void_p(stream), function, None)
        return bool(code == 0)

    def _memory(self, name: str) -> npt.NDArray[Any]:
        shape, dtype = self._shapes[name], np.dtype(self._engine.get_tensor_dtype(name))
        size = int(np.prod(shape)) * dtype.itemsize
        stretch = (ctypes.c_char * size).from_address(self._addresses[name])
        return np.asarray(np.ndarray(shape, dtype, buffer=stretch))  # type: ignore[arg-type]  # ctypes arrays are buffers


class _Engine:
    def __init__(self, document: dict[str, Any]) -> None:
        self.session = _session(base64.b64decode(document["onnx"]))
        self.spoils: bool = document["spoils"]
        self._profiles: list[dict[str, list[Shape]]] = document["profiles"]
        self._inputs = {node.name: node for node in self.session.get_inputs()}
        self._nodes = self._inputs | {node.name: node for node in self.session.get_outputs()}
        self.unknown = [name for name in self._nodes if name.startswith("unknown")]
        self.num_io_tensors = len(self._nodes)
        self.num_optimization_profiles = max(1, len(self._profiles))

    def get_tensor_name(self, index: int) -> str:
        return str(list(self._nodes)[index])

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self._inputs else TensorIOMode.OUTPUT

    def get_tensor_location(self, name: str) -> TensorLocation:
        return TensorLocation.HOST if name.startswith("decides") else TensorLocation.DEVICE

    def get_tensor_shape(self, name: str) -> Shape:
        return _shape(self._nodes[name])

    def get_tensor_dtype(self, name: str) -> str:
        return _TYPES[str(self._nodes[name].type)]

    def get_tensor_profile_shape(self, name: str, index: int) -> list[Shape]:
        return [tuple(shape) for shape in self._profiles[index][name]]

    def create_execution_context(self) -> _Context:
        return _Context(self)


class Runtime:
    def __init__(self, logger: Any) -> None:
        self._log: Callable[..., None] = logger.log
        self.num_DLA_cores = _accelerators()[0]
        self.DLA_core = -1

    def deserialize_cuda_engine(self, plan: bytes) -> _Engine | None:
        try:
            document = json.loads(plan)
        except ValueError:
            self._log(ILogger.Severity.ERROR, "Magic tag does not match")
            return None
        if document["tensorrt"] != __version__:
            self._log(ILogger.Severity.ERROR, "The engine plan file is not compatible with this version of TensorRT")
            return None
        if document["dla_core"] >= 0:
            if document["dla_core"] != self.DLA_core:
                self._log(ILogger.Severity.ERROR, "The engine was built for another DLA core")
                return None
            assert all(least == most for shapes in document["profiles"] for least, _, most in shapes.values())
        return _Engine(document)
