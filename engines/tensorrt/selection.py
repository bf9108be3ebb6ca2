"""Of thousands of boxes, those worth decoding: chosen on the GPU, so that kilobytes come back and not megabytes.

A detector of the family `yolo-v8` speaks of every cell of its grids, 8400 of them for a picture of 640 x 640:
2.8 MB with 80 classes. Behind its output, the plan gets a second one: the boxes that score best, as centre, size, score
and class, which is how `YoloEnd2End` reads them. Only ONNX operators that every TensorRT has are used, in float32, so
the numbers are the network's own.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.engine import Array, EngineError, EngineUnavailable
from engines.external import external_files

if TYPE_CHECKING:
    from engines.manifest import Manifest

SELECTED = 640
"""Boxes that come back: 15 kB a picture. Far more than stay after suppression (300 at most by default)."""
SUFFIX = ":selected"
"""Behind an output's name: the name of what is chosen from it."""

_OPSET = 13
"""From here on ReduceMax, ArgMax and TopK mean what they do below; older networks are left as they are."""
_NEWEST_OPSET = 17
"""In opset 18 ReduceMax takes its axes as an input."""


def with_selection(network: Path, manifest: Manifest | None, into: Path) -> Path | None:
    """The network with the further output, as a file in `into`; None where there is nothing to gain, or no way.

    Raises EngineError for a file that cannot be read.
    """
    if manifest is None or manifest.decoder.name != "yolo-v8" or external_files(network):
        return None
    try:
        import onnx
    except ImportError as error:
        raise EngineUnavailable(f"choosing boxes on the GPU needs onnx: {error}: pip install onnx") from error
    try:
        model = onnx.load(str(network))
    except Exception as error:  # protobuf raises many types; this is the border
        raise EngineError(f"{network.name} cannot be read: {error}") from error
    opset = max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=0)
    output = _detections(model.graph, manifest)
    if output is None or opset < _OPSET:
        return None
    model.graph.node.extend(_nodes(output.name, len(manifest.labels), opset, model.graph))
    rows = output.type.tensor_type.shape.dim[0]
    first = rows.dim_param or rows.dim_value
    chosen = onnx.helper.make_tensor_value_info(output.name + SUFFIX, onnx.TensorProto.FLOAT, [first, SELECTED, 6])
    model.graph.output.append(chosen)
    path = into / f"{network.stem}.selecting.onnx"
    onnx.save(model, str(path))
    return path


def _detections(graph: Any, manifest: Manifest) -> Any | None:
    """The output that is read: (n, 4 + classes, many) of float32."""
    named = manifest.decoder.options.get("output")
    outputs = [each for each in graph.output if named is None or each.name == named]
    if len(outputs) != 1:
        return None
    tensor = outputs[0].type.tensor_type
    sizes = [each.dim_value for each in tensor.shape.dim]
    fits = len(sizes) == 3 and sizes[1] == 4 + len(manifest.labels) and sizes[2] > SELECTED
    return outputs[0] if fits and tensor.elem_type == 1 else None


def _nodes(output: str, classes: int, opset: int, graph: Any) -> list[Any]:
    """What computes the further output.

    NaN and infinity anywhere in the whole make every score NaN or infinite: nobody sees the boxes that were left out,
    and a network that fails must not look like one that found nothing.
    """
    from onnx import helper, numpy_helper

    prefix = f"{output}{SUFFIX}."

    def constant(name: str, *values: float, dtype: type = np.int64) -> str:
        graph.initializer.append(numpy_helper.from_array(np.array(values, dtype), prefix + name))
        return prefix + name

    def node(kind: str, inputs: list[str], *results: str, **attributes: Any) -> Any:
        return helper.make_node(kind, inputs, [prefix + result for result in results], **attributes)

    def largest(source: str, result: str, *axes: int) -> Any:
        if opset > _NEWEST_OPSET:
            return node("ReduceMax", [prefix + source, constant(f"{result}_over", *axes)], result, keepdims=1)
        return node("ReduceMax", [prefix + source], result, axes=axes, keepdims=1)

    begin, four, end = constant("begin", 0), constant("four", 4), constant("end", 4 + classes)
    axis, one = constant("axis", 1), constant("one", 1, dtype=np.float32)
    return [
        node("Slice", [output, begin, four, axis], "boxes"),
        node("Slice", [output, four, end, axis], "scores"),
        largest("scores", "best", 1),
        node("ArgMax", [prefix + "scores"], "class", axis=1, keepdims=1),
        node("Cast", [prefix + "class"], "class_number", to=1),
        node("IsNaN", [output], "nan"),
        node("IsInf", [output], "infinite"),
        node("Or", [prefix + "nan", prefix + "infinite"], "wrong"),
        node("Cast", [prefix + "wrong"], "wrong_number", to=1),
        largest("wrong_number", "any_wrong", 1, 2),
        node("Sub", [one, prefix + "any_wrong"], "all_right"),
        node("Div", [prefix + "best", prefix + "all_right"], "sure"),
        node("Concat", [prefix + "boxes", prefix + "sure", prefix + "class_number"], "columns", axis=1),
        node("Transpose", [prefix + "columns"], "rows", perm=[0, 2, 1]),
        node("TopK", [prefix + "best", constant("many", SELECTED)], "top", "top_columns", axis=2),
        node("Transpose", [prefix + "top_columns"], "top_rows", perm=[0, 2, 1]),
        helper.make_node("GatherND", [prefix + "rows", prefix + "top_rows"], [output + SUFFIX], batch_dims=1),
    ]


def is_faithful(whole: Array, chosen: Array) -> bool:
    """Whether `chosen` (rows, SELECTED, 6) holds the best of `whole` (rows, 4 + classes, many), number for number.

    Where several score alike at the end of the list, any of them may be on it.
    """
    return all(_is_faithful(one, few) for one, few in zip(whole, chosen, strict=True))


def _is_faithful(whole: Array, chosen: Array) -> bool:
    best = whole[4:].max(axis=0)
    order = np.argsort(-best, kind="stable")[:SELECTED]
    if not np.array_equal(np.sort(chosen[:, 4])[::-1], best[order]):
        return False
    expected = np.concatenate([whole[:4], best[np.newaxis], whole[4:].argmax(axis=0)[np.newaxis]]).T[order]
    least = best[order[-1]]
    above = {tuple(row) for row in expected[expected[:, 4] > least].tolist()}
    return above == {tuple(row) for row in chosen[chosen[:, 4] > least].tolist()}
