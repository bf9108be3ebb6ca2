"""What health says of a routed pipeline."""

from __future__ import annotations

from dataclasses import dataclass, field

from appliance.remote.settings import Side


@dataclass(frozen=True, slots=True)
class RoutedFigures:
    """A picture of one moment, made on the router's thread."""

    side: Side | None = None
    """Who answered last; absent before the first answer, and while nobody can."""
    reasons: tuple[str, ...] = ()
    """What is not as it should be, a sentence each."""
    service: str = "not asked yet"
    """How the service stands, in words."""
    breaker: str = "closed"
    breaker_opened: int = 0
    trusted: bool = True
    """Whether the local engine is counted on."""
    distrust: str = ""
    answered: dict[str, int] = field(default_factory=dict)
    """Results by side."""
    failed: int = 0
    decisions: dict[str, int] = field(default_factory=dict)
    """`<place>: <cause>`, such as `remote: over budget`: how often."""
    questions: int = 0
    hedged: int = 0
    """Samples whose second choice was tried because the first took long."""
    late: int = 0
    """Local answers after the deadline; those of services are in `remote.late`."""
    unused: int = 0
    """Answers in time that were not needed any more."""
    dropped: int = 0
    """Samples that gave way to newer ones after the router had taken them."""
    kept: int = 0
    """Failed samples that wait to be answered later."""
    answered_late: int = 0
    given_up: int = 0
    """Kept samples that gave way to newer ones, or that the service would not answer either."""
    round_trip_p50_ms: float | None = None
    round_trip_p95_ms: float | None = None
