"""`appliance models prune` and `distill` as a person uses them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import onnx
import pytest

from appliance.catalogue import Catalogue
from engines.manifest import ImageInput
from engines.workbench.slimmer import Weighed
from engines.workbench.work import WorkbenchError
from tests.appliance.workbench.bench import Bench
from tests.appliance.workbench.test_evaluate_command import squares
from tests.engines.workbench import networks

HAS_TORCH = importlib.util.find_spec("torch") is not None


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    folder = tmp_path / "frames"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(16):
        cv2.imwrite(str(folder / f"{number}.png"), random.integers(0, 256, (32, 32, 3), np.uint8))
    return folder


def added(bench: Bench, folder: Path, name: str, seed: int, *labels: str) -> None:
    path = networks.convolutions(folder / f"{name}.onnx", seed=seed)
    (folder / "labels.txt").write_text("\n".join(labels or ("a", "b", "c", "d")))
    bench.fine("add", path, "--task", "classify", "--scale", "0..1", "--labels", folder / "labels.txt")


@pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is not installed: the train extra has it")
def test_a_small_model_is_taught_by_a_large_one(bench: Bench, frames: Path, tmp_path: Path) -> None:
    added(bench, tmp_path, "small", 1)
    added(bench, tmp_path, "large", 2)
    said = bench.fine(
        *("distill", "small", "--teacher", "large", "--frames", frames, "--rounds", "4", "--out", bench.out)
    )
    assert "small 2: agreement with large 1 on other frames: " in said
    facts = json.loads((bench.out / "distill.json").read_text())
    assert len(facts["losses"]) == 5
    assert (bench.library / "small" / "1").is_dir()


@pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is not installed: the train extra has it")
def test_a_student_that_agrees_less_with_its_teacher_is_reported_and_not_installed(
    bench: Bench, frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added(bench, tmp_path, "small", 1)
    added(bench, tmp_path, "large", 2)
    worse = Weighed(before_bytes=2, after_bytes=2, before_ms=1.0, after_ms=1.0, before=0.84, after=0.46)
    monkeypatch.setattr("engines.workbench.slimmer.weigh", lambda *_: worse)
    result = bench("distill", "small", "--teacher", "large", "--frames", frames, "--rounds", "4", "--out", bench.out)
    assert result.exit_code == 1
    assert "small 1: it says less of what large 1 says of other frames (84.00% -> 46.00%)" in result.stderr
    assert json.loads((bench.out / "distill.json").read_text())["after"] == 0.46
    assert not (bench.library / "small" / "2").exists()


@pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is not installed: the train extra has it")
def test_a_model_is_pruned_or_the_reason_is_said(bench: Bench, frames: Path, tmp_path: Path) -> None:
    added(bench, tmp_path, "net", 1)
    result = bench("prune", "net", "--frames", frames, "--share", "0.5", "--rounds", "3", "--out", bench.out)
    facts = json.loads((bench.out / "prune.json").read_text())
    assert facts["weights_after"] < facts["weights_before"]
    kept = (bench.library / "net" / "2").is_dir()
    assert result.exit_code == (0 if kept else 1), result.output
    assert kept or "nothing was installed" in result.stderr


@pytest.mark.skipif(HAS_TORCH, reason="PyTorch is installed")
def test_without_pytorch_the_extra_is_named(bench: Bench, frames: Path, tmp_path: Path) -> None:
    added(bench, tmp_path, "net", 1)
    words = "pip install 'edge-inference-appliance[train]'"
    assert words in bench.refused("prune", "net", "--frames", frames, "--out", bench.out, code=1)
    arguments = ("distill", "net", "--teacher", "net", "--frames", frames, "--out", bench.out)
    assert words in bench.refused(*arguments, code=1)


def test_a_teacher_with_other_labels_is_a_sentence(bench: Bench, frames: Path, tmp_path: Path) -> None:
    added(bench, tmp_path, "small", 1)
    added(bench, tmp_path, "large", 2, "a", "b", "c", "e")
    sentence = bench.refused("distill", "small", "--teacher", "large", "--frames", frames, "--out", bench.out)
    assert sentence == "large has other labels than small: only one of them knows d, e"
    assert not (bench.library / "small" / "2").exists()


@pytest.mark.parametrize(
    "verb", [("prune", "shapes"), ("distill", "shapes", "--teacher", "shapes")], ids=lambda v: v[0]
)
def test_frames_that_show_nothing_are_refused_before_hours_of_teaching(
    verb: tuple[str, ...], bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taught(*_: object) -> None:
        pytest.fail("it was taught before somebody asked what it can be judged by")

    monkeypatch.setattr("engines.workbench.trainable.pytorch", lambda: None)
    monkeypatch.setattr("engines.workbench.distill.teach", taught)
    for number in range(8):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((192, 320, 3), 90, np.uint8))
    sentence = bench.refused(*verb, "--frames", tmp_path, "--out", bench.out)
    assert sentence.startswith("shapes finds nothing in these frames, so nothing can be judged")


@pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is not installed: the train extra has it")
@pytest.mark.parametrize("verb", [("prune", "net"), ("distill", "net", "--teacher", "net")], ids=lambda v: v[0])
def test_a_network_that_cannot_be_trained_is_refused_before_every_frame_is_gone_through(
    verb: tuple[str, ...], bench: Bench, frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = networks.convolutions(tmp_path / "net.onnx")
    model = onnx.load(str(path))
    first, *others = model.graph.node
    first.output[0] = "before"
    del model.graph.node[:]
    model.graph.node.extend([first, onnx.helper.make_node("Softsign", ["before"], ["a"]), *others])
    onnx.save(model, str(path))
    labels = tmp_path / "labels.txt"
    labels.write_text("a\nb\nc\nd")
    bench.fine("add", path, "--task", "classify", "--scale", "0..1", "--labels", labels)
    monkeypatch.setattr("engines.workbench.distill.lessons", lambda *_: pytest.fail("it went through every frame"))
    sentence = bench.refused(*verb, "--frames", frames, "--out", bench.out)
    assert sentence == "it has operators that cannot be trained here: Softsign"


@pytest.mark.parametrize(
    "verb",
    [("quantize", "shapes"), ("prune", "shapes"), ("distill", "shapes", "--teacher", "shapes")],
    ids=lambda v: v[0],
)
def test_of_large_photos_only_what_the_model_sees_is_kept(
    verb: tuple[str, ...], bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[int] = []

    def compare(one: object, other: object, samples: list[npt.NDArray[np.uint8]]) -> None:
        kept.extend(sample.nbytes for sample in samples)
        raise WorkbenchError("that is all")

    monkeypatch.setattr("engines.workbench.trainable.pytorch", lambda: None)
    monkeypatch.setattr("engines.workbench.agreement.compare", compare)
    for number in range(8):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((1920, 3200, 3), 10 * number, np.uint8))
    assert bench.refused(*verb, "--frames", tmp_path, "--out", bench.out) == "that is all"
    spec = Catalogue.default().find("shapes").manifest.input
    assert isinstance(spec, ImageInput)
    assert kept
    assert max(kept) <= 3 * spec.width * spec.height


WORDS = {
    "prune": ("prune", "shapes", "--frames", "."),
    "distill": ("distill", "shapes", "--teacher", "shapes", "--frames", "."),
    "quantize": ("quantize", "shapes", "--frames", "."),
    "split": ("split", "shapes", "--suggest"),
}


@pytest.mark.parametrize("verb", WORDS)
def test_a_folder_that_is_there_already_is_refused_before_any_work(
    verb: str, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.catalogue.Catalogue.find", lambda *_: pytest.fail("it began to work"))
    result = bench(*WORDS[verb], "--out", tmp_path)
    assert (result.exit_code, "nothing is overwritten: name another folder" in result.stderr) == (2, True)


def test_a_teacher_that_is_no_model_and_missing_frames_are_sentences(bench: Bench, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"rubbish")
    data = squares(tmp_path / "data", 2)
    arguments = ("distill", "shapes", "--frames", data, "--out", bench.out)
    assert "not an ONNX model" in bench.refused(*arguments, "--teacher", broken)
    assert "pruning needs frames" in bench.refused("prune", "shapes", "--out", bench.out)
