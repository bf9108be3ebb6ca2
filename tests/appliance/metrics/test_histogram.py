"""Classes of times."""

from __future__ import annotations

import pytest

from appliance.histogram import BOUNDS_S, Histogram


def test_a_time_counts_in_the_first_class_whose_end_it_does_not_pass() -> None:
    histogram = Histogram()
    for seconds in (0.0, BOUNDS_S[0], BOUNDS_S[0] * 1.01, BOUNDS_S[-1], BOUNDS_S[-1] + 1, -0.001):
        histogram.add(seconds)
    assert histogram.counts[0] == 3
    assert histogram.counts[1] == 1
    assert histogram.counts[-2:] == (1, 1)
    assert sum(histogram.counts) == 6
    assert histogram.sum_s == pytest.approx(11.0, abs=0.01)
