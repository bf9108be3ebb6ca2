"""The face of TensorRT: a network's plan from the cache, opened and run on one thread.

Importing this loads neither TensorRT nor PyCUDA; `offer` does, where a GPU has answered.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from engines.engine import Array, EngineError, EngineUnavailable, PictureInput, Tensors, TensorSpec
from engines.gpu import Gpu, probe
from engines.manifest import ImageInput
from engines.pictures import Pictures
from engines.tensorrt import bindings, kernels
from engines.tensorrt.crash_guard import CrashGuard
from engines.tensorrt.options import Target
from engines.tensorrt.plan_cache import Description, Plan, PlanCache, PlanMissing, PlanRefused
from engines.tensorrt.recipe import Recipe

if TYPE_CHECKING:
    from engines.tensorrt.cuda import Cuda
    from engines.tensorrt.letterbox import GpuPictures
    from engines.tensorrt.session import Feed, Reads, Session

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Offer:
    """TensorRT can be used here."""

    gpu: Gpu
    target: Target


class PlanNeeded(EngineUnavailable):
    """TensorRT could run this network, if only its plan had been built."""

    def __init__(self, message: str, recipe: Recipe, target: Target) -> None:
        super().__init__(message)
        self.recipe, self.target = recipe, target


def offer() -> Offer:
    """Raises EngineUnavailable with what is missing: driver, device, TensorRT or PyCUDA."""
    gpu = probe()
    name, version = bindings.edition(bindings.load())
    pycuda()
    return Offer(gpu, Target(f"{name} {version}", gpu.name, gpu.compute_capability))


def pycuda() -> None:
    """Raises EngineUnavailable where PyCUDA cannot be used."""
    try:
        importlib.import_module("pycuda.driver")
    except ModuleNotFoundError as error:
        raise EngineUnavailable(
            "the Python package pycuda is missing: run `appliance doctor`, which says how to build it here"
        ) from error
    except ImportError as error:
        raise EngineUnavailable(
            f"pycuda cannot be loaded, build it again for this CUDA: {error}: run `appliance doctor`, which says how"
        ) from error


def engine_for(recipe: Recipe) -> TensorRTEngine:
    """The engine, not yet opened. Raises EngineUnavailable; PlanNeeded when all that is missing is a plan."""
    with CrashGuard(recipe.options.folder):  # a driver or a library that ends the process as it is loaded
        found = offer()
    cache = PlanCache(recipe.options.folder)
    try:
        key = recipe.key(found.target)
    except OSError as error:
        raise EngineError(f"{recipe.network}: cannot be read: {error.strerror}") from error
    if not cache.has(key):
        raise _needed("no plan has been built for this network on this machine yet", recipe, found.target)
    return TensorRTEngine(recipe, found, cache, key)


def _needed(why: str, recipe: Recipe, target: Target) -> PlanNeeded:
    return PlanNeeded(f"{why}: `appliance models build` does it; the appliance does so by itself", recipe, target)


class TensorRTEngine:
    """One plan, run through PyCUDA. See `Engine` for the contract."""

    name = "tensorrt"

    def __init__(self, recipe: Recipe, offer: Offer, cache: PlanCache, key: str) -> None:
        self._recipe, self._offer, self._cache, self._key = recipe, offer, cache, key
        self._stack = contextlib.ExitStack()
        self._session: Session | None = None
        self._cuda: Cuda | None = None
        self._feeds: dict[str, Feed] = {}
        self._guard = CrashGuard(recipe.options.folder)
        self._running = threading.Event()
        self._cancelled = False
        self.inputs: tuple[TensorSpec, ...] = ()
        self.outputs: tuple[TensorSpec, ...] = ()
        self.description: Description | None = None
        """Of the plan, once it is open."""

    def __enter__(self) -> TensorRTEngine:
        """Raises PlanNeeded when the plan turns out to be of no use, EngineUnavailable when the GPU refuses it."""
        try:
            plan = self._cache.load(self._key)
        except (PlanMissing, PlanRefused) as error:
            raise _needed(str(error), self._recipe, self._offer.target) from error
        self._open(plan)
        return self

    def _open(self, plan: Plan) -> None:
        from engines.tensorrt.cuda import Cuda
        from engines.tensorrt.session import PlanStale, Session

        with contextlib.ExitStack() as stack:
            stack.enter_context(self._guard)
            try:
                cuda = stack.enter_context(Cuda())
            except EngineError as error:
                raise EngineUnavailable(str(error)) from error
            try:
                options = self._recipe.options
                reads: Reads = "whole" if options.whole else "chosen"
                session = Session(plan.content, cuda, graph=options.graph, reads=reads, dla_core=options.dla_core)
                session.run(1)  # what cannot answer is refused here, where another engine can still be chosen
            except PlanStale as error:
                self._cache.discard(self._key)
                raise _needed(str(error), self._recipe, self._offer.target) from error
            except EngineError as error:
                raise EngineUnavailable(str(error)) from error
            stack.callback(session.close)
            self._stack = stack.pop_all()
        self._session, self._cuda, self.description = session, cuda, plan.description
        self.inputs, self.outputs = session.inputs, session.outputs

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._feeds.clear()
        self._session = self._cuda = None
        self._stack.__exit__(kind, error, trace)

    def run(self, inputs: Tensors) -> dict[str, Array]:
        """Run once. Arrays that `pictures` handed out are not copied: they are the network's own memory."""
        session = self._session
        assert session is not None, "run needs an open engine"
        rows = self._check(inputs)
        if rows > session.most_rows:
            return self._in_turn(inputs, rows, session.most_rows)
        feeds = {name: feed for name, feed in self._feeds.items() if _same(inputs[name], session.host(name))}
        for name, given in inputs.items():
            host = session.host(name)
            if not _same(given, host):
                np.copyto(host[: len(given)] if given.ndim else host, given)
        self._cancelled = False
        self._running.set()
        try:
            outputs = session.run(rows, feeds)
        finally:
            self._running.clear()
        self._guard.works()
        if self._cancelled:
            raise EngineError(f"{self._recipe.network}: cancelled before it had an answer")
        return outputs

    def cancel(self) -> None:
        """A network on the GPU cannot be stopped: its answer is thrown away when it comes."""
        if self._running.is_set():
            self._cancelled = True

    def run_bare(self, rows: int) -> None:
        """The network alone, on what lies in its memory: what an answer costs at least."""
        session = self._session
        assert session is not None, "an open engine is measured"
        session.run_bare(rows)

    @property
    def traffic(self) -> tuple[int, int]:
        """Bytes to the GPU and back in one run with one sample, as it was run last."""
        session = self._session
        assert session is not None, "an open engine is measured"
        fed = {name: feed.upload_bytes(1) for name, feed in self._feeds.items()}
        up = sum(fed.get(name, size) for name, size in session.bytes_of(session.inputs, 1).items())
        return up, sum(session.bytes_of(session.outputs, 1).values())

    @property
    def recorded(self) -> bool:
        """Whether the work of a frame is one CUDA graph."""
        return self._session is not None and self._session.recorded

    @property
    def most_rows(self) -> int | None:
        """Of a network that takes any number of samples, as many as its plan was built for."""
        session = self._session
        return session.most_rows if session is not None and session.free_rows else None

    def pictures(self, spec: ImageInput, rows: int) -> PictureInput | None:
        """Prepared on the GPU where the kernel is compiled, else on the processor into the network's own memory."""
        session, cuda = self._session, self._cuda
        assert session is not None, "pictures are prepared for an open engine"
        assert cuda is not None, "an open session has a context"
        host = session.host(spec.tensor) if spec.tensor in session.names else None
        if host is None or host.dtype != spec.dtype or host.shape[1:] != _sample_shape(spec):
            return None  # the manifest does not fit the network; whoever runs it will say how
        if kernels.can_prepare(spec):
            try:
                prepared = self._on_the_gpu(spec, session, cuda)
                self._feeds[spec.tensor] = prepared
                return prepared
            except EngineError as error:
                logger.info("pictures are prepared on the processor: %s", error)
        return Pictures(spec, rows, into=host)

    def _on_the_gpu(self, spec: ImageInput, session: Session, cuda: Cuda) -> GpuPictures:
        """With the kernel. Where GPU and processor share their memory, pictures may be read in place: by what is
        quicker here. Raises EngineError."""
        from engines.tensorrt.letterbox import GpuPictures

        image = kernels.load(self._offer.gpu.compute_capability, self._recipe.options.folder)
        host = session.host(spec.tensor)
        target = session.address(spec.tensor)
        copied = GpuPictures(cuda, image, spec, host, mapped=False)
        copied.try_out(target)
        if not self._offer.gpu.integrated:
            return copied
        mapped = GpuPictures(cuda, image, spec, host, mapped=True)
        quicker, slower = sorted((mapped, copied), key=lambda each: each.trial_ms(target))
        slower.close()
        return quicker

    def _in_turn(self, inputs: Tensors, rows: int, most: int) -> dict[str, Array]:
        """More samples than one run takes."""
        free = {spec.name for spec in self.inputs if spec.shape and spec.shape[0] is None}
        parts = []
        for first in range(0, rows, most):
            part = {name: given[first : first + most] if name in free else given for name, given in inputs.items()}
            parts.append({name: output.copy() for name, output in self.run(part).items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _check(self, inputs: Tensors) -> int:
        """Name, type and shape of every input; returns the number of samples."""
        rows = 1
        for spec in self.inputs:
            given = inputs.get(spec.name)
            if given is None:
                raise self._wrong(f"input {spec.name} is missing; given: {', '.join(inputs) or 'none'}")
            if given.dtype != spec.dtype:
                raise self._wrong(f"input {spec.name} is {given.dtype}, expected {spec.dtype}")
            fits = len(given.shape) == len(spec.shape) and all(
                want is None or have == want for have, want in zip(given.shape, spec.shape, strict=True)
            )
            if not fits:
                wanted = ", ".join("any" if size is None else str(size) for size in spec.shape)
                raise self._wrong(f"input {spec.name} has shape {given.shape}, expected ({wanted})")
            if spec.shape and spec.shape[0] is None:
                rows = given.shape[0]
        if len(inputs) > len(self.inputs):
            unknown = ", ".join(sorted(set(inputs) - {spec.name for spec in self.inputs}))
            raise self._wrong(f"no input is called {unknown}")
        return rows

    def _wrong(self, words: str) -> EngineError:
        return EngineError(f"{self._recipe.network}: {words}")


def _sample_shape(spec: ImageInput) -> tuple[int, ...]:
    size = (spec.height, spec.width)
    return (3, *size) if spec.layout == "nchw" else (*size, 3)


def _same(given: Array, host: Array) -> bool:
    """Whether this is the network's own memory."""
    return given.ctypes.data == host.ctypes.data and np.shares_memory(given, host)
