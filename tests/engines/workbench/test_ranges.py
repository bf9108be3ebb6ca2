"""Ranges of tensors: the same as ONNX Runtime finds with all samples at once, from one sample at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnxruntime.quantization import calibrate  # type: ignore[import-untyped]  # it ships no types

from engines.engine import Array
from engines.workbench.ranges import METHODS, ranges
from tests.engines.workbench import networks

KINDS = ["Conv", "MatMul", "Relu"]


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """Four convolutions and a product, all shapes known."""
    path = networks.convolutions(tmp_path / "net.onnx")
    onnx.save(onnx.shape_inference.infer_shapes(onnx.load(str(path))), str(path))
    return path


def samples(*brightness: float) -> list[dict[str, Array]]:
    """A picture of each of these brightnesses."""
    random = np.random.default_rng(0)
    return [{"x": each * random.random((1, 3, networks.SIZE, networks.SIZE), np.float32)} for each in brightness]


class AllAtOnce:
    """The reader that ONNX Runtime's examples give."""

    def __init__(self, inputs: list[dict[str, Array]]) -> None:
        self._rest = iter(inputs)

    def get_next(self) -> dict[str, Array] | None:
        return next(self._rest, None)


def at_once(network: Path, inputs: list[dict[str, Array]], method: str, *, symmetric: bool) -> Any:
    calibrator = calibrate.create_calibrator(
        network,
        KINDS,
        augmented_model_path=str(network.with_name("reference.onnx")),
        calibrate_method=calibrate.CalibrationMethod[METHODS[method]],
        extra_options={"symmetric": symmetric},
    )
    calibrator.collect_data(AllAtOnce(inputs))
    return calibrator.compute_data()


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("brightness", [(1.0, 0.7, 0.9), (1e-7, 1.0, 1e-3), (0.0, 0.5, 0.6)])
def test_the_ranges_are_those_of_all_samples_at_once(
    network: Path, method: str, symmetric: bool, brightness: tuple[float, ...]
) -> None:
    inputs = samples(*brightness)
    found = ranges(network, inputs, method, KINDS, symmetric=symmetric, folder=network.parent)
    expected = at_once(network, inputs, method, symmetric=symmetric)
    assert set(found.keys()) == set(expected.keys())
    assert len(found.keys()) > 8
    for name, each in expected.items():
        wanted = np.ravel(each.range_value)
        bin_width = 2 * np.abs(wanted).max() / 2048
        np.testing.assert_allclose(np.ravel(found[name].range_value), wanted, rtol=0, atol=bin_width, err_msg=name)


@pytest.mark.parametrize("method", ["entropy", "percentile"])
def test_tensors_of_one_sample_at_a_time_are_kept(
    network: Path, method: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept: list[int] = []
    collect = calibrate.HistogramCollector.collect

    def counted(collector: Any, given: dict[str, Any]) -> None:
        kept.extend(len(each) for each in given.values() if isinstance(each, list))
        collect(collector, given)

    monkeypatch.setattr(calibrate.HistogramCollector, "collect", counted)
    ranges(network, samples(*[1.0] * 5), method, KINDS, symmetric=False, folder=network.parent)
    assert set(kept) == {1}
    assert capsys.readouterr().out == ""
