"""What became of a pipeline's samples, in numbers: for metrics."""

from __future__ import annotations

from collections import Counter
from typing import Literal, TypeAlias

from appliance.histogram import Histogram
from appliance.result import Latency

Failure: TypeAlias = Literal["misfit", "no engine", "timeout", "engine error", "nobody in time"]
"""Why there was no answer. `misfit`: its model can never answer its source; `nobody in time`: neither the device nor a
service did before the deadline."""

STAGES = ("capture", "wait", "prepare", "infer", "decode", "travel")
"""As a result names them."""
AS_MS = 1e-3


class Tally:
    """Filled by the thread that publishes; any may read."""

    __slots__ = ("answered", "failures", "stages", "total")

    def __init__(self) -> None:
        self.answered: Counter[Literal["local", "remote"]] = Counter()
        self.failures: Counter[Failure] = Counter()
        self.stages = {stage: Histogram() for stage in STAGES}
        self.total = Histogram()
        """From the grab (sound: the last sample) to the result."""

    def answer(self, answered_by: str, latency: Latency) -> None:
        """A valid answer. The name of a service is no name for a metric: there may be any number of them."""
        self.answered["local" if answered_by == "local" else "remote"] += 1
        stages = self.stages
        stages["capture"].add(latency.capture * AS_MS)
        stages["wait"].add(latency.wait * AS_MS)
        stages["prepare"].add(latency.prepare * AS_MS)
        stages["infer"].add(latency.infer * AS_MS)
        stages["decode"].add(latency.decode * AS_MS)
        if latency.travel is not None:
            stages["travel"].add(latency.travel * AS_MS)
        self.total.add(latency.total * AS_MS)
