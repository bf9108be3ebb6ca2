"""What a hand-over from one version to the next has cost, as its results tell it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

AROUND_S = 0.5
"""Before the last result of the old version and after the first of the new one."""
BEFORE_S = 5.0
"""So long before that, nobody was handing over."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """Between two results that follow each other and name different versions. `usual`: the worst of the seconds before,
    which is what the machine makes of it without a hand-over."""

    lost: int
    """Pictures without an answer."""
    usual_lost: int
    """Between two results."""
    gap_ms: float
    """The longest between two answers."""
    usual_gap_ms: float


def hand_overs(results: Sequence[Any]) -> list[HandOver]:
    """Of the results of one pipeline, in the order of their pictures."""
    done_s = [_done_s(result) for result in results]
    lost = [new["seq"] - old["seq"] - 1 for old, new in pairwise(results)]
    gaps_ms = [round((new - old) * 1000, 1) for old, new in pairwise(done_s)]

    def worst(values: Sequence[float], begin_s: float, end_s: float) -> Any:
        """Of what lies between two results of this time."""
        return max((v for v, at_s in zip(values, done_s, strict=False) if begin_s <= at_s < end_s), default=0)

    found = []
    for at, (old, new) in enumerate(pairwise(results)):
        if old["model"]["version"] == new["model"]["version"]:
            continue
        begin_s, end_s = done_s[at] - AROUND_S, done_s[at + 1] + AROUND_S
        usual = begin_s - BEFORE_S, begin_s
        found.append(
            HandOver(lost[at], worst(lost, *usual), worst(gaps_ms, begin_s, end_s), worst(gaps_ms, *usual)),
        )
    return found


def _done_s(result: Any) -> float:
    """When the model had answered, by the clock of the appliance."""
    captured = datetime.fromisoformat(result["captured_at"].replace("Z", "+00:00"))
    return captured.timestamp() + float(result["latency_ms"]["total"]) / 1000
