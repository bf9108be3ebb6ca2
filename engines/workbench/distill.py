"""`distill`: a large model teaches a small one on samples that nobody has labelled.

The small network is trained to put out what the large one does (Hinton, Vinyals, Dean: "Distilling the Knowledge in a
Neural Network", 2015), on the last stage of each. Scores of 0 to 1 are learnt by cross-entropy, weighted by how far
they are apart, so that the many places where nothing is do not drown the few where something is (Li et al.,
"Generalized Focal Loss", 2020); boxes, and what YOLO tells of a box beside its class, only where the teacher sees
something; everything else by its square error.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from engines.bundle import Bundle
from engines.decode.dressed import option
from engines.engine import Array, Tensors
from engines.manifest import Manifest
from engines.onnxrt import OnnxEngine
from engines.workbench.agreement import check_same_windows
from engines.workbench.graph import Graph
from engines.workbench.tensors import largest_difference, recorded
from engines.workbench.trainable import Trainable, pytorch
from engines.workbench.work import Tell, WorkbenchError, silent

SAME = 1e-2
"""PyTorch and ONNX Runtime must agree this far before anything is trained; relative to the largest value."""
BATCH = 8
"""Samples between two steps; they run one by one, because exported networks often take no more."""
LEAST_SAMPLES = 4
BOX_ROWS = 4
TABLES = ("yolo-v8", "yolo-v5", "yolo-seg", "yolo-pose", "yolo-obb")
"""Decoders of one table with a box for every cell, most of which show nothing."""


Pair: TypeAlias = tuple[Tensors, Tensors]
"""What a network is given, and what it shall make of it."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """How to teach."""

    rounds: int = 20
    rate: float = 1e-3
    """Step size at the start; it falls to nothing along a cosine."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Taught:
    """The small network after its lessons."""

    model: Any
    """ModelProto, the best of all rounds on samples it was not taught with."""
    losses: tuple[tuple[float, float], ...]
    """Of every round: on the samples it is taught with, and on the others; the first before any lesson."""

    @property
    def learnt(self) -> bool:
        """Whether any round was better than none."""
        return min(other for _, other in self.losses) < self.losses[0][1]


def check_teacher(student: Manifest, teacher: Manifest) -> None:
    """Raises WorkbenchError when one cannot teach the other."""
    if student.task != teacher.task or student.decoder.name != teacher.decoder.name:
        raise WorkbenchError(
            f"{teacher.name} ({teacher.decoder.name}) cannot teach {student.name} ({student.decoder.name}): both must "
            "write their answers the same way"
        )
    if student.labels != teacher.labels:
        odd = sorted(set(student.labels) ^ set(teacher.labels))
        words = f"only one of them knows {', '.join(odd[:5])}" if odd else "they have them in another order"
        raise WorkbenchError(f"{teacher.name} has other labels than {student.name}: {words}")
    check_same_windows(student, teacher)


def lessons(student: Bundle, teacher: Bundle, samples: Sequence[Array], tell: Tell = silent) -> list[Pair]:
    """For every sample, what the student's last stage is given and what the teacher's puts out.

    Raises WorkbenchError when the teacher has other labels or other outputs, or there are too few samples.
    """
    check_teacher(student.manifest, teacher.manifest)
    if len(samples) < LEAST_SAMPLES:
        raise WorkbenchError(f"{len(samples)} samples are too few to learn from: give {LEAST_SAMPLES} or more")
    given, made = recorded(student, samples, "given", tell)[-1], recorded(teacher, samples, "made", tell)[-1]
    names = _partners(recorded(student, samples[:1], "made")[-1][0], made[0])
    return [
        (each, {name: wanted[other] for name, other in names.items()}) for each, wanted in zip(given, made, strict=True)
    ]


def _partners(ours: Tensors, theirs: Tensors) -> dict[str, str]:
    """Output of the student: output of the teacher, by name or, where names differ, in order."""
    pairs = {name: name for name in ours} if set(ours) == set(theirs) else dict(zip(ours, theirs, strict=False))
    if len(ours) != len(theirs) or any(ours[one].shape != theirs[other].shape for one, other in pairs.items()):
        shapes = " and ".join(", ".join(f"{n} {a.shape}" for n, a in group.items()) for group in (ours, theirs))
        raise WorkbenchError(
            f"the outputs of student and teacher do not have the same shapes ({shapes}): both must take pictures of "
            "the same size, or windows of the same length"
        )
    return pairs


def trainable(graph: Graph, manifest: Manifest) -> Trainable:
    """The network for PyTorch; raises EngineUnavailable without it, WorkbenchError when it cannot be trained."""
    network = Trainable(graph)
    if not network.parameters:
        raise WorkbenchError(f"{manifest.name}: the last stage has no weights that can be trained")
    return network


