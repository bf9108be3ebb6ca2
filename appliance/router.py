"""Who answers a sample: the local engine, a model service, both, or nobody. Pure: a situation in, a decision out.

There is no clock, thread or socket here. What is remembered from one sample to the next (whether the engine has proved
itself again, whether the service answers) is in `remote/trust.py` and `remote/breaker.py`, and comes in as plain
values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Engine: TypeAlias = Literal["ready", "loading", "building", "missing", "broken"]
"""How the local engine is; `building`: it waits for a plan for the GPU, and nothing else runs the model meanwhile."""

Place: TypeAlias = Literal["local", "remote", "both", "none"]
"""`both`: the service answers, and the engine gets the sample as well, to show whether it can be trusted again."""

Cause: TypeAlias = Literal[
    "healthy", "asked for", "loading", "building", "missing", "broken", "over budget", "hot", "unsure"
]
"""Why the decision fell as it did, counted in health."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known when a sample has to go somewhere."""

    engine: Engine
    engine_words: str = ""
    """Why it is not ready, for a person."""
    engine_failed: str = ""
    """Why it could not answer this very sample, which it was given."""
    trusted: bool = True
    """It answers in its budget, and has done so for a while since it last did not."""
    distrust: str = ""
    """What it did last that it should not have."""
    due_for_a_try: bool = False
    """It is not trusted, idle, and has not been tried for a while."""
    hot_c: float | None = None
    """The temperature, while it is too high for the local engine."""
    doubtful_score: float | None = None
    """There is a local answer already, and this score of it is neither high nor low."""
    askable: bool = True
    """A question to the service is allowed and worth its while now."""
    unaskable: str = ""
    """Why not: no service, no budget, its breaker is open, no time left."""
    preferred: Literal["local", "remote"] = "local"


@dataclass(frozen=True, slots=True)
class Decision:
    place: Place
    cause: Cause
    words: str
    """One short sentence for the result."""


def decide(now: Situation) -> Decision:
    """Where a sample goes."""
    cause, words = _trouble(now)
    if cause == "healthy":
        return Decision("local", cause, words)
    if now.askable:
        tries = cause == "over budget" and now.due_for_a_try
        return Decision("both" if tries else "remote", cause, words)
    if now.doubtful_score is not None or (now.engine == "ready" and not now.engine_failed):
        return Decision("local", cause, f"{words}, but {now.unaskable}")
    return Decision("none", cause, f"{words}, and {now.unaskable}")


def _trouble(now: Situation) -> tuple[Cause, str]:
    """Why the service should be asked; `healthy` when it need not be. The first that applies."""
    if now.doubtful_score is not None:
        return "unsure", f"the local answer is unsure ({now.doubtful_score:.2f})"
    if now.engine_failed:
        return "broken", f"the local engine failed ({now.engine_failed})"
    if now.preferred == "remote":
        return "asked for", "the configuration prefers the service"
    if now.engine != "ready":
        return now.engine, _NOT_READY[now.engine].format(why=now.engine_words or "no reason is known")
    if now.hot_c is not None:
        return "hot", f"the device is too hot ({now.hot_c:.0f} °C)"
    if not now.trusted:
        return "over budget", now.distrust
    return "healthy", "local engine healthy"


_NOT_READY: dict[Engine, str] = {
    "loading": "the local model is being loaded",
    "building": "the plan for the local GPU is being built",
    "missing": "no local engine ({why})",
    "broken": "the local engine is broken ({why})",
}
