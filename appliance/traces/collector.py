"""Hands spans to an OpenTelemetry collector: whoever measures leaves word here and goes on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from appliance.config_errors import ConfigError
from appliance.info import appliance_version
from appliance.mailbox import Mailbox
from appliance.secret import token
from appliance.traces.settings import Traces
from appliance.traces.spans import Span

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

logger = logging.getLogger(__name__)

MOST_WAITING = 2048
"""Samples and questions. When the collector is away the oldest give way."""
EVERY_S = 1.0
TIMEOUT_S = 5.0
"""Of one delivery, its repetitions included."""

Made: TypeAlias = "Callable[[], Iterable[Span]]"
"""Makes the spans, on the thread that delivers them."""


class Collector:
    """`put` is for any thread and never blocks; `run` is the body of the thread `traces`."""

    def __init__(self, settings: Traces, service: str, instance: str) -> None:
        """`service`, `instance`: who we are, to the collector. Raises ConfigError: without the extra `otel`, or when a
        secret cannot be read."""
        self.share = settings.share
        self.delivered = 0
        """Spans."""
        self.lost = 0
        """Spans that the collector did not take."""
        self._settings = settings
        self._service = service
        self._instance = instance
        self._waiting: Mailbox[Made] = Mailbox(MOST_WAITING)
        self._exporter = self._make_exporter()
        self._trouble = ""
        self._words = _LastWords()

    @property
    def dropped(self) -> int:
        """Samples and questions that gave way to newer ones."""
        return self._waiting.dropped

    def put(self, made: Made) -> None:
        self._waiting.put(made)

    def run(self, stopping: threading.Event) -> None:
        """Until `stopping`; what waits then is given one more chance."""
        convert = self._converter()
        its_logger = logging.getLogger("opentelemetry.exporter")
        its_logger.addFilter(self._words)
        for each in _loggers_below("opentelemetry.exporter"):
            each.addFilter(self._words)
        try:
            while not stopping.wait(EVERY_S):
                self._deliver(convert)
            self._deliver(convert)
        finally:
            self._exporter.shutdown()

    def _deliver(self, convert: Callable[[Span], ReadableSpan]) -> None:
        from opentelemetry.sdk.trace.export import SpanExportResult

        spans = [convert(span) for made in self._waiting.take_all(0) for span in made()]
        if not spans:
            return
        if self._exporter.export(spans) is SpanExportResult.SUCCESS:
            self.delivered += len(spans)
            if self._trouble:
                logger.info("traces: %s takes them again", self._settings.endpoint)
            self._trouble = ""
            return
        self.lost += len(spans)
        if not self._trouble:
            self._trouble = self._words.last or "no reason was given"
            logger.warning("traces: %s does not take them: %s", self._settings.endpoint, self._trouble)

    def _make_exporter(self) -> SpanExporter:
        try:
            from opentelemetry.exporter.otlp.proto.http import Compression
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        except ImportError as error:
            raise ConfigError(
                '[traces]: they need more packages: pip install "edge-inference-appliance[otel]"'
            ) from error
        settings = self._settings
        headers = {"authorization": f"Bearer {token(settings.token_file)}"} if settings.token_file else {}
        return OTLPSpanExporter(
            endpoint=settings.endpoint,
            certificate_file=None if settings.ca_file is None else str(settings.ca_file),
            headers=headers,
            timeout=TIMEOUT_S,
            compression=Compression.Gzip,
        )

    def _converter(self) -> Callable[[Span], ReadableSpan]:
        """From ours to the library's."""
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

        version = appliance_version()
        who: dict[str, Any] = {
            "service.name": self._service,
            "service.instance.id": self._instance,
            "service.version": version,
        }
        resource, scope = Resource(who), InstrumentationScope("edge-inference-appliance", version)
        kinds = {"internal": SpanKind.INTERNAL, "server": SpanKind.SERVER}
        flags = TraceFlags(TraceFlags.SAMPLED)

        def convert(span: Span) -> ReadableSpan:
            context = SpanContext(span.trace, span.number, is_remote=False, trace_flags=flags)
            remote = span.kind == "server"
            parent = None if span.parent is None else SpanContext(span.trace, span.parent, remote, flags)
            return ReadableSpan(
                span.name,
                context,
                parent,
                resource,
                span.attributes,
                kind=kinds[span.kind],
                status=Status(StatusCode.ERROR, span.failed) if span.failed else Status(),
                start_time=span.start_ns,
                end_time=span.end_ns,
                instrumentation_scope=scope,
            )

        return convert


class _LastWords(logging.Filter):
    """The library tells every failed attempt: we say once that it fails, and why."""

    last = ""

    def filter(self, record: logging.LogRecord) -> bool:
        self.last = record.getMessage().splitlines()[0]
        return False


def _loggers_below(name: str) -> Iterator[logging.Logger]:
    """A logger's filter does not see what those below it say."""
    for known in list(logging.root.manager.loggerDict):
        if known.startswith(f"{name}."):
            yield logging.getLogger(known)


def now_ns() -> int:
    """Unix nanoseconds, as spans have them."""
    return time.time_ns()
