"""What a variant may cost."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from appliance.cli.workbench.distill import _refusal as _refusal_to_teach
from appliance.cli.workbench.prune import _refusal
from engines.workbench.slimmer import Weighed
from engines.workbench.trial import _distance, loses


@pytest.mark.parametrize(
    ("before", "after", "worse"),
    [(0.964, 0.954, False), (0.964, 0.953, True), (0.964, 0.97, False), (0.29, 0.28, False)],
)
def test_a_loss_of_exactly_what_is_tolerated_is_tolerated(before: float, after: float, worse: bool) -> None:
    assert loses(before, after, 0.01) is worse


@pytest.mark.parametrize(("after", "refused"), [(0.954, False), (0.953, True)])
def test_pruning_may_lose_exactly_what_is_tolerated(after: float, refused: bool) -> None:
    weighed = Weighed(before_bytes=2, after_bytes=1, before_ms=2.0, after_ms=1.0, before=0.964, after=after)
    assert bool(_refusal(weighed, 0.01)) is refused


@pytest.mark.parametrize(
    ("after", "learnt", "words"),
    [
        (0.85, True, ""),
        (0.84, True, ""),
        (0.46, True, "less of what large 1 says of other frames (84.00% -> 46.00%)"),
        (0.84, False, "it learnt nothing from large 1"),
    ],
)
def test_a_student_that_agrees_less_with_its_teacher_is_refused(after: float, learnt: bool, words: str) -> None:
    weighed = Weighed(before_bytes=2, after_bytes=2, before_ms=1.0, after_ms=1.0, before=0.84, after=after)
    refusal = _refusal_to_teach(weighed, "large 1", learnt=learnt)
    assert words in refusal
    assert bool(refusal) == bool(words)


@pytest.mark.parametrize(
    ("found", "distance"),
    [([[1.0, 3.0]], 0.0), ([[2.0, 4.0]], 1.0), ([[1.0, 3.0], [1.0, 3.0]], math.inf), ([[math.nan, 3.0]], math.inf)],
)
def test_other_rows_and_no_numbers_are_infinitely_far(found: Any, distance: float) -> None:
    expected = {"y": np.array([[1, 3]], np.float32)}
    assert _distance(expected, {"y": np.array(found, np.float32)}) == distance


def test_outputs_without_rows_are_the_same() -> None:
    assert _distance({"y": np.zeros((0, 4), np.float32)}, {"y": np.zeros((0, 4), np.float32)}) == 0.0
