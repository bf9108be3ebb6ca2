"""A teacher's answers become a student's, where PyTorch is installed; what does not fit is refused everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from engines.bundle import Bundle
from engines.manifest import Manifest
from engines.onnxrt import OnnxEngine
from engines.workbench.distill import Lesson, _loss, check_teacher, lessons, teach
from engines.workbench.graph import Graph
from engines.workbench.prepared import prepared
from engines.workbench.tensors import largest_difference, noise
from engines.workbench.work import WorkbenchError
from tests.engines import models
from tests.engines.workbench import networks

LABELS = ("a", "b", "c", "d")


def classifier(folder: Path, seed: int, labels: tuple[str, ...] = LABELS) -> Bundle:
    of = models.manifest("classify", models.pictures(32, 32, fit="stretch"), labels, name="classify", threshold=0)
    return models.bundle(of, networks.convolutions(folder / f"{seed}.onnx", seed=seed))


def test_a_student_learns_what_the_teacher_says(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: the train extra has it")
    student, teacher = classifier(tmp_path, 1), classifier(tmp_path, 2)
    samples = noise(student.manifest.input, 32)
    pairs = lessons(student, teacher, samples)
    taught = teach(Graph.load(student.stage_path("only")), pairs, student.manifest, Lesson(rounds=10, rate=3e-3))
    assert taught.learnt
    (_, before), *_ = taught.losses
    assert min(other for _, other in taught.losses) < 0.5 * before
    path = tmp_path / "taught.onnx"
    path.write_bytes(taught.model.SerializeToString())
    with OnnxEngine(path) as small, OnnxEngine(student.stage_path("only")) as untaught:
        given, wanted = pairs[0]  # which it has not been taught with
        assert largest_difference(wanted, small.run(given)) < 0.5 * largest_difference(wanted, untaught.run(given))


def test_the_same_seed_teaches_the_same(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: the train extra has it")
    student = classifier(tmp_path, 1)
    pairs = lessons(student, classifier(tmp_path, 2), noise(student.manifest.input, 8))
    graph = Graph.load(student.stage_path("only"))
    first, again = (teach(graph, pairs, student.manifest, Lesson(rounds=2)).losses for _ in range(2))
    assert first == again


def test_real_networks_mean_the_same_to_pytorch_and_onnx_runtime(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: the train extra has it")
    from engines.workbench.trainable import Trainable

    for name in ("FastestDet", "ultraface-slim-320"):
        model = prepared(Graph.load(data / "models" / f"{name}.onnx"), tmp_path)
        path = tmp_path / "ready.onnx"
        path.write_bytes(model.SerializeToString())
        with OnnxEngine(path) as engine:
            [spec] = engine.inputs
            x = np.random.default_rng(0).uniform(0, 1, [size or 1 for size in spec.shape]).astype(np.float32)
            expected = engine.run({spec.name: x})
        found = {key: each.detach().numpy() for key, each in Trainable(Graph(model)).run({spec.name: x}).items()}
        assert largest_difference(expected, found) < 1e-3


def test_an_operator_that_cannot_be_trained_is_named(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: the train extra has it")
    from engines.workbench.trainable import Trainable
    from tests.networks import tensor, write

    node = onnx.helper.make_node("CumSum", ["x", "axis"], ["y"])
    weights = {"axis": np.array(1, np.int64)}
    path = write(tmp_path / "net.onnx", [node], [tensor("x", [1, 4])], [tensor("y", [1, 4])], weights=weights)
    with pytest.raises(WorkbenchError, match="operators that cannot be trained here: CumSum"):
        Trainable(Graph.load(path))


def test_weights_of_a_type_that_pytorch_has_not_are_named(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: the train extra has it")
    from engines.workbench.trainable import Trainable
    from tests.networks import tensor, write

    given, made = [tensor("x", [1, 4])], [tensor("y", [1, 4])]
    weights = {"words": np.array(["a"], object)}
    path = write(tmp_path / "net.onnx", [onnx.helper.make_node("Relu", ["x"], ["y"])], given, made, weights=weights)
    with pytest.raises(WorkbenchError, match="the weights words are of a type that cannot be trained here"):
        Trainable(Graph.load(path))


def test_a_network_in_half_precision_is_called_so(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: the train extra has it")
    from engines.workbench.trainable import Trainable

    with pytest.raises(WorkbenchError, match="its weights are 16-bit floats: export it in float32"):
        Trainable(Graph.load(networks.half(tmp_path / "net.onnx")))


def test_a_network_without_weights_to_train_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: the train extra has it")
    from tests.networks import tensor, write

    given, made = [tensor("x", [1, 4])], [tensor("y", [1, 4])]
    path = write(tmp_path / "net.onnx", [onnx.helper.make_node("Relu", ["x"], ["y"])], given, made)
    pairs = [({"x": np.ones((1, 4), np.float32)}, {"y": np.ones((1, 4), np.float32)})] * 4
    with pytest.raises(WorkbenchError, match="tested: the last stage has no weights that can be trained"):
        teach(Graph.load(path), pairs, classifier(tmp_path, 1).manifest)


OLDER: dict[str, tuple[int, dict[str, Any], list[int]]] = {
    "Pad": (9, {"pads": [0, 0, 1, 1, 0, 0, 1, 1]}, [1, 2, 6, 6]),
    "Slice": (9, {"starts": [0], "ends": [2], "axes": [2]}, [1, 2, 2, 4]),
    "Resize": (10, {"mode": "nearest"}, [1, 2, 8, 8]),
}
"""Operator: opset, attributes, and the shape of what it makes of (1, 2, 4, 4)."""


@pytest.mark.parametrize("kind", OLDER)
def test_an_operator_in_the_form_of_an_older_opset_is_named(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: the train extra has it")
    from engines.workbench.trainable import Trainable
    from tests.networks import tensor, write

    opset, attributes, shape = OLDER[kind]
    scales = {"scales": np.array([1, 1, 2, 2], np.float32)} if kind == "Resize" else {}
    node = onnx.helper.make_node(kind, ["x", *scales], ["y"], **attributes)
    given, made = [tensor("x", [1, 2, 4, 4])], [tensor("y", shape)]
    path = write(tmp_path / "net.onnx", [node], given, made, weights=scales, opset=opset)
    x = np.zeros((1, 2, 4, 4), np.float32)
    with OnnxEngine(path) as engine:
        engine.run({"x": x})  # which has no trouble with it
    with pytest.raises(WorkbenchError, match=f"{kind}, which makes y, cannot be trained here"):
        Trainable(Graph.load(path)).run({"x": x})


# -- tables of boxes ---------------------------------------------------------------------------------------------------

TABLES: dict[str, dict[str, Any]] = {
    "yolo-v8": {},
    "yolo-v5": {},
    "yolo-seg": {"coefficients": 3, "protos": "protos"},
    "yolo-pose": {"points": 2, "values": 3},
    "yolo-obb": {},
}
EXTRAS = {"yolo-seg": 3, "yolo-pose": 6, "yolo-obb": 1}
SURE, CELLS = 5, 16


def table(decoder: str) -> npt.NDArray[np.float32]:
    """(1, 4 + 2 classes + extras, cells) in which the teacher is sure of one cell only."""
    random = np.random.default_rng(0)
    made = random.uniform(10, 30, (1, 6 + EXTRAS.get(decoder, 0), CELLS)).astype(np.float32)
    made[:, 4:6] = 0
    made[:, 4, SURE] = 0.9
    if decoder == "yolo-pose":
        made[:, 8::3] = 0.5
    return made


def loss_between(decoder: str, made: npt.NDArray[np.float32], wanted: npt.NDArray[np.float32]) -> float:
    """What a lesson makes of two such tables; of yolo-v5 in its own layout, with an objectness."""
    import torch

    def laid(given: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if decoder != "yolo-v5":
            return given
        objectness = given[:, 4:6].max(axis=1, keepdims=True)
        classes = np.where(objectness > 0, given[:, 4:6] / np.maximum(objectness, 1e-6), 0.7)
        v5 = np.concatenate([given[:, :4], objectness, classes], axis=1)
        return np.ascontiguousarray(v5.transpose(0, 2, 1), np.float32)

    of = models.manifest("detect", models.pictures(32, 32), ("a", "b"), name=decoder, options=TABLES[decoder])
    return float(_loss(torch, of)({"y": torch.from_numpy(laid(made))}, {"y": laid(wanted)}))


@pytest.mark.parametrize("decoder", TABLES)
def test_of_cells_that_show_nothing_only_the_scores_are_taught(decoder: str) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: the train extra has it")
    wanted = table(decoder)
    nothing, elsewhere, unsure = (wanted.copy() for _ in range(3))
    elsewhere[:, :4, SURE + 1 :] += 300  # pixels of cells that nobody looks at
    elsewhere[:, 6:, SURE + 1 :] += 300
    unsure[:, 4, SURE] = 0.4
    least = loss_between(decoder, nothing, wanted)
    assert loss_between(decoder, elsewhere, wanted) == pytest.approx(least, abs=1e-4)
    assert loss_between(decoder, unsure, wanted) > least + 0.1
    for row in {0, 2, wanted.shape[1] - 1} - {5}:
        moved = wanted.copy()
        moved[:, row, SURE] += 20
        assert loss_between(decoder, moved, wanted) > least + 0.1, row


# -- what does not fit ------------------------------------------------------------------------------------------------


def like(student: Manifest, **changes: object) -> Manifest:
    return student.model_copy(update={"name": "teacher"} | changes)


def test_a_teacher_with_other_labels_is_refused(tmp_path: Path) -> None:
    student = classifier(tmp_path, 1).manifest
    with pytest.raises(WorkbenchError, match="teacher has other labels than tested: only one of them knows d, e"):
        check_teacher(student, like(student, labels=("a", "b", "c", "e")))
    with pytest.raises(WorkbenchError, match="they have them in another order"):
        check_teacher(student, like(student, labels=("b", "a", "c", "d")))


@pytest.mark.parametrize("other", [{"rate_hz": 32_000}, {"samples": 8000}])
def test_a_teacher_that_hears_other_windows_is_refused(other: dict[str, int]) -> None:
    student = models.manifest("audio-labels", models.sounds(16_000), LABELS, name="audio-labels")
    teacher = like(student, input=student.input.model_copy(update=other))
    with pytest.raises(WorkbenchError, match="tested 1 hears 16000 samples at 16000 Hz and teacher 1 hears"):
        check_teacher(student, teacher)


def test_a_teacher_of_another_kind_is_refused(tmp_path: Path) -> None:
    student = classifier(tmp_path, 1).manifest
    other = models.manifest("detect", models.pictures(32, 32), LABELS, name="yolo-v8")
    with pytest.raises(WorkbenchError, match="both must write their answers the same way"):
        check_teacher(student, other)


def test_outputs_of_other_shapes_and_too_few_samples_are_refused(tmp_path: Path) -> None:
    of = models.manifest("detect", models.pictures(32, 32, fit="stretch"), ["blob"], name="yolo-end2end")
    sizes = {"one": [1, 3, 6], "other": [1, 5, 6]}
    made = {
        name: models.bundle(
            of, networks_answering(tmp_path / f"{name}.onnx", shape)
        )
        for name, shape in sizes.items()
    }  # fmt: skip
    with pytest.raises(WorkbenchError, match="do not have the same shapes"):
        lessons(made["one"], made["other"], noise(of.input, 8))
    with pytest.raises(WorkbenchError, match="2 samples are too few to learn from"):
        lessons(made["one"], made["one"], noise(of.input, 2))


def networks_answering(path: Path, shape: list[int]) -> Path:
    from tests.networks import answering

    return answering(path, {"x": [1, 3, 32, 32]}, {"y": shape})
