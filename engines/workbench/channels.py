"""Which channels of a network belong together, so that some can be taken out of all the weights they touch.

Every channel of every tensor gets a number. A convolution or a matrix product makes new ones; what is added channel by
channel (short cuts) must stay or go together, and so must both sides of a depthwise convolution; concatenating and
splitting hand them on. Channels that reach something that cannot be followed (a reshape, an output) stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engines.engine import Array
from engines.workbench.graph import Graph, uses

SAME = frozenset(
    {
        *(
            "Relu",
            "LeakyRelu",
            "Sigmoid",
            "HardSigmoid",
            "HardSwish",
            "Clip",
            "Tanh",
            "Elu",
            "Softplus",
            "Mish",
            "Gelu",
        ),
        *("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Resize", "Upsample", "Identity", "Dropout"),
        *("Pad", "Cast"),
    }
)
"""Hand every channel on as it is. (A Pad of channels is refused by its shape.)"""
TOGETHER = frozenset({"Add", "Mul", "Sub", "Div", "Max", "Min", "PRelu"})


@dataclass(frozen=True, slots=True)
class Tie:
    """One axis of a weight, whose places are channels."""

    weight: str
    axis: int
    channels: tuple[int, ...]


@dataclass(slots=True)
class Channels:
    """What was found out about a network."""

    graph: Graph
    ties: list[Tie] = field(default_factory=list)
    splits: list[tuple[int, tuple[tuple[int, ...], ...]]] = field(default_factory=list)
    """Number of a Split node and the channels of each of its parts."""
    made_by: dict[int, str] = field(default_factory=dict)
    """Channel: the weight that makes it, where one does."""
    _of: dict[str, tuple[int, ...]] = field(default_factory=dict)
    _parent: list[int] = field(default_factory=list)
    _fixed: set[int] = field(default_factory=set)
    _weights: dict[str, Array] = field(default_factory=dict)

    @classmethod
    def of(cls, graph: Graph) -> Channels:
        """Follow every channel through the network."""
        import onnx

        found = cls(graph)
        found._weights = {each.name: onnx.numpy_helper.to_array(each) for each in graph.model.graph.initializer}
        for number, node in enumerate(graph.nodes):
            found._follow(number, node)
        for name in graph.outputs:
            found._fix(name)
        return found

    def weight(self, name: str) -> Array:
        return self._weights[name]

    def free(self) -> dict[int, list[int]]:
        """Channels that may go, by the channel that stands for all that must go with it."""
        together: dict[int, list[int]] = {}
        for channel in range(len(self._parent)):
            together.setdefault(self._root(channel), []).append(channel)
        fixed = {self._root(channel) for channel in self._fixed}
        return {root: members for root, members in together.items() if root not in fixed}

    def root(self, channel: int) -> int:
        """The channel that stands for all that must go with it."""
        return self._root(channel)

    # -- following ----------------------------------------------------------------------------------------------------

    def _follow(self, number: int, node: Any) -> None:
        kind = node.op_type
        if kind in ("Conv", "ConvTranspose"):
            self._convolution(node)
        elif kind == "BatchNormalization" and self._known(node.input[0]):
            self._pass_on(node)
            for name in node.input[1:]:
                self._tie(name, 0, self._of[node.input[0]])
        elif kind in ("Gemm", "MatMul"):
            self._product(node)
        elif kind in SAME and self._known(node.input[0]) and not _says_sizes(node):
            self._pass_on(node)
        elif kind in TOGETHER:
            self._together(node)
        elif kind == "Concat" and _attribute(node, "axis", 0) == 1 and all(self._known(name) for name in node.input):
            self._of[node.output[0]] = tuple(channel for name in node.input for channel in self._of[name])
        elif kind == "Split" and _attribute(node, "axis", 0) == 1 and self._known(node.input[0]):
            self._split(number, node)
        elif kind in ("Flatten", "ReduceMean", "Squeeze") and self._flattens(node):
            self._pass_on(node)
        else:
            for name in uses(node):
                self._fix(name)

    def _convolution(self, node: Any) -> None:
        groups, weight = _attribute(node, "group", 1), self._weights.get(node.input[1])
        given = self._of.get(node.input[0])
        if weight is None:
            for name in node.input:
                self._fix(name)
            return
        into, out = (0, 1) if node.op_type == "ConvTranspose" else (1, 0)
        if groups == 1:
            if given is not None:
                self._tie(node.input[1], into, given)
            made = self._new(weight.shape[out], node.input[1])
            self._tie(node.input[1], out, made)
        elif groups == weight.shape[0] and given is not None and len(given) == groups and node.op_type == "Conv":
            made = given
            self._tie(node.input[1], 0, made)
        else:
            self._fix(node.input[0])
            return
        if len(node.input) > 2 and node.input[2]:
            self._tie(node.input[2], 0, made)
        self._of[node.output[0]] = made

    def _product(self, node: Any) -> None:
        weight, given = self._weights.get(node.input[1]), self._of.get(node.input[0])
        turned = node.op_type == "Gemm" and _attribute(node, "transB", 0) == 1
        flat = self._rank(node.input[0]) == 2
        if weight is None or weight.ndim != 2 or not flat or _attribute(node, "transA", 0):
            for name in node.input:
                self._fix(name)
            return
        into, out = (1, 0) if turned else (0, 1)
        if given is not None and len(given) == weight.shape[into]:
            self._tie(node.input[1], into, given)
        else:
            self._fix(node.input[0])
        made = self._new(weight.shape[out], node.input[1])
        self._tie(node.input[1], out, made)
        if len(node.input) > 2 and node.input[2] and not self._tie_constant(node.input[2], made, rank=2):
            self._fixed.update(made)
        self._of[node.output[0]] = made

    def _together(self, node: Any) -> None:
        known = [name for name in node.input if self._known(name)]
        if not known or any(not self._known(name) and not self._is_weight(name) for name in node.input):
            for name in node.input:
                self._fix(name)
            return
        first = self._of[known[0]]
        for name in known[1:]:
            other = self._of[name]
            if len(other) != len(first):
                self._fix(known[0])
                self._fix(name)
                return
            for one, two in zip(first, other, strict=True):
                self._parent[self._root(two)] = self._root(one)
        for name in node.input:
            if self._is_weight(name) and not self._tie_constant(name, first, self._rank(known[0])):
                self._fix(known[0])
        self._of[node.output[0]] = first

    def _tie_constant(self, name: str, channels: tuple[int, ...], rank: int) -> bool:
        """A weight that is added or multiplied: one number, or one for each channel; False for anything else."""
        shape = self._weights[name].shape if name in self._weights else None
        if shape is None:
            return False
        if int(np.prod(shape)) == 1:
            return True
        axis = len(shape) - rank + 1
        if axis < 0 or shape[axis] != len(channels) or int(np.prod(shape)) != len(channels):
            return False
        self._tie(name, axis, channels)
        return True

    def _split(self, number: int, node: Any) -> None:
        given = self._of[node.input[0]]
        sizes = self._weights.get(node.input[1]) if len(node.input) > 1 else None
        if sizes is None or int(sizes.sum()) != len(given):
            self._fix(node.input[0])
            return
        ends = np.cumsum(sizes).tolist()
        parts = tuple(given[end - int(size) : end] for end, size in zip(ends, sizes, strict=True))
        self.splits.append((number, parts))
        for name, part in zip(node.output, parts, strict=True):
            self._of[name] = part

    def _flattens(self, node: Any) -> bool:
        """Whether the channels alone are left, one number each."""
        if not self._known(node.input[0]):
            return False
        made = self._sizes(node.output[0])
        return made is not None and len(made) in (2, 4) and made[1] == len(self._of[node.input[0]])

    # -- small things -------------------------------------------------------------------------------------------------

    def _pass_on(self, node: Any) -> None:
        made = self._sizes(node.output[0])
        given = self._of[node.input[0]]
        if made is not None and len(made) > 1 and made[1] not in (None, len(given)):
            self._fix(node.input[0])
            return
        self._of[node.output[0]] = given

    def _new(self, count: int, weight: str) -> tuple[int, ...]:
        first = len(self._parent)
        self._parent += range(first, first + count)
        self.made_by |= dict.fromkeys(range(first, first + count), weight)
        return tuple(range(first, first + count))

    def _tie(self, weight: str, axis: int, channels: Sequence[int]) -> None:
        if weight not in self._weights or self._weights[weight].shape[axis] != len(channels):
            self._fixed.update(channels)
            return
        self.ties.append(Tie(weight, axis, tuple(channels)))

    def _fix(self, name: str) -> None:
        self._fixed.update(self._of.get(name, ()))

    def _known(self, name: str) -> bool:
        return name in self._of

    def _is_weight(self, name: str) -> bool:
        return name in self.graph.constants

    def _root(self, channel: int) -> int:
        while self._parent[channel] != channel:
            self._parent[channel] = self._parent[self._parent[channel]]
            channel = self._parent[channel]
        return channel

    def _sizes(self, name: str) -> tuple[int | None, ...] | None:
        declared = self.graph.declared.get(name)
        if declared is None or not declared.type.tensor_type.HasField("shape"):
            return None
        sizes = declared.type.tensor_type.shape.dim
        return tuple(size.dim_value if size.HasField("dim_value") else None for size in sizes)

    def _rank(self, name: str) -> int:
        sizes = self._sizes(name)
        return -1 if sizes is None else len(sizes)


def _says_sizes(node: Any) -> bool:
    """A Resize to sizes that are written down, the number of channels among them."""
    return node.op_type == "Resize" and len(node.input) > 3 and bool(node.input[3])


def _attribute(node: Any, name: str, default: int) -> int:
    return next((int(each.i) for each in node.attribute if each.name == name), default)
