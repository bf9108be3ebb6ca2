"""A network as it looks from outside, before anything is known about what it is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.engine import TensorSpec
from engines.onnxrt import OnnxEngine
from engines.recognise.exported import Exported, label, read
from engines.recognise.hints import Hints, Unrecognised

_MAKES_SHARES = ("Softmax", "Sigmoid", "HardSigmoid")
_KEEPS_SHARES = (
    *("Identity", "Cast", "Dropout", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Expand"),
    *("Slice", "Gather", "Split", "Clip", "ReduceMax", "ReduceMin", "ReduceMean"),
    *("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"),
)
"""What these make of values of 0 to 1 is 0 to 1 again, such as the best or the mean over time."""


@dataclass(frozen=True, slots=True)
class Network:
    """What an ONNX file tells without being run."""

    path: Path
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    exported: Exported

    def unrecognised(self, words: str) -> Unrecognised:
        """The error to raise; `words` say what is missing and the next step."""
        return Unrecognised(f"{self.path}: {words}")

    def signature(self) -> str:
        """`images (1, 3, 320, 320) to output0 (1, 84, 2100)`."""
        return f"{', '.join(map(_shown, self.inputs))} to {', '.join(map(_shown, self.outputs))}"


def _shown(spec: TensorSpec) -> str:
    sizes = ", ".join("any" if size is None else str(size) for size in spec.shape)
    return f"{spec.name} ({sizes})"


def look(path: Path) -> Network:
    """Open an ONNX file and look at it; raises EngineError when ONNX Runtime cannot load it."""
    with OnnxEngine(path, threads=1, optimise=False) as engine:
        return Network(path, engine.inputs, engine.outputs, read(engine.metadata))


def name_classes(
    network: Network, hints: Hints, count: int, usual: tuple[str, ...] | None = None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Labels for `count` classes, and what to warn of: given, written in the file, usual for such a network, invented.

    Raises Unrecognised when those given or written are more or fewer.
    """
    if not 1 <= count <= 100_000:
        raise network.unrecognised(f"it answers for {count} classes; expected 1 to 100000")
    if hints.labels is not None:
        if len(hints.labels) != count:
            raise network.unrecognised(f"{count} classes, but --labels names {len(hints.labels)}: give {count} lines")
        return tuple(label(name, number) for number, name in enumerate(hints.labels)), ()
    names = network.exported.names
    if names is not None and len(names) == count:
        return names, ()
    if names is not None:
        raise network.unrecognised(
            f"it names {len(names)} classes but answers for {count}; give --labels FILE with {count} lines"
        )
    if usual is not None and len(usual) == count:
        return usual, ()
    warning = (
        f"{network.path}: no label names inside: its {count} classes are called class 0 to class {count - 1}; "
        f"give --labels FILE with {count} lines to name them"
    )
    return tuple(f"class {number}" for number in range(count)), (warning,)


def remaining_activation(network: Network, output: str) -> str | None:
    """What is still to be applied to class scores, told by the operators that make them: `none`, `softmax`; None: they
    do not tell, as of raw scores, which may be meant for a softmax or for a sigmoid."""
    import onnx

    model = onnx.load(str(network.path), load_external_data=False)
    makers = {name: node for node in model.graph.node for name in node.output}
    if _are_shares(makers, output):
        return "none"
    last = _origin(makers, output)
    # Softmax of a logarithm of probabilities is the probabilities.
    return "softmax" if last is not None and last.op_type == "LogSoftmax" else None


def _are_shares(makers: Mapping[str, Any], output: str) -> bool:
    """Whether a softmax or sigmoid made these values, and what came behind it left them between 0 and 1."""
    waiting, seen = [output], {output}
    while waiting:
        node = _origin(makers, waiting.pop())
        parts = None if node is None else _parts(makers, node)
        if parts is None:
            return False
        waiting += [name for name in parts if name not in seen]
        seen.update(parts)
    return True


def _parts(makers: Mapping[str, Any], node: Any) -> list[str] | None:
    """What must be between 0 and 1 for what this node makes to be so too; None: that would not do."""
    kind, given = node.op_type, list(node.input)
    if kind in _MAKES_SHARES:
        return []
    if kind in ("Max", "Min"):
        return [name for name in given if name in makers and makers[name].op_type != "Constant"] or None
    if kind in ("Mul", "Concat"):
        return given
    if kind == "Div":  # a mean weighted by what it is divided by
        over, under = (_origin(makers, name) for name in given)
        if over is not None and under is not None and over.op_type == under.op_type == "ReduceSum":
            return [over.input[0], under.input[0]]
    if kind in ("ReduceSum", "MatMul", "Einsum"):  # a mean weighted by a softmax, as attention is
        product = _origin(makers, given[0]) if kind == "ReduceSum" else node
        weights = [_origin(makers, name) for name in product.input] if product is not None else []
        if len(weights) > 1 and any(each is not None and each.op_type == "Softmax" for each in weights):
            return list(product.input)
    return None


def _origin(makers: Mapping[str, Any], name: str) -> Any:
    """The node that made these values, before they were only arranged anew or chosen from; None for an input."""
    node = makers.get(name)
    while node is not None and node.op_type in _KEEPS_SHARES and node.input:
        node = makers.get(node.input[0])
    return node
