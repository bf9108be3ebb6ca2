"""A network made ready to be changed: constants folded, normalisations merged into convolutions, shapes known."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from engines.onnxrt import onnxruntime
from engines.workbench.graph import Graph, check_single_precision
from engines.workbench.work import WorkbenchError

OPSET = 17
LEAST_OPSET = 13
"""Of the network; older ones know no weights per channel in integers, and are written anew."""
WEIGHTS_APART = 4
"""IR version from which weights need not be declared as inputs; before, the converter expects that they are."""
_FATAL = 4


def prepared(graph: Graph, folder: Path) -> Any:
    """A ModelProto that answers as before, with every node named; `folder` is for temporary files.

    Raises WorkbenchError when it cannot be made.
    """
    import onnx

    check_single_precision(graph)
    onnxruntime().set_default_logger_severity(_FATAL)
    shapes = importlib.import_module("onnxruntime.quantization.shape_inference")
    model = _with_fixed_weights(graph.model)
    if next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), OPSET) < LEAST_OPSET:
        try:
            model = onnx.version_converter.convert_version(model, OPSET)
        except Exception as error:  # the converter raises RuntimeError, and others for what it does not know
            raise WorkbenchError(f"written for an old ONNX (opset below 13) and not convertible: {error}") from error
    source, made = folder / "before.onnx", folder / "after.onnx"
    source.write_bytes(model.SerializeToString())
    try:
        shapes.quant_pre_process(str(source), str(made), skip_symbolic_shape=True)
        ready = onnx.load(str(made))
    except OSError:
        raise
    except Exception as error:  # ONNX Runtime raises many types; this is the border
        raise WorkbenchError(f"the network cannot be prepared: {error}") from error
    finally:
        source.unlink(missing_ok=True)
        made.unlink(missing_ok=True)
    for number, node in enumerate(ready.graph.node):
        node.name = f"{node.op_type}_{number}" if not node.name else node.name
    return ready


def _with_fixed_weights(model: Any) -> Any:
    """Weights that are declared as inputs too, as old exporters do, cannot be folded into anything."""
    import onnx

    weights = {each.name for each in model.graph.initializer}
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    given = [each for each in fixed.graph.input if each.name not in weights]
    del fixed.graph.input[:]
    fixed.graph.input.extend(given)
    fixed.ir_version = max(fixed.ir_version, WEIGHTS_APART)
    return fixed
