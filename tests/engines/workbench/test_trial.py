"""What a variant may cost."""

from __future__ import annotations

import pytest

from engines.workbench.trial import loses


@pytest.mark.parametrize(
    ("before", "after", "worse"),
    [(0.964, 0.954, False), (0.964, 0.953, True), (0.964, 0.97, False), (0.29, 0.28, False)],
)
def test_a_loss_of_exactly_what_is_tolerated_is_tolerated(before: float, after: float, worse: bool) -> None:
    assert loses(before, after, 0.01) is worse
