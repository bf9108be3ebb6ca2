"""Between which values the tensors of a network lie, as ONNX Runtime's quantisation wants to know it."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engines.engine import Tensors
from engines.workbench.work import WorkbenchError

METHODS = {"minmax": "MinMax", "entropy": "Entropy", "percentile": "Percentile"}


class _Reader:
    """What ONNX Runtime's calibrators read."""

    def __init__(self, inputs: Sequence[Tensors]) -> None:
        self._rest: Iterator[Tensors] = iter(inputs)

    def get_next(self) -> dict[str, Any] | None:
        given = next(self._rest, None)
        return None if given is None else dict(given)

    def __iter__(self) -> _Reader:
        return self

    def __next__(self) -> dict[str, Any]:
        given = self.get_next()
        if given is None:
            raise StopIteration
        return given


def ranges(
    network: Path, inputs: Sequence[Tensors], method: str, kinds: Sequence[str], *, symmetric: bool, folder: Path
) -> Any:
    """TensorsData of what goes into and comes out of nodes of these `kinds`.

    `method`: of `METHODS`. `symmetric`: zero shall be in the middle. `folder`: for a temporary file. Raises
    WorkbenchError.
    """
    calibrate = importlib.import_module("onnxruntime.quantization.calibrate")
    augmented = folder / "augmented.onnx"

    def calibrator(method: str, symmetric: bool) -> Any:
        return calibrate.create_calibrator(
            network,
            kinds,
            augmented_model_path=str(augmented),
            calibrate_method=getattr(calibrate.CalibrationMethod, METHODS[method]),
            extra_options={"symmetric": symmetric},
        )

    try:
        with contextlib.redirect_stdout(None):  # it tells every step
            if method == "minmax":
                chosen = calibrator(method, symmetric)
                chosen.collect_data(_Reader(inputs))
            else:
                widest = calibrator("minmax", symmetric=False)
                widest.collect_data(_Reader(inputs))
                chosen = calibrator(method, symmetric)
                _collect_one_by_one(chosen, inputs, widest.compute_data())
            return chosen.compute_data()
    except OSError:
        raise
    except Exception as error:  # ONNX Runtime raises many types; this is the border
        raise WorkbenchError(f"the network cannot be calibrated: {error}") from error
    finally:
        augmented.unlink(missing_ok=True)


def _collect_one_by_one(calibrator: Any, inputs: Sequence[Tensors], widest: Any) -> None:
    """Fill the histograms with one sample after the other: ONNX Runtime keeps every tensor of all it is given at once.

    They begin empty and as wide as all samples together (`widest`) need. ONNX Runtime would make them as wide as the
    first sample needs and add bins of that size, which are millions where a dark picture comes first.
    """
    calibrator.collect_data(_Reader(inputs[:1]))  # makes the collector
    histograms = calibrator.collector.get_histogram_dict()
    histograms.clear()
    calibrator.collector.collect({name: _ends(*each.range_value) for name, each in widest.items()})
    for counts, *_ in histograms.values():
        counts[:] = 0
    for given in inputs:
        calibrator.collect_data(_Reader([given]))


def _ends(lowest: Any, highest: Any) -> Any:
    """Lowest, highest, and what is nearest to zero between them: all that decides where a histogram begins and ends."""
    return np.array([lowest, np.clip(np.zeros_like(lowest), lowest, highest), highest]).ravel()
