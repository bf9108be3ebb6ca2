"""A network as it looks from outside, before anything is known about what it is for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engines.engine import TensorSpec
from engines.onnxrt import OnnxEngine
from engines.recognise.exported import Exported, label, read
from engines.recognise.hints import Hints, Unrecognised

_PASSES_ON = ("Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose")


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


def remaining_activation(network: Network, output: str) -> str:
    """What is still to be applied to raw class scores, told by the operator that makes them: `none`, `softmax`."""
    import onnx

    model = onnx.load(str(network.path), load_external_data=False)
    makers = {name: node for node in model.graph.node for name in node.output}
    node = makers.get(output)
    while node is not None and node.op_type in _PASSES_ON and node.input:
        node = makers.get(node.input[0])
    # Softmax of a logarithm of probabilities is the probabilities.
    return "none" if node is not None and node.op_type in ("Softmax", "Sigmoid") else "softmax"
