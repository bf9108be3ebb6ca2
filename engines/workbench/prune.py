"""`prune`: whole channels are taken out of a network, so that it is really smaller and really faster.

The weakest go first: those whose weights are smallest, each set of weights measured against its own mean (L1 norm: Li
et al., "Pruning Filters for Efficient ConvNets", 2017). What is lost is won back by `distill`, the network as it was
teaching the network as it is.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from engines.engine import Array
from engines.workbench.channels import Channels
from engines.workbench.graph import Graph
from engines.workbench.work import WorkbenchError

BLOCK = 8
"""Processors take channels by eights (ONNX Runtime's NCHWc blocks); an odd rest costs as much as a whole one."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """A network without its weakest channels."""

    model: Any
    """ModelProto."""
    channels: int
    gone: int
    """Channels that might have gone, and those that did."""
    weights_before: int
    weights_after: int


def prune(graph: Graph, share: float) -> Pruned:
    """Take out about `share` of the channels of every group that may lose some, down to whole eights.

    Raises WorkbenchError when there is nothing that can be taken out.
    """
    channels = Channels.of(graph)
    together = channels.free()
    strength = _strength(channels, together)
    going = {root for group in _groups(channels, together).values() for root in _weakest(group, strength, share)}
    if not going:
        raise WorkbenchError(
            f"there is no group of channels in it of which {share:.0%} could go and whole eights stay: it has too few, "
            "or they cannot be followed to its end"
        )
    kept = {channel: channels.root(channel) not in going for channel in range(len(channels.made_by))}
    before = sum(weight.size for weight in map(channels.weight, {tie.weight for tie in channels.ties}))
    model = _without(channels, kept)
    after = _count(model, {tie.weight for tie in channels.ties})
    return Pruned(model, len(together), len(going), before, after)


def _strength(channels: Channels, together: dict[int, list[int]]) -> dict[int, float]:
    """Mean L1 norm of all weights a channel touches, each against the mean of its kind."""
    total: dict[int, list[float]] = defaultdict(list)
    for tie in channels.ties:
        weight = np.abs(channels.weight(tie.weight).astype(np.float64))
        if weight.ndim < 2:
            continue
        norms = weight.sum(axis=tuple(axis for axis in range(weight.ndim) if axis != tie.axis))
        norms /= norms.mean() or 1.0
        for channel, norm in zip(tie.channels, norms.tolist(), strict=True):
            total[channels.root(channel)].append(norm)
    return {root: float(np.mean(total[root])) if total[root] else 1.0 for root in together}


def _groups(channels: Channels, together: dict[int, list[int]]) -> dict[frozenset[str], list[int]]:
    """Channels that are made by the same weights; each group keeps its own share."""
    groups: dict[frozenset[str], list[int]] = defaultdict(list)
    for root, members in together.items():
        groups[frozenset(channels.made_by[member] for member in members)].append(root)
    return groups


def _weakest(group: list[int], strength: dict[int, float], share: float) -> list[int]:
    keep = max(BLOCK, round(len(group) * (1 - share) / BLOCK) * BLOCK)
    return sorted(group, key=lambda root: strength[root])[: max(len(group) - keep, 0)]


def _without(channels: Channels, kept: dict[int, bool]) -> Any:
    import onnx

    chosen: dict[str, dict[int, Array]] = defaultdict(dict)
    for tie in channels.ties:
        index = np.flatnonzero([kept[channel] for channel in tie.channels])
        before = chosen[tie.weight].get(tie.axis)
        if before is not None and not np.array_equal(before, index):
            raise WorkbenchError(f"weight {tie.weight} is used twice, for different channels: it cannot be pruned")
        chosen[tie.weight][tie.axis] = index
    model = onnx.ModelProto()
    model.CopyFrom(channels.graph.model)
    for initializer in model.graph.initializer:
        if initializer.name in chosen:
            array = onnx.numpy_helper.to_array(initializer)
            for axis, index in chosen[initializer.name].items():
                array = np.take(array, index, axis=axis)
            initializer.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(array), initializer.name))
    _set_groups(model, channels)
    _set_splits(model, channels, kept)
    del model.graph.value_info[:]
    return model


def _set_groups(model: Any, channels: Channels) -> None:
    """A depthwise convolution has as many groups as channels."""
    sizes = {each.name: list(each.dims) for each in model.graph.initializer}
    for node, before in zip(model.graph.node, channels.graph.nodes, strict=True):
        if node.op_type != "Conv" or before.input[1] not in sizes:
            continue
        for attribute in node.attribute:
            if attribute.name == "group" and attribute.i > 1 and attribute.i == channels.weight(node.input[1]).shape[0]:
                attribute.i = sizes[node.input[1]][0]


def _set_splits(model: Any, channels: Channels, kept: dict[int, bool]) -> None:
    """Every Split gets sizes of its own."""
    import onnx

    for number, parts in channels.splits:
        sizes = np.array([sum(kept[channel] for channel in part) for part in parts], np.int64)
        if not sizes.all():
            raise WorkbenchError("a whole branch of it would be taken out: give a smaller share")
        name = f"{channels.graph.nodes[number].input[1]} of {number}"
        model.graph.initializer.append(onnx.numpy_helper.from_array(sizes, name))
        model.graph.node[number].input[1] = name


def _count(model: Any, names: set[str]) -> int:
    return sum(int(np.prod(each.dims)) for each in model.graph.initializer if each.name in names)
