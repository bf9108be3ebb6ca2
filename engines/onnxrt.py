"""ONNX Runtime on the processor: the back end that every machine has.

Set up for a daemon that shares its cores. Spinning worker threads would be faster on an idle machine and 4.6 times as
expensive at a camera's pace; the arena saves 40 % of the time of a large network (both measured, 2 cores).
"""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from engines.engine import Array, EngineError, EngineUnavailable, Tensors, TensorSpec
from engines.external import external_files
from engines.onnxrt_errors import why_not_loaded, why_not_run

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(uint16)": np.uint16,
    "tensor(int16)": np.int16,
    "tensor(uint32)": np.uint32,
    "tensor(int32)": np.int32,
    "tensor(uint64)": np.uint64,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}

_FATAL = 4
"""Log severity. What is less severe also comes as an exception, or is one of hundreds of warnings at load."""


def onnxruntime() -> Any:
    """The package, without types of its own; raises EngineUnavailable where it is missing."""
    try:
        import onnxruntime  # type: ignore[import-untyped]  # it ships no types
    except ImportError as error:
        raise EngineUnavailable("onnxruntime is not installed: pip install onnxruntime") from error
    return onnxruntime


def default_threads() -> int:
    """Threads of one network: 1 on up to two cores, else half of them, at most 4; capture and MQTT need the rest."""
    cores = len(os.sched_getaffinity(0))
    return 1 if cores <= 2 else min(4, cores // 2)


class OnnxEngine:
    """One ONNX file, run by ONNX Runtime. See `Engine` for the contract.

    Weights in files beside it are found there; those outside its folder are refused.
    """

    name = "onnxruntime"

    def __init__(self, path: Path, threads: int | None = None, *, optimise: bool = True) -> None:
        """`threads`: None chooses for this machine. `optimise`: false opens faster, for looking rather than running."""
        self._path = path
        self._threads = threads or default_threads()
        self._optimise = optimise
        self._session: Any = None
        self._running: Any = None
        self._lock = threading.Lock()
        self._first = True
        self.inputs: tuple[TensorSpec, ...] = ()
        self.outputs: tuple[TensorSpec, ...] = ()
        self.metadata: dict[str, str] = {}
        """What the exporter wrote into the file."""

    def __enter__(self) -> OnnxEngine:
        """Raises EngineUnavailable without ONNX Runtime, EngineError when it cannot load the file."""
        ort = onnxruntime()
        try:
            external_files(self._path)
            self._session = ort.InferenceSession(
                str(self._path),
                sess_options=self._options(ort),
                providers=["CPUExecutionProvider"],
                enable_fallback=0,  # it would try the same again, and say so on standard output
            )
            self.metadata = dict(self._session.get_modelmeta().custom_metadata_map)
            self.inputs = tuple(self._spec(node, "input") for node in self._session.get_inputs())
            self.outputs = tuple(self._spec(node, "output") for node in self._session.get_outputs())
        except EngineError:
            raise
        except Exception as error:  # ONNX Runtime raises many types; this is the border
            raise EngineError(why_not_loaded(self._path, error, ort.__version__)) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session = None

    def _options(self, ort: Any) -> Any:
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        options.enable_cpu_mem_arena = True
        options.log_severity_level = _FATAL
        level = ort.GraphOptimizationLevel
        options.graph_optimization_level = level.ORT_ENABLE_ALL if self._optimise else level.ORT_DISABLE_ALL
        return options

    def _spec(self, node: Any, kind: str) -> TensorSpec:
        if node.type not in _DTYPES:
            raise EngineError(
                f"{self._path}: {kind} {node.name} is a {node.type}, which cannot be used: "
                "export the model with plain numeric tensors"
            )
        shape = tuple(size if isinstance(size, int) and size >= 0 else None for size in node.shape)
        return TensorSpec(node.name, shape, np.dtype(_DTYPES[node.type]))

    def run(self, inputs: Tensors) -> dict[str, Array]:
        """Run once. The returned arrays are fresh: nothing overwrites them."""
        session = self._session
        assert session is not None, "run needs an open engine"
        self._check(inputs)
        options = self._started()
        try:
            outputs = session.run(None, dict(inputs), options)
        except Exception as error:  # ONNX Runtime raises many types; this is the border
            raise EngineError(why_not_run(self._path, error, cancelled=options.terminate)) from error
        finally:
            with self._lock:
                self._running = None
        if self._first:
            self._first = False
            _give_back()
        return {spec.name: output for spec, output in zip(self.outputs, outputs, strict=True)}

    def cancel(self) -> None:
        """ONNX Runtime looks at the flag between two operators: soon, unless a single one hangs."""
        with self._lock:
            if self._running is not None:
                self._running.terminate = True

    def _started(self) -> Any:
        """New options for every run, so that a late `cancel` cannot reach the next one; they cost microseconds."""
        options = onnxruntime().RunOptions()
        options.log_severity_level = _FATAL
        if self._first:
            # What only loading and the first run need: 19 MB of a network for 320 pixels, 34 MB of one for 640.
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        with self._lock:
            self._running = options
        return options

    def _check(self, inputs: Tensors) -> None:
        """Name, type and shape of every input, so that an error speaks of the input rather than of an operator."""
        for spec in self.inputs:
            given = inputs.get(spec.name)
            if given is None:
                raise EngineError(f"{self._path}: input {spec.name} is missing; given: {', '.join(inputs) or 'none'}")
            if given.dtype != spec.dtype:
                raise EngineError(f"{self._path}: input {spec.name} is {given.dtype}, expected {spec.dtype}")
            fits = len(given.shape) == len(spec.shape) and all(
                want is None or have == want for have, want in zip(given.shape, spec.shape, strict=True)
            )
            if not fits:
                wanted = ", ".join("any" if size is None else str(size) for size in spec.shape)
                raise EngineError(f"{self._path}: input {spec.name} has shape {given.shape}, expected ({wanted})")
        if len(inputs) > len(self.inputs):
            unknown = ", ".join(sorted(set(inputs) - {spec.name for spec in self.inputs}))
            raise EngineError(f"{self._path}: no input is called {unknown}")


def _give_back() -> None:
    """Memory that is free in this process goes back to the system, where the C library can do that (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
