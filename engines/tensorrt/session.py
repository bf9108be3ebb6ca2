"""A plan at work: everything is bound once, and what a frame costs is one launch.

Imports tensorrt and pycuda: only after `engines.gpu.probe` and `bindings.load`. Everything in here belongs to the
thread that has entered `Cuda`.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

import numpy as np
import tensorrt as trt

from engines.engine import Array, EngineError, TensorSpec
from engines.tensorrt.cuda import Buffer, Cuda, Graph, Stream
from engines.tensorrt.log import LOG
from engines.tensorrt.selection import SUFFIX

logger = logging.getLogger(__name__)

_GRAPHS_KEPT = 16
_STEP = "see `dmesg` for Xid or nvgpu errors, and run scripts/gpu_check"
"""Each is for one number of rows and one set of picture sizes; a model rarely meets more."""


Reads: TypeAlias = Literal["chosen", "whole", "both"]
"""Of an output from which the plan has chosen: what was chosen, under the output's own name; the output itself; or
both, each under its name."""


class PlanStale(EngineError):
    """TensorRT does not take this plan: it is of another version or GPU, or no plan at all."""


class Feed(Protocol):
    """What fills an input on the GPU instead of a copy from the host."""

    def key(self, rows: int) -> Hashable:
        """Work of the same key is the same work on other contents: one recording serves it."""

    def upload_bytes(self, rows: int) -> int:
        """What is copied to the GPU for so many samples."""

    def enqueue(self, stream: Stream, target: int, rows: int) -> None:
        """Put the work for so many samples on the stream; `target` is the address of the input."""


@dataclass(frozen=True, slots=True, eq=False)
class _Tensor:
    """One input or output, with memory for the most rows."""

    spec: TensorSpec
    is_input: bool
    is_read: bool
    """Whether it is copied between host and GPU."""
    host: Array
    """Empty where it is not."""
    device: Buffer


@dataclass(frozen=True, slots=True)
class _Bound:
    """An execution context whose shapes are set for one number of rows."""

    rows: int
    context: trt.IExecutionContext
    shapes: Mapping[str, tuple[int, ...]]
    graphs: dict[Hashable, Graph | None] = field(default_factory=dict)
    """None: this work cannot be recorded and is started piece by piece."""


class Session:
    """Runs one plan with 1 to `most_rows` samples; fewer than there is a shape for are filled up."""

    def __init__(
        self, plan: bytes, cuda: Cuda, *, graph: bool = True, reads: Reads = "chosen", dla_core: int | None = None
    ) -> None:
        """`graph`: record the work of a frame. `dla_core`: what the plan was built for, of use where there is one.

        Raises EngineError when TensorRT does not take the plan.
        """
        self._cuda, self._graph, self._reads = cuda, graph, reads
        LOG.forget()
        try:
            self._runtime = trt.Runtime(LOG)
        except TypeError as error:  # what the bindings make of a null pointer
            raise LOG.failure("TensorRT does not start on this GPU", _STEP) from error
        if dla_core is not None and dla_core < self._runtime.num_DLA_cores:
            self._runtime.DLA_core = dla_core
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise PlanStale(str(LOG.failure("TensorRT does not take this plan")))
        self._engine = engine
        self.names = tuple(engine.get_tensor_name(number) for number in range(engine.num_io_tensors))
        self.free_rows = any(map(self._has_free_rows, self.names))
        """Whether the network takes any number of samples."""
        self.most_rows = self._most_rows()
        self._stream = cuda.stream()
        self._bound: dict[int, _Bound] = {}
        self._tensors = self._allocated()
        self.inputs = tuple(tensor.spec for tensor in self._tensors.values() if tensor.is_input)
        self._sources = self._read_as()
        self.outputs = tuple(
            dataclasses.replace(self._tensors[source].spec, name=name) for name, source in self._sources.items()
        )

    def host(self, name: str) -> Array:
        """The pinned memory of an input, for all rows; what is written there need not be copied."""
        return self._tensors[name].host

    def address(self, name: str) -> int:
        """Where an input is on the GPU."""
        return self._tensors[name].device.address

    def run(self, rows: int, feeds: Mapping[str, Feed] | None = None) -> dict[str, Array]:
        """Run what `host` holds, or what the feeds make, and wait for it.

        The arrays are pinned memory of this session, overwritten by the next run. Raises EngineError, EngineLost.
        """
        feeds = feeds or {}
        bound = self._of(self._bucket(rows))
        key = tuple((name, feed.key(bound.rows)) for name, feed in feeds.items())

        def enqueue() -> None:
            self._enqueue(bound, feeds)

        graph = self._recorded(bound, key, enqueue)
        if graph is None:
            enqueue()
        else:
            graph.launch()
        self._stream.wait()
        return {
            name: self._view(source, bound)[:rows] if self.free_rows else self._view(source, bound)
            for name, source in self._sources.items()
        }

    def bytes_of(self, specs: Iterable[TensorSpec], rows: int) -> dict[str, int]:
        """Size of each tensor in a run of so many rows."""
        bound = self._of(self._bucket(rows))
        return {spec.name: self._view(self._sources.get(spec.name, spec.name), bound).nbytes for spec in specs}

    def run_bare(self, rows: int) -> None:
        """The network alone, without copies or recording, and wait: what an answer costs at least."""
        self._execute(self._of(self._bucket(rows)))
        self._stream.wait()

    @property
    def recorded(self) -> bool:
        """Whether at least one piece of work is a CUDA graph."""
        return any(graph is not None for bound in self._bound.values() for graph in bound.graphs.values())

    def close(self) -> None:
        """Give everything back, in order; on the thread that made it."""
        for bound in self._bound.values():
            for graph in bound.graphs.values():
                if graph is not None:
                    graph.close()
        for tensor in self._tensors.values():
            tensor.device.free()
        self._bound.clear()
        self._tensors.clear()
        del self._engine, self._runtime

    # -- shapes and memory --------------------------------------------------------------------------------------------

    def _is_read(self, name: str) -> bool:
        if name.endswith(SUFFIX):
            return self._reads != "whole"
        return self._reads != "chosen" or name + SUFFIX not in self.names

    def _read_as(self) -> dict[str, str]:
        """By the name that an output has for whoever runs this: the plan's tensor that is copied back for it."""
        read = [name for name, tensor in self._tensors.items() if tensor.is_read and not tensor.is_input]
        return {name.removesuffix(SUFFIX) if self._reads == "chosen" else name: name for name in read}

    def _is_input(self, name: str) -> bool:
        return bool(self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT)

    def _has_free_rows(self, name: str) -> bool:
        """Of an input: whether it takes any number of samples."""
        shape = tuple(self._engine.get_tensor_shape(name))
        return self._is_input(name) and bool(shape) and shape[0] < 0

    def _most_rows(self) -> int:
        if not self.free_rows:
            return 1
        last = self._engine.num_optimization_profiles - 1
        return int(self._largest(next(filter(self._has_free_rows, self.names)), last)[0])

    def _largest(self, name: str, profile: int) -> tuple[int, ...]:
        """The largest shape of an input that this profile allows."""
        return tuple(self._engine.get_tensor_profile_shape(name, profile)[2])

    def _bucket(self, rows: int) -> int:
        """Rows that there is a context for: powers of two, so that few contexts serve any number."""
        if rows > self.most_rows:
            raise EngineError(f"{rows} samples at once, this plan takes {self.most_rows}")
        return min(1 << (rows - 1).bit_length(), self.most_rows) if self.free_rows else 1

    def _of(self, rows: int) -> _Bound:
        bound = self._bound.get(rows)
        if bound is None:
            bound = self._bound[rows] = self._bind(rows)
            for name, tensor in self._tensors.items():
                if not bound.context.set_tensor_address(name, tensor.device.address):
                    raise LOG.failure(f"TensorRT refuses the memory of {name}", _STEP)
            self._execute(bound)  # TensorRT wants one plain run before any is recorded
            self._stream.wait()
        return bound

    def _bind(self, rows: int) -> _Bound:
        """A context with every shape set for so many rows."""
        context = self._engine.create_execution_context()
        if context is None:
            raise LOG.failure("TensorRT makes no context for this plan", _STEP)
        if rows > 1 and not context.set_optimization_profile_async(
            self._engine.num_optimization_profiles - 1, self._stream.handle
        ):
            raise LOG.failure(f"TensorRT has no shapes for {rows} samples", _STEP)
        self._stream.wait()
        for name in filter(self._is_input, self.names):
            shape = self._given(name, rows)
            if not context.set_input_shape(name, shape):
                raise LOG.failure(f"TensorRT refuses shape {shape} for input {name}", _STEP)
        if missing := context.infer_shapes():
            raise EngineError(
                f"TensorRT needs the contents of {', '.join(missing)} to know the shapes of this network: export it "
                "with fixed shapes"
            )
        shapes = {name: tuple(context.get_tensor_shape(name)) for name in self.names}
        for name, known in shapes.items():
            if any(size < 0 for size in known):
                raise EngineError(
                    f"the shape of output {name} depends on what the network sees, which is not run here: export the "
                    "model without NonMaxSuppression, or with a fixed number of detections"
                )
        return _Bound(rows, context, shapes)

    def _given(self, name: str, rows: int) -> tuple[int, ...]:
        """An input's shape: the sizes that are free are those of the profile."""
        shape = tuple(self._engine.get_tensor_shape(name))
        if all(size >= 0 for size in shape):
            return shape
        profile = 0 if rows == 1 else self._engine.num_optimization_profiles - 1
        return (rows if shape[0] < 0 else shape[0], *self._largest(name, profile)[1:])

    def _allocated(self) -> dict[str, _Tensor]:
        most = self._bind(self.most_rows)
        tensors = {}
        for name in self.names:
            if self._engine.get_tensor_location(name) == trt.TensorLocation.HOST:
                raise EngineError(f"tensor {name} decides the shape of others, which must be fixed here: export it so")
            declared = tuple(self._engine.get_tensor_shape(name))
            dtype = _numpy_type(name, self._engine.get_tensor_dtype(name))
            one = most.shapes[name]
            is_read = self._is_read(name)
            host = self._cuda.pinned(one, dtype) if is_read else np.empty(0, dtype)
            # As the network declares it, but for what the profile has fixed.
            shape = tuple(None if at == 0 and size < 0 else one[at] for at, size in enumerate(declared))
            spec = TensorSpec(name, shape, dtype)
            device = self._cuda.allocate(int(np.prod(one)) * dtype.itemsize)
            tensors[name] = _Tensor(spec, self._is_input(name), is_read, host, device)
        return tensors

    def _view(self, name: str, bound: _Bound) -> Array:
        """The part of the host memory that a run of this many rows fills."""
        host, shape = self._tensors[name].host, bound.shapes[name]
        return host if host.shape == shape else host.reshape(-1)[: int(np.prod(shape))].reshape(shape)

    # -- work ---------------------------------------------------------------------------------------------------------

    def _enqueue(self, bound: _Bound, feeds: Mapping[str, Feed]) -> None:
        for name, tensor in self._tensors.items():
            if not tensor.is_input:
                continue
            feed = feeds.get(name)
            if feed is None:
                self._stream.upload(self._view(name, bound), tensor.device.address)
            else:
                feed.enqueue(self._stream, tensor.device.address, bound.rows)
        self._execute(bound)
        for name, tensor in self._tensors.items():
            if tensor.is_read and not tensor.is_input:
                self._stream.download(tensor.device.address, self._view(name, bound))

    def _execute(self, bound: _Bound) -> None:
        if not bound.context.execute_async_v3(self._stream.handle):
            failure = LOG.failure("TensorRT did not start the network", _STEP)
            self._cuda.see_whether_lost(failure)
            raise failure

    def _recorded(self, bound: _Bound, key: Hashable, enqueue: Callable[[], None]) -> Graph | None:
        """The recording of this work, made the first time it is asked for."""
        if not self._graph:
            return None
        if key not in bound.graphs:
            if len(bound.graphs) >= _GRAPHS_KEPT:
                oldest = bound.graphs.pop(next(iter(bound.graphs)))
                if oldest is not None:
                    oldest.close()
            # Once as it is: what is loaded when it is first used must not be loaded while it is recorded.
            enqueue()
            self._stream.wait()
            try:
                bound.graphs[key] = self._stream.record(enqueue)
            except EngineError as error:
                logger.info("the work of a frame cannot be recorded, it is started piece by piece: %s", error)
                bound.graphs[key] = None
        return bound.graphs[key]


def _numpy_type(name: str, dtype: trt.DataType) -> np.dtype[np.generic]:
    try:
        known: np.dtype[np.generic] = np.dtype(trt.nptype(dtype))
    except TypeError as error:
        raise EngineError(
            f"tensor {name} is a {dtype}, which NumPy does not know: export the model with float32 inputs and outputs"
        ) from error
    return known
