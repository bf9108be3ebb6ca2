"""A model that is not what it says: every verb of the workbench refuses it in a sentence and leaves nothing."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.digest import of_file
from tests.appliance.workbench.bench import Bench
from tests.appliance.workbench.test_evaluate_command import squares
from tests.engines import models
from tests.engines.workbench import networks
from tests.networks import tensor, write

HAS_TORCH = importlib.util.find_spec("torch") is not None
SENTENCES = {
    "the file is rubbish": "not an ONNX model",
    "the file was changed": "is damaged or was changed",
    "the file is missing": "net.onnx is missing",
    "more classes than labels": "has shape (4), expected (3)",
    "it takes smaller pictures": "has shape (1, 3, 64, 64), expected (1, 3, 32, 32)",
    "the output is a word": "tensor(string), which cannot be used",
    "it says nan": "holds NaN",
}
VERBS = {
    "explain": ("explain", "{model}", "{data}/0.png", "--masks", "20", "--out", "{out}"),
    "evaluate": ("evaluate", "{model}", "{data}", "--out", "{out}"),
    "compare": ("compare", "{model}", "{model}", "{data}", "--out", "{out}"),
    "quantize": ("quantize", "{model}", "--frames", "{data}", "--out", "{out}"),
    "suggest": ("split", "{model}", "--suggest", "--frames", "{data}", "--out", "{out}"),
    "split": ("split", "{model}", "c", "--frames", "{data}", "--out", "{out}"),
    "export": ("export", "{model}", "{out}"),
}
if HAS_TORCH:  # the train extra
    VERBS["prune"] = ("prune", "{model}", "--frames", "{data}", "--rounds", "1", "--out", "{out}")
    VERBS["distill"] = ("distill", "{model}", "--teacher", "{model}", "--frames", "{data}", "--out", "{out}")


def honest(folder: Path, labels: tuple[str, ...] = ("a", "b", "c", "d"), size: int = 32) -> dict[str, Any]:
    """A bundle in `folder`, and its manifest as a document."""
    folder.mkdir()
    path = networks.convolutions(folder / "net.onnx")
    of = models.manifest("classify", models.pictures(size, size, fit="stretch"), labels, name="classify", threshold=0)
    document: dict[str, Any] = of.model_dump(mode="json", by_alias=True)
    document["stages"] = [{"name": "only", "file": "net.onnx", "digest": of_file(path)}]
    return document


def rubbish(folder: Path) -> dict[str, Any]:
    document = honest(folder)
    (folder / "net.onnx").write_bytes(b"rubbish" * 99)
    document["stages"][0]["digest"] = of_file(folder / "net.onnx")
    return document


def changed(folder: Path) -> dict[str, Any]:
    document = honest(folder)
    networks.convolutions(folder / "net.onnx", seed=1)
    return document


def missing(folder: Path) -> dict[str, Any]:
    document = honest(folder)
    (folder / "net.onnx").unlink()
    return document


def wordy(folder: Path) -> dict[str, Any]:
    """Its output is text."""
    from onnx import TensorProto, helper

    document = honest(folder)
    nodes = [
        helper.make_node("Relu", ["x"], ["c"]),
        helper.make_node("ReduceMean", ["c"], ["d"], axes=[2, 3], keepdims=0),
        helper.make_node("Cast", ["d"], ["y"], to=TensorProto.STRING),
    ]
    out = helper.make_tensor_value_info("y", TensorProto.STRING, [1, 3])
    write(folder / "net.onnx", nodes, [tensor("x", [1, 3, 32, 32])], [out])
    document["labels"] = ["a", "b", "c"]
    document["stages"][0]["digest"] = of_file(folder / "net.onnx")
    return document


def undecided(folder: Path) -> dict[str, Any]:
    """Its scores are not numbers."""
    from onnx import helper

    document = honest(folder)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("ReduceMean", ["c"], ["d"], axes=[2, 3], keepdims=0),
        helper.make_node("Mul", ["d", "nan"], ["y"]),
    ]
    weights = {"w": np.ones((4, 3, 1, 1), np.float32), "nan": np.array([np.nan], np.float32)}
    write(folder / "net.onnx", nodes, [tensor("x", [1, 3, 32, 32])], [tensor("y", [1, 4])], weights=weights)
    document["stages"][0]["digest"] = of_file(folder / "net.onnx")
    return document


LIARS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "the file is rubbish": rubbish,
    "the file was changed": changed,
    "the file is missing": missing,
    "more classes than labels": lambda folder: honest(folder, ("a", "b", "c")),
    "it takes smaller pictures": lambda folder: honest(folder, size=64),
    "the output is a word": wordy,
    "it says nan": undecided,
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("lie", LIARS)
def test_a_model_that_is_not_what_it_says_is_a_sentence(verb: str, lie: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    folder = tmp_path / "liar"
    document = LIARS[lie](folder)
    (folder / "bundle.json").write_text(json.dumps(document))
    (folder / "labels.txt").write_text("\n".join(document["labels"]) + "\n")
    data = squares(tmp_path / "data", 4)
    if verb == "evaluate":
        data = tmp_path / "classes"
        squares(data / "a", 2)
        for text in (data / "a").glob("*.txt"):
            text.unlink()
    before = {path for path in tmp_path.rglob("*") if bench.library not in path.parents}
    words = [word.format(model=folder, data=data, out=bench.out) for word in VERBS[verb]]
    result = bench(*words)
    assert result.exit_code in (1, 2), result.output
    assert isinstance(result.exception, SystemExit)
    sentence = result.stderr.strip().splitlines()[-1]
    assert sentence.startswith("Error: ")
    assert SENTENCES[lie] in sentence.replace(str(tmp_path), "")
    assert not list(bench.library.glob("*/*"))
    after = {path for path in tmp_path.rglob("*") if bench.library not in path.parents}
    assert after - before <= {bench.library}
