"""The traces of a device: of its results, of their publishing, and what services are told of them."""

from __future__ import annotations

from appliance.result import Result, utc
from appliance.traces.collector import Collector, now_ns
from appliance.traces.identity import of_sample
from appliance.traces.spans import identity, of_publishing, of_result
from capture.samples import Frame, Sample


class DeviceTraces:
    """Its methods are for any thread, and never block."""

    def __init__(self, collector: Collector, device: str) -> None:
        self.collector = collector
        self._device = device

    def shown(self, result: Result, _sample: Sample | None) -> None:
        """A result was made."""
        if self._recorded(result):
            at_ns = now_ns()
            self.collector.put(lambda: of_result(result, at_ns))

    def sent(self, result: Result) -> None:
        """It was written to the connection."""
        if self._recorded(result):
            at_ns = now_ns()
            self.collector.put(lambda: [span for span in (of_publishing(result, at_ns),) if span is not None])

    def header(self, pipeline: str, frame: Frame) -> str | None:
        """What a question about this picture carries; None when its trace is not recorded."""
        whose = of_sample(self._device, pipeline, frame.source, frame.seq, utc(frame.stamp.unix_ns))
        return whose.header if whose.sampled(self.collector.share) else None

    def _recorded(self, result: Result) -> bool:
        """One that is answered late was traced when it failed."""
        return result.late is None and identity(result).sampled(self.collector.share)
