"""What the protocol says about a server and its models, as the JSON of its REST form."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from appliance.oip.rows import MOST_ROWS, takes_rows
from appliance.questions.tensors import DTYPES
from engines.engine import TensorSpec

if TYPE_CHECKING:
    from appliance.service.room import Standing

EXTENSIONS = ("binary_tensor_data", "model_configuration", "model_repository", "statistics")

_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_CONFIG_TYPES = {name: f"TYPE_{name}" for name in DTYPES} | {"BYTES": "TYPE_STRING"}
_PLATFORMS = {"onnxruntime": "onnxruntime_onnx", "tensorrt": "tensorrt_plan"}
"""By the names that Triton uses; other back ends go by their own."""


def of_server(name: str) -> dict[str, Any]:
    """GET /v2"""
    return {"name": name, "version": version("edge-inference-appliance"), "extensions": list(EXTENSIONS)}


def of_model(standing: Standing) -> dict[str, Any]:
    """GET /v2/models/NAME; of a model that is open."""
    return {
        "name": standing.name,
        "versions": [standing.version],
        "platform": platform(standing),
        "inputs": [_tensor(spec) for spec in standing.inputs],
        "outputs": [_tensor(spec) for spec in standing.outputs],
    }


def config_of(standing: Standing) -> dict[str, Any]:
    """GET /v2/models/NAME/config: as far as it describes tensors; `dims` are without the axis of the batch."""
    rows = takes_rows(standing)
    return {
        "name": standing.name,
        "platform": platform(standing),
        "backend": standing.engine,
        "max_batch_size": MOST_ROWS if rows else 0,
        "input": [_config_tensor(spec, rows) for spec in standing.inputs],
        "output": [_config_tensor(spec, rows) for spec in standing.outputs],
    }


def platform(standing: Standing) -> str:
    """What runs it."""
    return _PLATFORMS.get(standing.engine, standing.engine)


def index_of(standing: Standing) -> dict[str, Any]:
    """One entry of the repository's index."""
    return {
        "name": standing.name,
        "version": standing.version,
        "state": "READY" if standing.ready else "UNAVAILABLE",
        "reason": standing.fault or "",
    }


def datatype(dtype: np.dtype[Any]) -> str:
    """The protocol's name of a tensor's type. Of the types that engines know."""
    return _NAMES[dtype.newbyteorder("<")]


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": datatype(spec.dtype), "shape": _sizes(spec.shape)}


def _config_tensor(spec: TensorSpec, rows: bool) -> dict[str, Any]:
    dims = spec.shape[1:] if rows else spec.shape
    return {"name": spec.name, "data_type": _CONFIG_TYPES[datatype(spec.dtype)], "dims": _sizes(dims)}


def _sizes(shape: tuple[int | None, ...]) -> list[int]:
    return [-1 if size is None else size for size in shape]
