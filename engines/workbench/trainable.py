"""A network from an ONNX file as PyTorch runs it, so that its weights can be trained and written back.

Only what trained networks are made of: what else there is, is refused by name. PyTorch comes with the `train` extra.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from engines.engine import Array, EngineUnavailable
from engines.workbench.graph import Graph, check_single_precision
from engines.workbench.work import WorkbenchError

TRAINED = ("Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "PRelu")


def pytorch() -> Any:
    """The package; raises EngineUnavailable where it is missing."""
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise EngineUnavailable("PyTorch is not installed: pip install 'edge-inference-appliance[train]'") from error


class Trainable:
    """The network; `run` keeps track of gradients."""

    def __init__(self, graph: Graph) -> None:
        """Raises EngineUnavailable without PyTorch, WorkbenchError for an operator or weights not known here."""
        import onnx

        self._torch = pytorch()
        check_single_precision(graph)
        # Networks this small gain little from more, and on a busy machine the threads of PyTorch wait for each other:
        # a run of half a minute was once seen not to end in ten.
        self._torch.set_num_threads(1)
        self._graph = graph
        self._operators = _operators(self._torch)
        self._weights: dict[str, Any] = {}
        for each in graph.model.graph.initializer:
            try:
                self._weights[each.name] = self._torch.from_numpy(onnx.numpy_helper.to_array(each).copy())
            except TypeError as error:
                raise WorkbenchError(f"the weights {each.name} are of a type that cannot be trained here") from error
        unknown = sorted({node.op_type for node in graph.nodes} - set(self._operators))
        if unknown:
            raise WorkbenchError(f"it has operators that cannot be trained here: {', '.join(unknown)}")
        trained = {name for node in graph.nodes if node.op_type in TRAINED for name in _trained_inputs(node)}
        self.parameters = {
            name: weight.requires_grad_(True)
            for name, weight in self._weights.items()
            if name in trained and weight.is_floating_point()
        }
        """Name to tensor; to be changed in place."""

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Any]:
        """Outputs by name, as tensors of PyTorch. Raises WorkbenchError, which names the operator that cannot."""
        known = dict(self._weights)
        known |= {name: self._torch.from_numpy(np.ascontiguousarray(array)) for name, array in inputs.items()}
        for node in self._graph.nodes:
            made = self._made(node, known)
            outputs = made if isinstance(made, list | tuple) else [made]
            known |= dict(zip(node.output, outputs, strict=False))
        return {name: known[name] for name in self._graph.outputs}

    def _made(self, node: Any, known: Mapping[str, Any]) -> Any:
        try:
            given = [known[name] if name else None for name in node.input]
            return self._operators[node.op_type](given, _attributes(node))
        except WorkbenchError:
            raise
        except Exception as error:  # PyTorch raises many types; this is the border
            reason = str(error).strip().partition("\n")[0]
            raise WorkbenchError(
                f"{node.op_type}, which makes {node.output[0]}, cannot be trained here in the form it has in this "
                f"network ({type(error).__name__}: {reason}): an export with a newer opset may help"
            ) from error

    def model(self) -> Any:
        """The ModelProto with the weights as they are now."""
        import onnx

        model = onnx.ModelProto()
        model.CopyFrom(self._graph.model)
        for each in model.graph.initializer:
            if each.name in self.parameters:
                array = self.parameters[each.name].detach().numpy()
                each.CopyFrom(onnx.numpy_helper.from_array(array, each.name))
        return model


def _trained_inputs(node: Any) -> list[str]:
    """Weights and biases; of a normalisation not the statistics."""
    return list(node.input[1:3])


def _attributes(node: Any) -> dict[str, Any]:
    import onnx

    return {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}


Operator = Callable[[list[Any], dict[str, Any]], Any]


def _operators(torch: Any) -> dict[str, Operator]:
    """ONNX operator: what does the same in PyTorch. Given the inputs (None: left out) and the attributes."""
    function = torch.nn.functional
    return {
        **_plain(torch, function),
        **_shapes(torch),
        **_sums(torch),
        "Conv": lambda x, a: _convolve(torch, x, a),
        "ConvTranspose": lambda x, a: _convolve_back(function, x, a),
        "Gemm": lambda x, a: _gemm(x, a),
        "MatMul": lambda x, a: x[0] @ x[1],
        "BatchNormalization": lambda x, a: function.batch_norm(
            x[0], x[3], x[4], x[1], x[2], training=False, eps=a.get("epsilon", 1e-5)
        ),
        "MaxPool": lambda x, a: _pool(torch, x[0], a, largest=True),
        "AveragePool": lambda x, a: _pool(torch, x[0], a, largest=False),
        "GlobalAveragePool": lambda x, a: x[0].mean(dim=tuple(range(2, x[0].ndim)), keepdim=True),
        "GlobalMaxPool": lambda x, a: x[0].amax(dim=tuple(range(2, x[0].ndim)), keepdim=True),
        "Resize": lambda x, a: _resize(function, x, a),
    }


def _plain(torch: Any, function: Any) -> dict[str, Operator]:
    """One number after the other."""
    return {
        "Relu": lambda x, a: function.relu(x[0]),
        "LeakyRelu": lambda x, a: function.leaky_relu(x[0], a.get("alpha", 0.01)),
        "PRelu": lambda x, a: torch.where(x[0] >= 0, x[0], x[0] * x[1]),
        "Elu": lambda x, a: function.elu(x[0], a.get("alpha", 1.0)),
        "Sigmoid": lambda x, a: torch.sigmoid(x[0]),
        "HardSigmoid": lambda x, a: (x[0] * a.get("alpha", 0.2) + a.get("beta", 0.5)).clamp(0, 1),
        "HardSwish": lambda x, a: function.hardswish(x[0]),
        "Mish": lambda x, a: function.mish(x[0]),
        "Gelu": lambda x, a: function.gelu(x[0], approximate=a.get("approximate", b"none").decode()),
        "Tanh": lambda x, a: torch.tanh(x[0]),
        "Softplus": lambda x, a: function.softplus(x[0]),
        "Clip": lambda x, a: torch.clamp(
            x[0], *(_limit(x, a, number, name) for number, name in enumerate(("min", "max"), start=1))
        ),
        "Softmax": lambda x, a: torch.softmax(x[0], a.get("axis", -1)),
        "LogSoftmax": lambda x, a: torch.log_softmax(x[0], a.get("axis", -1)),
        "Add": lambda x, a: x[0] + x[1],
        "Sub": lambda x, a: x[0] - x[1],
        "Mul": lambda x, a: x[0] * x[1],
        "Div": lambda x, a: x[0] / x[1] if x[0].is_floating_point() else torch.div(x[0], x[1], rounding_mode="trunc"),
        "Pow": lambda x, a: x[0] ** x[1],
        "Max": lambda x, a: x[0] if len(x) == 1 else torch.maximum(x[0], x[1]),
        "Min": lambda x, a: x[0] if len(x) == 1 else torch.minimum(x[0], x[1]),
        "Sqrt": lambda x, a: torch.sqrt(x[0]),
        "Exp": lambda x, a: torch.exp(x[0]),
        "Log": lambda x, a: torch.log(x[0]),
        "Neg": lambda x, a: -x[0],
        "Abs": lambda x, a: torch.abs(x[0]),
        "Identity": lambda x, a: x[0],
        "Dropout": lambda x, a: x[0],
        "Cast": lambda x, a: x[0].to(_type(torch, a["to"])),
    }


def _shapes(torch: Any) -> dict[str, Operator]:
    """Where numbers stand."""
    return {
        "Reshape": lambda x, a: _reshape(x),
        "Flatten": lambda x, a: x[0].reshape(int(np.prod(x[0].shape[: a.get("axis", 1)])), -1),
        "Transpose": lambda x, a: x[0].permute(*a.get("perm", range(x[0].ndim)[::-1])),
        "Squeeze": lambda x, a: x[0].squeeze(tuple(_axes(x, a))) if _axes(x, a) else x[0].squeeze(),
        "Unsqueeze": lambda x, a: _unsqueeze(x[0], _axes(x, a)),
        "Concat": lambda x, a: torch.cat(x, dim=a["axis"]),
        "Split": lambda x, a: _split(x, a),
        "Slice": lambda x, a: _slice(x),
        "Gather": lambda x, a: _gather(torch, x, a),
        "Pad": lambda x, a: _pad(torch, x),
        "Shape": lambda x, a: torch.tensor(x[0].shape),
        "Expand": lambda x, a: x[0].expand(*torch.broadcast_shapes(x[0].shape, tuple(x[1].tolist()))),
        "Constant": lambda x, a: _constant(torch, a),
    }


def _sums(torch: Any) -> dict[str, Operator]:
    """Over axes."""

    def over(reduce: Callable[..., Any]) -> Operator:
        return lambda x, a: reduce(x[0], dim=tuple(_axes(x, a) or range(x[0].ndim)), keepdim=bool(a.get("keepdims", 1)))

    return {
        "ReduceMean": over(torch.mean),
        "ReduceSum": over(torch.sum),
        "ReduceMax": over(torch.amax),
        "ReduceMin": over(torch.amin),
    }


# -- operators --------------------------------------------------------------------------------------------------------


def _convolve(torch: Any, x: list[Any], a: dict[str, Any]) -> Any:
    rank = x[0].ndim - 2
    given = _padded(torch, x[0], x[1].shape[2:], a, 0.0)
    convolve = getattr(torch.nn.functional, f"conv{rank}d")
    bias = x[2] if len(x) > 2 else None
    return convolve(
        given, x[1], bias, a.get("strides", [1] * rank), 0, a.get("dilations", [1] * rank), a.get("group", 1)
    )


def _convolve_back(function: Any, x: list[Any], a: dict[str, Any]) -> Any:
    rank = x[0].ndim - 2
    pads = a.get("pads", [0] * 2 * rank)
    if pads[:rank] != pads[rank:] or a.get("auto_pad", b"NOTSET") != b"NOTSET" or a.get("output_shape"):
        raise WorkbenchError("a transposed convolution with uneven borders cannot be trained here")
    return getattr(function, f"conv_transpose{rank}d")(
        x[0],
        x[1],
        x[2] if len(x) > 2 else None,
        a.get("strides", [1] * rank),
        pads[:rank],
        a.get("output_padding", [0] * rank),
        a.get("group", 1),
        a.get("dilations", [1] * rank),
    )


def _padded(torch: Any, given: Any, kernel: Any, a: dict[str, Any], value: float) -> Any:
    """With the borders that the attributes ask for."""
    rank = given.ndim - 2
    pads = list(a.get("pads", [0] * 2 * rank))
    auto = a.get("auto_pad", b"NOTSET")
    if auto in (b"SAME_UPPER", b"SAME_LOWER"):
        strides, dilations = a.get("strides", [1] * rank), a.get("dilations", [1] * rank)
        for axis in range(rank):
            size, span = given.shape[2 + axis], (kernel[axis] - 1) * dilations[axis] + 1
            lacking = max((-(-size // strides[axis]) - 1) * strides[axis] + span - size, 0)
            less, more = lacking // 2, lacking - lacking // 2
            pads[axis], pads[rank + axis] = (less, more) if auto == b"SAME_UPPER" else (more, less)
    if not any(pads):
        return given
    sides = [side for axis in reversed(range(rank)) for side in (pads[axis], pads[rank + axis])]
    return torch.nn.functional.pad(given, sides, value=value)


def _pool(torch: Any, given: Any, a: dict[str, Any], *, largest: bool) -> Any:
    rank, kernel = given.ndim - 2, list(a["kernel_shape"])
    if a.get("ceil_mode", 0) or any(each != 1 for each in a.get("dilations", [])):
        raise WorkbenchError("a pooling that rounds up or leaves gaps cannot be trained here")
    strides = list(a.get("strides", [1] * rank))
    name = f"{'max' if largest else 'avg'}_pool{rank}d"
    pool = getattr(torch.nn.functional, name)
    padded = _padded(torch, given, kernel, a, float("-inf") if largest else 0.0)
    made = pool(padded, kernel, strides)
    if largest or padded is given or a.get("count_include_pad", 0):
        return made
    inside = _padded(torch, torch.ones_like(given), kernel, a, 0.0)
    return made / pool(inside, kernel, strides)


def _gemm(x: list[Any], a: dict[str, Any]) -> Any:
    one, other = (x[0].T if a.get("transA") else x[0]), (x[1].T if a.get("transB") else x[1])
    made = a.get("alpha", 1.0) * (one @ other)
    return made + a.get("beta", 1.0) * x[2] if len(x) > 2 and x[2] is not None else made


def _resize(function: Any, x: list[Any], a: dict[str, Any]) -> Any:
    mode, place = a.get("mode", b"nearest"), a.get("coordinate_transformation_mode", b"half_pixel")
    sizes = x[3].tolist() if len(x) > 3 and x[3] is not None else None
    size = [int(each) for each in sizes[2:]] if sizes else None
    factors = None if size else [float(each) for each in x[2].tolist()[2:]]
    if mode == b"nearest":
        whole = factors or [new / old for new, old in zip(size or [], x[0].shape[2:], strict=True)]
        if any(not float(each).is_integer() for each in whole):
            raise WorkbenchError("a resize to the nearest by a broken factor cannot be trained here")
        return function.interpolate(x[0], size=size, scale_factor=factors, mode="nearest")
    if mode == b"linear" and place in (b"half_pixel", b"align_corners", b"pytorch_half_pixel"):
        aligned = place == b"align_corners"
        return function.interpolate(x[0], size=size, scale_factor=factors, mode="bilinear", align_corners=aligned)
    raise WorkbenchError(f"a resize of mode {mode.decode()}, {place.decode()} cannot be trained here")


def _limit(x: list[Any], a: dict[str, Any], number: int, name: str) -> Any:
    given = x[number] if len(x) > number else None
    return float(given) if given is not None else a.get(name)


def _axes(x: list[Any], a: dict[str, Any]) -> list[int]:
    """An attribute before opset 13 or 18, an input since."""
    if len(x) > 1 and x[1] is not None:
        return [int(axis) for axis in x[1].tolist()]
    return list(a.get("axes", []))


def _reshape(x: list[Any]) -> Any:
    wanted = [int(size) for size in x[1].tolist()]
    return x[0].reshape([x[0].shape[axis] if size == 0 else size for axis, size in enumerate(wanted)])


def _unsqueeze(given: Any, axes: list[int]) -> Any:
    rank = given.ndim + len(axes)
    for axis in sorted(each % rank for each in axes):
        given = given.unsqueeze(axis)
    return given


def _split(x: list[Any], a: dict[str, Any]) -> Any:
    axis = a.get("axis", 0)
    sizes = x[1].tolist() if len(x) > 1 and x[1] is not None else a.get("split")
    if sizes is None:
        raise WorkbenchError("a split without sizes cannot be trained here")
    return x[0].split([int(size) for size in sizes], dim=axis)


def _slice(x: list[Any]) -> Any:
    starts, ends = x[1].tolist(), x[2].tolist()
    axes = x[3].tolist() if len(x) > 3 and x[3] is not None else range(len(starts))
    steps = x[4].tolist() if len(x) > 4 and x[4] is not None else [1] * len(starts)
    if any(step < 1 for step in steps):
        raise WorkbenchError("a slice that goes backwards cannot be trained here")
    cut = [slice(None)] * x[0].ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        cut[axis] = slice(start, end, step)
    return x[0][tuple(cut)]


def _gather(torch: Any, x: list[Any], a: dict[str, Any]) -> Any:
    axis = a.get("axis", 0) % x[0].ndim
    index = x[1] % x[0].shape[axis]
    made = torch.index_select(x[0], axis, index.reshape(-1))
    return made.reshape(*x[0].shape[:axis], *index.shape, *x[0].shape[axis + 1 :])


def _pad(torch: Any, x: list[Any]) -> Any:
    pads, rank = [int(each) for each in x[1].tolist()], x[0].ndim
    sides = [side for axis in reversed(range(rank)) for side in (pads[axis], pads[rank + axis])]
    value = float(x[2]) if len(x) > 2 and x[2] is not None else 0.0
    return torch.nn.functional.pad(x[0], sides, value=value)


def _constant(torch: Any, a: dict[str, Any]) -> Any:
    import onnx

    if "value" not in a:
        raise WorkbenchError(f"a constant given as {', '.join(a)} cannot be trained here")
    return torch.from_numpy(onnx.numpy_helper.to_array(a["value"]).copy())


def _type(torch: Any, number: int) -> Any:
    import onnx

    return getattr(torch, str(onnx.helper.tensor_dtype_to_np_dtype(number)))
