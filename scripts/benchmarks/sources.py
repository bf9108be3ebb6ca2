"""C4: one, two, four, eight cameras on one engine."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from appliance.mqtt.broker import BrokerMissingError, LocalBroker
from scripts.benchmarks.bench import Bench
from scripts.benchmarks.goals import Figure, missing
from scripts.benchmarks.latency import bare_p50_ms
from scripts.benchmarks.running import Running, configuration, cpu_s_of, memory_mb_of
from scripts.benchmarks.subscriber import Subscriber, between
from scripts.benchmarks.timing import middle, percentile

GOALS = ("C4",)
FPS = 30.0
JUDGED = 4
"""The goals are for so many cameras; the other numbers are to compare with."""
SHARE, UNFAIRNESS, GROWTH = 0.90, 1.1, 1.05


def measure(bench: Bench) -> list[Figure]:
    try:
        with LocalBroker() as broker:
            return [figure for count in bench.extent.cameras for figure in _cameras(bench, broker.url, count)]
    except BrokerMissingError as error:
        return [missing("C4", "everything", str(error))]


@dataclass(frozen=True, slots=True)
class Shared:
    """One round: cameras that share one engine."""

    share: float
    """Results over what the bare engine could make, just before and just after."""
    age_p99: float
    """In times of the bare engine."""
    unfairness: float
    """Results of the most over those of the least served camera."""
    growth: float
    """Memory at the end over the start."""
    details: Mapping[str, float]


def _cameras(bench: Bench, url: str, count: int) -> list[Figure]:
    """`count` films of 30/s through one detector of the small size; medians of the rounds."""
    judged = count == JUDGED
    rounds = [_round(bench, url, count) for _ in range(bench.extent.latency_rounds if judged else 1)]
    details = {name: middle([each.details[name] for each in rounds]) for name in rounds[0].details}
    details["least_share"] = min(each.share for each in rounds)
    details["most_share"] = max(each.share for each in rounds)
    share, age_p99, unfairness, growth = (
        middle(values)
        for values in zip(*((each.share, each.age_p99, each.unfairness, each.growth) for each in rounds), strict=True)
    )
    who = f"{count} camera{'s' if count > 1 else ''} at 30/s, {bench.extent.small}"
    what = f"{who}: share of what the bare engine could"
    return [
        Figure("C4", what, share, "", least=SHARE if judged else None, details=details),
        Figure("C4", f"{who}: age of a result, p99", age_p99, "x bare", most=count + 1.0 if judged else None),
        Figure("C4", f"{who}: most over least served camera", unfairness, "", most=UNFAIRNESS if judged else None),
        Figure("C4", f"{who}: memory at the end over the start", growth, "", most=GROWTH if judged else None),
    ]


def _round(bench: Bench, url: str, count: int) -> Shared:
    size = bench.extent.small
    bench.say(f"  {count} cameras")
    before_ms = bare_p50_ms(bench, size)
    film = f"file:{bench.material.film.resolve()}"
    config = configuration(url, bench.material.detector(size), [film] * count, threads=bench.threads)
    with Subscriber(urlsplit(url).port or 0) as subscriber, Running(bench.room("cameras"), config) as running:
        start_ns = subscriber.await_first() + int(bench.extent.settle_s * 1e9)
        time.sleep((start_ns - time.time_ns()) / 1e9)
        cpu_s, memory_mb = cpu_s_of(running.pid), memory_mb_of(running.pid)
        time.sleep(bench.extent.cameras_s)
        end_ns = time.time_ns()
        cpu_s, end_mb = cpu_s_of(running.pid) - cpu_s, memory_mb_of(running.pid)
        heard = [each for each in between(subscriber.heard(), start_ns, end_ns) if each.fields["status"] == "ok"]
        running.check()
    bare_ms = (before_ms + bare_p50_ms(bench, size)) / 2
    seconds = (end_ns - start_ns) / 1e9
    ages = [(each.done_ns - each.ready_ns) / 1e6 for each in heard]
    served = Counter(str(each.fields["pipeline"]) for each in heard)
    per_s = len(heard) / seconds
    p99 = percentile(ages, 99)
    details = {
        "per_s": per_s,
        "bare_per_s": 1e3 / bare_ms,
        "age_p50_ms": percentile(ages, 50),
        "age_p99_ms": p99,
        "cpu_ms_per_result": cpu_s * 1e3 / max(len(heard), 1),
        "cores": cpu_s / seconds,
        "memory_mb": end_mb,
    }
    return Shared(
        share=per_s / min(1e3 / bare_ms, count * FPS),
        age_p99=p99 / bare_ms,
        unfairness=max(served.values()) / min(served.values()) if len(served) == count else float("inf"),
        growth=end_mb / memory_mb,
        details=details,
    )
