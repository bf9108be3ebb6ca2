"""How far two sets of arrays are apart, also where they hold what is no number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.workbench.tensors import largest_difference, noise, recorded
from tests.engines import models
from tests.engines.workbench import networks

NAN, INF = float("nan"), float("inf")
APART: dict[str, tuple[list[float], list[float], float]] = {
    "the same": ([1, -2], [1, -2], 0),
    "small values count as they are": ([0.5, 0], [0.25, 0], 0.25),
    "above 1 by the largest of the first": ([100, 0], [100, 1], 0.01),
    "nothing": ([], [], 0),
    "nan in the second": ([1, 1], [1, NAN], INF),
    "nan in the first": ([NAN, 1], [1, 1], INF),
    "an infinity for a number": ([1, 1], [1, INF], INF),
    "the other infinity": ([INF], [-INF], INF),
    "nan in both": ([NAN, 1], [NAN, 0.5], 0.5),
    "the same infinity in both": ([-INF, 2], [-INF, 1], 0.5),
    "other shapes": ([1, 1], [1], INF),
}


@pytest.mark.parametrize("case", APART)
def test_the_largest_difference_is_infinite_where_one_is_no_number(case: str) -> None:
    one, other, expected = APART[case]
    found = largest_difference({"y": np.array(one, np.float32)}, {"y": np.array(other, np.float32)})
    assert found == pytest.approx(expected)


def test_the_worst_of_all_arrays_counts_whatever_their_order() -> None:
    good, bad = np.ones(3, np.float32), np.full(3, NAN, np.float32)
    assert largest_difference({"a": good, "b": good}, {"a": bad, "b": good}) == INF
    assert largest_difference({"a": good, "b": good}, {"a": good, "b": bad}) == INF


def test_only_the_side_that_is_asked_for_is_kept(tmp_path: Path) -> None:
    of = models.manifest("classify", models.pictures(32, 32, fit="stretch"), "abcd", name="classify", threshold=0)
    bundle = models.bundle(of, networks.convolutions(tmp_path / "net.onnx"))
    samples = noise(of.input, 3)
    [given], [made] = recorded(bundle, samples, "given"), recorded(bundle, samples, "made")
    assert [set(each) for each in given] == [{"x"}] * 3
    assert [each["y"].shape for each in made] == [(1, 4)] * 3
