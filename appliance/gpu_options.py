"""From the configuration's [gpu] to how models are built for the GPU and run there."""

from __future__ import annotations

from appliance.config import Gpu
from engines.tensorrt.options import GpuOptions


def gpu_options(gpu: Gpu, batch: int | None, *, whole: bool = False) -> GpuOptions:
    """`batch`: most samples in one run; None: the engine's own. `whole`: outputs as the network gives them, for whoever
    asks for tensors."""
    return GpuOptions(
        precision=gpu.precision,
        most_rows=batch or GpuOptions().most_rows,
        graph=gpu.graph,
        whole=whole,
        dla_core=gpu.dla_core,
        workspace_mb=gpu.workspace_mb,
    )
