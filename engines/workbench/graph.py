"""An ONNX file as a graph: what depends on what, and the file that is left when it is cut."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from engines.external import external_files
from engines.workbench.work import WorkbenchError

MOST_BYTES = 2 << 30
"""protobuf writes no larger file, and the workbench keeps all weights inside."""


@dataclass(frozen=True)
class Graph:
    """A loaded ONNX file; nothing in it is changed."""

    model: Any
    """ModelProto, with shapes inferred where that is possible."""

    @classmethod
    def load(cls, path: Path) -> Graph:
        """Raises WorkbenchError for what is not an ONNX model."""
        import onnx

        external_files(path)
        try:
            model = onnx.load(str(path))
        except Exception as error:  # protobuf's own exceptions differ from version to version; this is the border
            raise WorkbenchError(f"{path}: not an ONNX model: its content cannot be parsed") from error
        if model.ByteSize() >= MOST_BYTES:
            raise WorkbenchError(f"{path}: larger than 2 GB, which cannot be worked on here")
        try:
            return cls(onnx.shape_inference.infer_shapes(model))
        except Exception:  # of a model that runs all the same; its shapes stay unknown
            return cls(model)

    @cached_property
    def nodes(self) -> list[Any]:
        """In an order in which they can run."""
        return list(self.model.graph.node)

    @cached_property
    def constants(self) -> frozenset[str]:
        """Names of the weights, and of what follows from weights alone."""
        fixed = {each.name for each in self.model.graph.initializer}
        for node in self.nodes:
            if all(name in fixed for name in uses(node)):
                fixed.update(node.output)
        return frozenset(fixed)

    @cached_property
    def inputs(self) -> list[str]:
        """What has to be given; weights that are declared as inputs are not."""
        weights = {each.name for each in self.model.graph.initializer}
        return [each.name for each in self.model.graph.input if each.name not in weights]

    @cached_property
    def outputs(self) -> list[str]:
        return [each.name for each in self.model.graph.output]

    @cached_property
    def maker(self) -> dict[str, int]:
        """Tensor: number of the node that makes it."""
        return {name: number for number, node in enumerate(self.nodes) for name in node.output if name}

    @cached_property
    def declared(self) -> dict[str, Any]:
        """Tensor: what is known of its type and shape."""
        graph = self.model.graph
        return {each.name: each for group in (graph.value_info, graph.input, graph.output) for each in group}

    def before(self, tensor: str) -> frozenset[int]:
        """Numbers of the nodes that have to run to make `tensor`."""
        found: set[int] = set()
        waiting = [tensor]
        while waiting:
            number = self.maker.get(waiting.pop())
            if number is not None and number not in found:
                found.add(number)
                waiting += uses(self.nodes[number])
        return frozenset(found)

    def crossing(self, first: Collection[int]) -> tuple[str, ...]:
        """What the nodes that are not in `first` need of what was given or is made in `first`; weights do not count."""
        made = {name for number in first for name in self.nodes[number].output} | set(self.inputs)
        needed = {name for number, node in enumerate(self.nodes) if number not in first for name in uses(node)}
        return tuple(sorted((made & needed) - self.constants))

    def part(self, numbers: Collection[int], inputs: Collection[Any], outputs: Collection[Any]) -> Any:
        """A model of these nodes and of those that make their constants; `inputs`, `outputs`: ValueInfoProto."""
        import onnx

        chosen = set(numbers)
        for number in sorted(chosen, reverse=True):
            for name in uses(self.nodes[number]):
                if name in self.constants and name in self.maker:
                    chosen |= self.before(name)
        nodes = [self.nodes[number] for number in sorted(chosen)]
        used = {name for node in nodes for name in uses(node)}
        graph = onnx.helper.make_graph(
            nodes,
            self.model.graph.name or "part",
            list(inputs),
            list(outputs),
            initializer=[each for each in self.model.graph.initializer if each.name in used],
        )
        part = onnx.ModelProto()
        part.CopyFrom(self.model)
        part.graph.CopyFrom(graph)
        return part


def check_single_precision(graph: Graph) -> None:
    """Raises WorkbenchError for a network in 16-bit floats, whose layers nothing here would find: ONNX Runtime puts
    casts around each."""
    import onnx

    sizes = {onnx.TensorProto.FLOAT: 0, onnx.TensorProto.FLOAT16: 0}
    for each in graph.model.graph.initializer:
        if each.data_type in sizes:
            sizes[each.data_type] += math.prod(each.dims)
    if sizes[onnx.TensorProto.FLOAT16] > sizes[onnx.TensorProto.FLOAT]:
        raise WorkbenchError("its weights are 16-bit floats: export it in float32")


def uses(node: Any) -> list[str]:
    """Names of the tensors a node needs, those its bodies take from outside included."""
    names = [name for name in node.input if name]
    for attribute in node.attribute:
        for body in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
            names += _from_outside(body)
    return names


def _from_outside(body: Any) -> Iterator[str]:
    own = {each.name for each in (*body.input, *body.initializer)} | {
        name for node in body.node for name in node.output
    }
    for node in body.node:
        yield from (name for name in uses(node) if name not in own)
    yield from (each.name for each in body.output if each.name not in own)
