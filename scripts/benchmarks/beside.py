"""The age of answers while something is at work beside the pipeline, and while it is not, in turns of one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from scripts.benchmarks.bench import Bench
from scripts.benchmarks.goals import Figure
from scripts.benchmarks.material import Unavailable
from scripts.benchmarks.running import Running, cpu_s_of
from scripts.benchmarks.subscriber import Subscriber, between
from scripts.benchmarks.timing import percentile

DRAWS = 400
MARGIN_S = 0.5
"""After something has begun or ended."""


@dataclass(frozen=True, slots=True)
class Ages:
    """Of one round."""

    ms: list[float]
    """From the picture handed over to the answer, each."""
    cores: float
    """In use by the appliance."""


@dataclass(slots=True)
class Turns:
    """As many rounds of the one as of the other, each beside one of the other."""

    alone: list[Ages] = field(default_factory=list)
    beside: list[Ages] = field(default_factory=list)

    def figure(self, goal: str, what: str, most: float, name: str) -> Figure:
        """The 99th percentile of a round, beside it over alone, each in the middle of its rounds: what else the machine
        does comes in bursts, and one burst holds more than a hundredth of all answers. `name`: of what is beside, in
        the details, where the percentiles are of all answers."""
        pairs = list(zip(self.alone, self.beside, strict=True))
        least, highest = _spread(pairs)
        details = {
            "alone_p50_ms": percentile(_all(self.alone), 50),
            "alone_p99_ms": percentile(_all(self.alone), 99),
            f"{name}_p50_ms": percentile(_all(self.beside), 50),
            f"{name}_p99_ms": percentile(_all(self.beside), 99),
            "rounds": len(pairs),
            "least_ratio": least,
            "most_ratio": highest,
            "alone_cores": sum(each.cores for each in self.alone) / len(pairs),
            f"{name}_cores": sum(each.cores for each in self.beside) / len(pairs),
        }
        return Figure(goal, what, _ratio(pairs), "x", most=most, details=details)


def ages(bench: Bench, subscriber: Subscriber, running: Running) -> Ages:
    """Of one round that begins now; raises Unavailable when nothing is answered."""
    time.sleep(MARGIN_S)
    start_ns, cpu_s = time.time_ns(), cpu_s_of(running.pid)
    time.sleep(bench.extent.latency_s)
    end_ns, cpu_s = time.time_ns(), cpu_s_of(running.pid) - cpu_s
    heard = between(subscriber.heard(), start_ns, end_ns)
    found = [(each.done_ns - each.ready_ns) / 1e6 for each in heard if each.fields.get("status") == "ok"]
    if not found:
        raise Unavailable("no results came")
    return Ages(found, cpu_s / ((end_ns - start_ns) / 1e9))


def _all(rounds: Sequence[Ages]) -> list[float]:
    return [age for each in rounds for age in each.ms]


def _ratio(pairs: Sequence[tuple[Ages, Ages]]) -> float:
    alone, beside = (
        statistics.median(percentile(each.ms, 99) for each in rounds) for rounds in zip(*pairs, strict=True)
    )
    return beside / alone


def _spread(pairs: Sequence[tuple[Ages, Ages]]) -> tuple[float, float]:
    """Between which ratios nine of ten lie when rounds, as pairs, are drawn again and again from those that were."""
    chance = Random(0)  # noqa: S311  # draws rounds, guards nothing
    ratios = [_ratio(chance.choices(pairs, k=len(pairs))) for _ in range(DRAWS)]
    return percentile(ratios, 5), percentile(ratios, 95)
