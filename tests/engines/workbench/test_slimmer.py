"""A model whose last stage was retrained brings nothing along that tells of the network before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from appliance.sync.inspection import Unfit, attempt
from engines.bundle import Bundle, write_bundle
from engines.digest import of_file
from engines.library import Library
from engines.workbench import compare, slimmer
from tests.engines import models
from tests.engines.workbench import networks

Arrays = dict[str, npt.NDArray[Any]]


def outside(path: Path, weights: str) -> Path:
    """The same network with its weights in another file."""
    model = onnx.load(str(path))
    onnx.save(model, str(path), save_as_external_data=True, location=weights, size_threshold=0)
    return path


@pytest.fixture
def old(tmp_path: Path) -> Bundle:
    """With weights outside, golden files, a model card and a licence."""
    folder = tmp_path / "old"
    folder.mkdir()
    sources = {"net.onnx": outside(networks.convolutions(folder / "net.onnx"), "weights.bin")}
    golden: Arrays = {"x": np.random.default_rng(0).random((1, 3, 32, 32), np.float32)}
    np.savez(folder / "input.npz", allow_pickle=False, **golden)
    np.savez(folder / "output.npz", allow_pickle=False, y=np.array([[0.25, 0.25, 0.25, 0.25]], np.float32))
    (folder / "card").write_text("# 97 % are right\n")
    sources |= {f"golden/{name}.npz": folder / f"{name}.npz" for name in ("input", "output")}
    sources |= {"MODEL_CARD.md": folder / "card", "NOTICE": folder / "card", "weights.bin": folder / "weights.bin"}
    of = models.manifest("classify", models.pictures(32, 32, fit="stretch"), "abcd", name="classify", threshold=0)
    document = of.model_dump(by_alias=True)
    document["stages"] = [{"name": "main", "file": "net.onnx", "digest": of_file(sources["net.onnx"])}]
    document["files"] = {name: of_file(path) for name, path in sources.items() if name != "net.onnx"}
    return write_bundle(tmp_path / "bundle", type(of).model_validate(document), sources)


def retrained(old: Bundle, folder: Path) -> Bundle:
    made = slimmer.with_last_stage(old, networks.convolutions(folder / "new.onnx", seed=7), "taught by somebody")
    return Library(folder / "library").install(made.manifest, made.files).bundle


def test_golden_outputs_are_made_anew_so_that_a_device_takes_the_model(old: Bundle, tmp_path: Path) -> None:
    new = Bundle.open(retrained(old, tmp_path).folder)
    assert new.manifest.files["golden/input.npz"] == old.manifest.files["golden/input.npz"]
    with pytest.raises(Unfit, match="off the golden ones"):
        attempt(old.folder, lambda: False)
    assert attempt(new.folder, lambda: False).distance == pytest.approx(0, abs=1e-6)


def test_model_card_and_weights_of_the_network_before_are_gone_and_the_licence_stays(
    old: Bundle, tmp_path: Path
) -> None:
    new = retrained(old, tmp_path)
    assert set(new.manifest.files) == {"NOTICE", "golden/input.npz", "golden/output.npz"}
    assert new.manifest.about["made"] == "taught by somebody, where MODEL_CARD.md is"


def test_golden_inputs_that_never_fitted_cost_the_golden_outputs_alone(old: Bundle, tmp_path: Path) -> None:
    wrong: Arrays = {"x": np.zeros((1, 3, 8, 8), np.float32)}
    np.savez(old.files["golden/input.npz"], allow_pickle=False, **wrong)
    made = slimmer.with_last_stage(old, networks.convolutions(tmp_path / "new.onnx", seed=7), "taught by somebody")
    assert "golden/output.npz" not in made.files
    assert "golden/input.npz" in made.files


def test_sizes_count_the_weights_in_other_files(old: Bundle, tmp_path: Path) -> None:
    inside = networks.convolutions(tmp_path / "inside.onnx")
    probe: Arrays = {"x": np.zeros((1, 3, 32, 32), np.float32)}
    weighed = slimmer.weigh(old, inside, probe, lambda _: 1.0, before=0.5)
    assert weighed.before == 0.5
    assert weighed.before_bytes == pytest.approx(weighed.after_bytes, rel=0.1)
    assert compare.size(old) == weighed.before_bytes
