"""An ONNX file to a plan. Takes minutes and gigabytes: run in a process of its own, see `building_process`.

Imports tensorrt: only after `bindings.load`. Written against what TensorRT 10.3 to 11.4 and TensorRT-RTX have alike:
networks are strongly typed, so the precision is that of the ONNX file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorrt as trt

from engines.engine import EngineError
from engines.tensorrt import dla
from engines.tensorrt.job import BuildCancelled
from engines.tensorrt.log import LOG
from engines.tensorrt.options import GpuOptions, Target
from engines.tensorrt.progress import Progress, Report
from engines.tensorrt.reasons import explained

_RTX = hasattr(trt, "ComputeCapability")
"""TensorRT-RTX builds for a GPU it need not see, and measures nothing."""


@dataclass(frozen=True, slots=True)
class Product:
    """What a build came to."""

    plan: bytes
    timings: bytes
    """What was measured on the way, for the next build."""
    notes: tuple[str, ...]
    """What whoever asked for this plan should know."""


def build(
    network_file: Path,
    options: GpuOptions,
    target: Target,
    sizes: Mapping[str, tuple[int, ...]],
    timings: bytes,
    report: Report,
) -> Product:
    """Parse, configure and build.

    `sizes`: of inputs that take any size, without the first axis. `timings`: of earlier builds. Raises EngineError with
    TensorRT's reason, BuildCancelled when `report` said so.
    """
    LOG.forget()
    try:
        builder = trt.Builder(LOG)
    except TypeError as error:  # what the bindings make of a null pointer
        raise LOG.failure("TensorRT's builder does not start on this machine") from error
    network, parser = _parsed(builder, network_file)
    config = _configured(builder, options, target)
    most_rows = 1 if dla.is_there(builder, options.dla_core) else options.most_rows  # which knows no free shapes
    _add_profiles(builder, network, config, most_rows, sizes)
    notes = () if options.dla_core is None else (dla.aim(builder, network, config, options.dla_core),)
    if not _RTX:
        _use_timings(config, timings)
    progress = Progress(report)
    config.progress_monitor = progress
    plan = builder.build_serialized_network(network, config)
    del parser  # it holds weights that the network uses until here
    if plan is None:
        if progress.cancelled:
            LOG.forget()
            raise BuildCancelled(f"{network_file.name}: the build was cancelled")
        raise LOG.failure(f"TensorRT cannot build {network_file.name}")
    measured = None if _RTX else config.get_timing_cache()
    kept = bytes(memoryview(measured.serialize())) if measured is not None else timings
    return Product(bytes(memoryview(plan)), kept, notes)


def _parsed(builder: trt.Builder, path: Path) -> tuple[trt.INetworkDefinition, trt.OnnxParser]:
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    if network is None:
        raise LOG.failure("TensorRT makes no network")
    parser = trt.OnnxParser(network, LOG)
    # From the file and not from its bytes: only so weights in other files are found.
    if not parser.parse_from_file(str(path)):
        problems = [_problem(parser.get_error(number)) for number in range(parser.num_errors)]
        if problems:
            LOG.forget()
            raise EngineError(explained(f"TensorRT cannot read {path.name}", "; ".join(dict.fromkeys(problems))))
        raise LOG.failure(f"TensorRT cannot read {path.name}")
    if network.num_inputs == 0 or network.num_outputs == 0:  # what it makes of a file that is no model at all
        raise LOG.failure(f"TensorRT finds no network in {path.name}")
    return network, parser


def _problem(error: trt.ParserError) -> str:
    node = f"{error.node_operator()} {error.node_name()}".strip()
    return f"{node}: {error.desc()}" if node else str(error.desc())


def _configured(builder: trt.Builder, options: GpuOptions, target: Target) -> trt.IBuilderConfig:
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mb << 20)
    config.builder_optimization_level = options.effort
    if _RTX:
        _aim(config, target)
    return config


def _aim(config: Any, target: Target) -> None:
    """Of TensorRT-RTX alone, which the types of TensorRT do not know."""
    rtx: Any = trt
    major, minor = target.compute_capability
    wanted = getattr(rtx.ComputeCapability, f"SM{major}{minor}", None)
    if wanted is None:
        raise EngineError(
            f"TensorRT-RTX {trt.__version__} does not know compute capability {major}.{minor}: it is for desktop "
            "cards; install TensorRT itself on this machine"
        )
    config.num_compute_capabilities = 1
    if not config.set_compute_capability(wanted, 0):
        raise LOG.failure(f"TensorRT-RTX cannot build for compute capability {major}.{minor}")


def _add_profiles(
    builder: trt.Builder,
    network: trt.INetworkDefinition,
    config: trt.IBuilderConfig,
    most_rows: int,
    sizes: Mapping[str, tuple[int, ...]],
) -> None:
    """One profile for a single sample, which most frames are, and one for several at once."""
    inputs = [network.get_input(number) for number in range(network.num_inputs)]
    free = [tensor for tensor in inputs if any(size < 0 for size in tensor.shape)]
    if not free:
        return
    several = all(tensor.shape[0] < 0 for tensor in free) and most_rows > 1
    for least, most in ((1, 1), (2, most_rows))[: 2 if several else 1]:
        profile = builder.create_optimization_profile()
        for tensor in free:
            shape = _fixed(tensor, sizes)
            profile.set_shape(tensor.name, _of_rows(shape, least), _of_rows(shape, most), _of_rows(shape, most))
        if config.add_optimization_profile(profile) < 0:
            raise LOG.failure(f"TensorRT refuses inputs of {least} to {most} rows")


def _fixed(tensor: trt.ITensor, sizes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """The shape of an input whose only free axis is the first, if any."""
    shape = tuple(tensor.shape)
    given = sizes.get(tensor.name)
    if given is not None and len(given) + 1 == len(shape):
        shape = (shape[0], *(want if have < 0 else have for have, want in zip(shape[1:], given, strict=True)))
    if any(size < 0 for size in shape[1:]) or (given == () and shape[0] < 0):
        raise EngineError(
            f"input {tensor.name} has shape {tuple(tensor.shape)}: TensorRT needs every size but the number of samples "
            "fixed; export the model with them"
        )
    return shape


def _of_rows(shape: tuple[int, ...], rows: int) -> tuple[int, ...]:
    return (rows, *shape[1:]) if shape[0] < 0 else shape


def _use_timings(config: trt.IBuilderConfig, timings: bytes) -> None:
    """Those of another GPU or version are of no use: then an empty one is filled."""
    for content in (timings, b""):
        cache = config.create_timing_cache(content)
        if cache is not None and config.set_timing_cache(cache, False):
            return
    LOG.forget()
