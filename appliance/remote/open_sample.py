"""A sample that has no result yet: who was asked, what came of it, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from appliance.pipeline.compose import Served
from appliance.remote.view import View
from appliance.router import Decision
from capture.samples import Frame
from engines.predictions import Answer


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    answer: Answer
    served: Served


@dataclass(frozen=True, slots=True)
class Failed:
    words: str


Ending: TypeAlias = Answered | Failed


@dataclass(slots=True, eq=False)
class OpenSample:
    """Times are monotonic nanoseconds. Of the router's thread."""

    sample: Frame
    taken_ns: int
    deadline_ns: int
    decision: Decision | None = None
    """The last one."""

    given_ns: int | None = None
    """When the local engine was given it."""
    with_engine: bool = False
    """It is waiting for the engine, or in it."""
    trial: bool = False
    """The engine was given it to show what it can do: its answer is used only if the service has none."""
    over_budget: bool = False
    engine_words: str = ""
    """Why the engine could not answer it."""

    asked_ns: int | None = None
    """When the service was first asked."""
    questions: int = 0
    """Asked and not ended."""
    view: View | None = None
    """What the service was shown of the picture, once it was asked."""
    hedged: bool = False
    service_words: str = ""
    """Why the service did not answer it."""

    doubtful_score: float | None = None
    spare: Answered | None = None
    """A local answer that is used when nothing better comes."""
    ending: Ending | None = None

    @property
    def plain(self) -> bool:
        """What was decided about another plain one at the same moment holds for it as well."""
        return not self.engine_words and not self.service_words and self.spare is None

    @property
    def waits(self) -> bool:
        """Nobody works on it."""
        return self.ending is None and not self.with_engine and self.questions == 0
