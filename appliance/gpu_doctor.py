"""Why models run on the GPU, or do not: driver, TensorRT, PyCUDA, kernel and plans, each with its fix."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Literal

from appliance import installed
from appliance.assembly import state_folder
from appliance.catalogue import Catalogue
from appliance.config import Config
from appliance.finding import Finding
from appliance.gpu_options import gpu_options
from engines.engine import EngineError, EngineUnavailable
from engines.gpu import Gpu, probe
from engines.tensorrt import bindings, kernels
from engines.tensorrt.crash_guard import MOST, crashes
from engines.tensorrt.engine import offer, pycuda
from engines.tensorrt.plan_cache import PlanCache
from engines.tensorrt.recipe import recipe_of


def gpu_findings(config: Config) -> Iterator[Finding]:
    """What is in the way, in the order in which the appliance would meet it."""
    wanted = [pipeline.name for pipeline in config.pipeline if pipeline.engine == "tensorrt"]
    state: Literal["note", "problem"] = "problem" if wanted else "note"
    needed = f"{', '.join(wanted)} needs it" if wanted else "models run on ONNX Runtime meanwhile"
    try:
        gpu = probe()
    except EngineUnavailable as error:
        yield Finding("GPU", state, f"{error}; {needed}", "only needed for TensorRT: install the NVIDIA driver")
        return
    major, minor = gpu.compute_capability
    yield Finding("GPU", "ok", f"{gpu.name}, compute capability {major}.{minor}, CUDA {gpu.driver_version / 1000:g}")
    try:
        name, version = bindings.edition(bindings.load())
        yield Finding("TensorRT", "ok", f"{name} {version}")
        pycuda()
        yield Finding("PyCUDA", "ok", "loads")
    except EngineUnavailable as error:
        step_by_step = f"{installed.page('jetson.md')} has it step by step"
        if "pycuda" in str(error):
            yield Finding("PyCUDA", state, f"{error}; {needed}", f"{installed.built('pycuda')}; {step_by_step}")
        else:
            yield Finding("TensorRT", state, f"{error}; {needed}", f"see the line above; {step_by_step}")
        return
    yield from _kernel(gpu, config)
    yield from _crashes(config)
    yield from _plans(config)


def _kernel(gpu: Gpu, config: Config) -> Iterator[Finding]:
    try:
        kernels.load(gpu.compute_capability, gpu_options(config.gpu, config.device.max_batch).folder)
        yield Finding("GPU kernel", "ok", "pictures are prepared on the GPU")
    except EngineUnavailable as error:
        yield Finding("GPU kernel", "note", str(error), installed.command("models build MODEL"))


def _crashes(config: Config) -> Iterator[Finding]:
    count = len(crashes(gpu_options(config.gpu, config.device.max_batch).folder))
    if count >= MOST:
        yield Finding(
            "GPU",
            "problem",
            f"{count} processes ended within a minute of opening it, so it is left alone for an hour",
            f"look for Xid or nvgpu errors in `dmesg`; `{installed.command('models build MODEL')}` tries it at once",
        )


def _plans(config: Config) -> Iterator[Finding]:
    options = gpu_options(config.gpu, config.device.max_batch)
    cache = PlanCache(options.folder)
    target = offer().target
    catalogue = Catalogue.default(state_folder(config, dict(os.environ)))
    for name in dict.fromkeys(each.model for each in config.pipeline if each.engine != "onnxruntime"):
        try:
            bundle = catalogue.find(name)
            for stage in bundle.manifest.stages:
                made = cache.load(recipe_of(bundle, stage.name, options).key(target)).description
                yield Finding("plan", "ok", f"{name}: {made.precision}, {made.drift}")
        except (EngineError, OSError) as error:
            fix = f"{installed.command(f'models build {name}')}, or wait: it is built"
            yield Finding("plan", "note", f"{name}: {error}", fix)