def teach(
    graph: Graph,
    material: Sequence[Pair],
    manifest: Manifest,
    lesson: Lesson | None = None,
    tell: Tell = silent,
) -> Taught:
    """Train a network to make the second of each pair from the first; every fourth pair is only looked at.

    Raises EngineUnavailable without PyTorch, WorkbenchError when the network cannot be trained.
    """
    lesson = lesson or Lesson()
    torch = pytorch()
    torch.manual_seed(lesson.seed)
    network = trainable(graph, manifest)
    _check_same(network, graph, material[0][0])
    loss = _loss(torch, manifest)
    held = list(material[::4])
    taught = [pair for number, pair in enumerate(material) if number % 4]
    random = np.random.default_rng(lesson.seed)
    optimiser = torch.optim.Adam(list(network.parameters.values()), lr=lesson.rate)
    steps = lesson.rounds * -(-len(taught) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
    losses = [(_mean_loss(torch, network, taught, loss), _mean_loss(torch, network, held, loss))]
    best = network.model()
    for number in range(lesson.rounds):
        tell("teaching", number, lesson.rounds)
        order = random.permutation(len(taught)).tolist()
        seen = _round(network, [taught[each] for each in order], loss, optimiser, schedule)
        losses.append((seen, _mean_loss(torch, network, held, loss)))
        if losses[-1][1] <= min(other for _, other in losses):
            best = network.model()
    tell("teaching", lesson.rounds, lesson.rounds)
    return Taught(best, tuple(losses))


def _check_same(network: Trainable, graph: Graph, given: Tensors) -> None:
    """An operator that PyTorch understands otherwise would be taught to make up for that."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(graph.model.SerializeToString())
        with OnnxEngine(path) as engine:
            expected = engine.run(given)
    found = {name: tensor.detach().numpy() for name, tensor in network.run(given).items()}
    worst = largest_difference(expected, found)
    if not worst <= SAME:
        raise WorkbenchError(f"PyTorch and ONNX Runtime do not agree about this network ({worst:.2g} apart)")


Loss: TypeAlias = Callable[[Mapping[str, Any], Tensors], Any]


def _round(network: Trainable, pairs: Sequence[Pair], loss: Loss, optimiser: Any, schedule: Any) -> float:
    total = 0.0
    for first in range(0, len(pairs), BATCH):
        batch = pairs[first : first + BATCH]
        optimiser.zero_grad()
        for given, wanted in batch:
            value = loss(network.run(given), wanted) / len(batch)
            value.backward()
            total += float(value.detach()) * len(batch)
        optimiser.step()
        schedule.step()
    return total / len(pairs)


def _mean_loss(torch: Any, network: Trainable, pairs: Sequence[Pair], loss: Loss) -> float:
    with torch.no_grad():
        return float(np.mean([float(loss(network.run(given), wanted)) for given, wanted in pairs]))


def _loss(torch: Any, manifest: Manifest) -> Loss:
    decoder = manifest.decoder
    table = decoder.name in TABLES and not decoder.options.get("end2end", False)

    def loss(made: Mapping[str, Any], wanted: Tensors) -> Any:
        total = 0.0
        for name, target in wanted.items():
            tensor, goal = made[name], torch.from_numpy(target)
            if table and tensor.ndim == 3:
                total = total + _table(torch, tensor, goal, manifest)
            elif bool(((goal >= 0) & (goal <= 1)).all()):
                total = total + _scores(torch, tensor, goal)
            else:
                total = total + ((tensor - goal) ** 2).mean() / goal.var().clamp(min=1e-6)
        return total

    return loss


def _scores(torch: Any, made: Any, goal: Any) -> Any:
    likely = made.clamp(1e-6, 1 - 1e-6)
    entropy = -(goal * likely.log() + (1 - goal) * (1 - likely).log())
    return ((goal - made).abs().detach() * entropy).sum() / goal.sum().clamp(min=1.0)


def _table(torch: Any, made: Any, goal: Any, manifest: Manifest) -> Any:
    """Scores everywhere; boxes and what stands behind the scores weighted by how sure the teacher is of each."""
    if manifest.decoder.name == "yolo-v5":
        made, goal = (_by_class(torch, each) for each in (made, goal))
    classes = slice(BOX_ROWS, BOX_ROWS + len(manifest.labels))
    weight = goal[:, classes].amax(dim=1, keepdim=True)
    size = goal[:, 2:BOX_ROWS].mean(dim=1, keepdim=True).clamp(min=1.0)
    total = _scores(torch, made[:, classes], goal[:, classes])
    for rows, in_pixels in _told(manifest, goal.shape[1]):
        unit = size if in_pixels else 1.0
        apart = torch.nn.functional.smooth_l1_loss(made[:, rows] / unit, goal[:, rows] / unit, reduction="none")
        total = total + (weight * apart).sum() / weight.sum().clamp(min=1.0)
    return total


def _by_class(torch: Any, table: Any) -> Any:
    """A table of yolo-v5 as one of yolo-v8; what counts is the objectness times the score of the class."""
    boxes, objectness, scores = table.transpose(1, 2).split([BOX_ROWS, 1, table.shape[2] - BOX_ROWS - 1], dim=1)
    return torch.cat([boxes, objectness * scores], dim=1)


def _told(manifest: Manifest, rows: int) -> list[tuple[list[int], bool]]:
    """Rows that are no scores, and whether they are in pixels, which are counted in sizes of the box."""
    boxes, extras = list(range(BOX_ROWS)), list(range(BOX_ROWS + len(manifest.labels), rows))
    if manifest.decoder.name != "yolo-pose":
        return [(boxes, True), *([(extras, False)] if extras else [])]
    values = option(manifest, "values")
    seen = extras[2::values] if values > 2 else []
    return [(boxes, True), ([row for row in extras if row not in seen], True), *([(seen, False)] if seen else [])]
