"""The deep-learning accelerators (DLA) of an Orin: convolutions in half precision or 8-bit integers, beside the GPU.

Which TensorRT has them: 10.3, and 11.4.1 on an AGX Orin with JetPack 7.2.2. Elsewhere `num_DLA_cores` is 0. They take
fixed shapes only. Imports tensorrt: only after `bindings.load`.
"""

from __future__ import annotations

import tensorrt as trt

_NAMED = 3


def is_there(builder: trt.Builder, core: int | None) -> bool:
    """Whether a network can be built for this core."""
    return core is not None and core < builder.num_DLA_cores


def aim(builder: trt.Builder, network: trt.INetworkDefinition, config: trt.IBuilderConfig, core: int) -> str:
    """Put on the core what can run there, and all else on the GPU; returns in words what came of it."""
    cores = builder.num_DLA_cores
    if core >= cores:
        return f"dla_core = {core}: this device has {cores or 'no'} such cores for this TensorRT; it is on the GPU"
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = core
    config.set_flag(trt.BuilderFlag.GPU_FALLBACK)
    layers = [network.get_layer(number) for number in range(network.num_layers)]
    rest = [layer.name for layer in layers if not config.can_run_on_DLA(layer)]
    if len(rest) == len(layers):
        config.default_device_type = trt.DeviceType.GPU
        return f"dla_core = {core}: no layer of this network can run there; it is on the GPU"
    words = f"{len(layers) - len(rest)} of {len(layers)} layers on DLA core {core}"
    if not rest:
        return words
    named = ", ".join(rest[:_NAMED]) + (" …" if len(rest) > _NAMED else "")
    return f"{words}, on the GPU {named}"
