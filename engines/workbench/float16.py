"""One network in 16-bit floats, its inputs and outputs as before."""

from __future__ import annotations

import importlib
from typing import Any

from engines.workbench.graph import Graph
from engines.workbench.work import WorkbenchError


def to_float16(graph: Graph) -> Any:
    """A ModelProto whose weights and sums are float16; raises WorkbenchError when it cannot be converted.

    Weights beyond the range of float16 (6e-8 to 65504) are moved to its ends, as the converter of ONNX Runtime does.
    """
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    converter = importlib.import_module("onnxruntime.transformers.float16")
    try:
        return converter.convert_float_to_float16(model, keep_io_types=True)
    except Exception as error:  # the converter raises many types; this is the border
        raise WorkbenchError(f"the network cannot be converted to float16: {error}") from error
