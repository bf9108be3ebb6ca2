"""The plans for the GPU that a new version needs, before it is active: ONNX Runtime is not to be its first minute."""

from __future__ import annotations

import threading

from appliance.sync.carrier import Stopped
from engines.bundle import Bundle
from engines.engine import EngineError
from engines.tensorrt.options import GpuOptions

TICK_S = 0.5


def build_plans(bundle: Bundle, options: GpuOptions, stopping: threading.Event, *, build: bool) -> str:
    """Build what is missing; empty, or why ONNX Runtime will run it. Raises Stopped."""
    from engines.tensorrt.builder import Builder, Building, Built
    from engines.tensorrt.engine import offer
    from engines.tensorrt.plan_cache import PlanCache, PlanMissing, PlanRefused
    from engines.tensorrt.recipe import recipe_of

    if not build:
        return "plans are not built here ([gpu] build = false)"
    try:
        found = offer()
        for stage in bundle.manifest.stages:
            recipe = recipe_of(bundle, stage.name, options)
            try:
                PlanCache(options.folder).load(recipe.key(found.target))
                continue
            except (PlanMissing, PlanRefused):
                pass
            with Builder(recipe, found.target) as builder:
                while isinstance(state := builder.poll(), Building):
                    if stopping.wait(TICK_S):
                        raise Stopped
            if not isinstance(state, Built):
                return f"no plan for {stage.file}: {state.reason}"
    except EngineError as error:
        return f"no plan: {error}"
    return ""
