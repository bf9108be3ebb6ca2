"""A routed pipeline on a clock of the test's own: an engine and a service that take as long as the test says."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from typing import Any

from appliance.config_pipeline import Pipeline as PipelineConfig
from appliance.harvest.basket import Basket
from appliance.mqtt.topics import Topics
from appliance.pipeline.compose import Served
from appliance.pipeline.pipeline import Pipeline
from appliance.questions.announcement import ServedModel
from appliance.questions.question import Refused, Reply
from appliance.remote.counsel import Counsel
from appliance.remote.inquirer import Encoding, Inquirer, Inquiry
from appliance.remote.lane import RoutedLane
from appliance.remote.local_side import EngineStanding, LocalSide
from appliance.remote.open_questions import Outcome
from appliance.remote.pictures import Viewer
from appliance.remote.routed import Routed, Told
from appliance.remote.second_chance import SecondChance
from appliance.remote.service_side import Limits, ServiceSide
from appliance.remote.services import Offer, Standing
from appliance.remote.settings import PipelineRemote, Remote
from appliance.result import ModelId, Result
from appliance.uplink.outgoing import Outgoing
from capture.samples import Frame, Sample, Stamp
from engines.engine import EngineError
from engines.predictions import Answer, Detection, StageTimes
from tests.arrays import picture

MS = 1_000_000
SMALL = ModelId("people", "1", "sha256:small")
LARGE = ModelId("people", "2", "sha256:large")


def person(score: float = 0.9, label: str = "person") -> Answer:
    return Answer("detect", (Detection(label, 0, score, (10.0, 10.0, 30.0, 40.0)),), StageTimes(0.1, 1.0, 0.1))


class World:
    """What the engine and the service do is read at the moment they begin with a sample: change it while it runs."""

    def __init__(
        self,
        fps: float = 15.0,
        every: bool = False,
        limits: dict[str, Any] | None = None,
        ready: threading.Condition | None = None,
        basket: Basket | None = None,
        **remote: Any,
    ) -> None:
        """`ready`: what the pipeline's mailbox wakes; `basket`: of the pipeline; `remote`: keys of its table."""
        remote = {"offload": "frames", "deadline_s": 0.5, **remote}
        self.now_ns = 1_000_000_000
        self.local: Callable[[], float | EngineError | None] = lambda: 20.0
        """Milliseconds of an inference, an error (after 20 ms), or None: it hangs until this changes."""
        self.local_score = 0.9
        self.finds = "person"
        """What the service finds."""
        self.engine = EngineStanding("ready", "")
        self.service: Callable[[], float | Refused | None] = lambda: 40.0
        """Milliseconds until the answer, a refusal (after 20 ms), or None: it never answers."""
        self.services: tuple[str, ...] = ("cellar",)
        self.celsius: float | None = None
        self.filming = True
        self.results: list[tuple[float, Result]] = []
        """Seconds since the start, and what was published."""
        self.filmed_s: list[float] = []
        """When each picture was taken."""
        self.inquiries: list[Inquiry] = []
        self.most_asked = 0
        settings = PipelineRemote(**remote)
        table = PipelineConfig(name="p", source="dock", model="people", every=every, remote=settings)
        self.pipeline = Pipeline(
            *(table, Topics("appliance", "box"), self._post, lambda: "synced", ready or threading.Condition()),
            basket=basket,
        )
        self.lane = RoutedLane(self.pipeline, threading.Condition(), self._told)
        self._told_things: list[Told] = []
        self._later: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._in_engine: tuple[Sample, int] | None = None
        self._takes: float | EngineError | None = None
        self._fps = fps
        self._next_frame_ns = self.now_ns
        self._frames = 0
        self._out = 0
        self._begun_ns = self.now_ns
        played = _Played(self)
        now_s = self.now_ns / 1e9
        service = ServiceSide(
            played, settings.model or "people", settings, Limits(Remote(**(limits or {})), now_s), now_s
        )
        local = LocalSide(
            self.lane, lambda: self.engine, settings.local_budget_s, settings.hottest_c, lambda: self.celsius
        )
        viewer = Viewer(settings.offload)
        counsel = Counsel(self.pipeline, service, viewer, self._told)
        chance = SecondChance(settings.keep, self.pipeline, service, viewer, played, self._told)
        self.routed = Routed(self.pipeline, settings, local, service, viewer, counsel, chance)

    # -- what the test does ---------------------------------------------------------------------------------------

    @property
    def now_s(self) -> float:
        return (self.now_ns - self._begun_ns) / 1e9

    def run(self, seconds: float) -> None:
        """Go on in steps of a millisecond."""
        until_ns = self.now_ns + int(seconds * 1e9)
        while self.now_ns < until_ns:
            self.now_ns += MS
            self._film()
            while self._later and self._later[0][0] <= self.now_ns:
                heapq.heappop(self._later)[2]()
            self._infer()
            told, self._told_things = self._told_things, []
            for each in told:
                self.routed.hear(each, self.now_ns)
            self.routed.turn(self.now_ns)
        self.routed.tell_figures(self.now_ns)

    def film(self, count: int = 1) -> None:
        """So many pictures at once, whatever the rate."""
        for _ in range(count):
            self._frame()

    def sides(self) -> list[str]:
        """Who answered, each run of the same in one word."""
        names = [r.answered_by.partition(":")[0] if r.status != "failed" else "failed" for _, r in self.results]
        return [name for name, _ in itertools.groupby(names)]

    def longest_gap_s(self) -> float:
        times = [at_s for at_s, _ in self.results]
        return max((after - before for before, after in itertools.pairwise(times)), default=0.0)

    # -- what happens ---------------------------------------------------------------------------------------------

    def _film(self) -> None:
        if self.filming and self.now_ns >= self._next_frame_ns:
            self._next_frame_ns += int(1e9 / self._fps)
            self._frame()

    def _frame(self) -> None:
        stamp = Stamp(self.now_ns, self.now_ns)
        self.filmed_s.append(self.now_s)
        self.pipeline.offer(Frame("dock", self._frames, stamp, picture(64, 48), ready_ns=self.now_ns))
        self._frames += 1

    def _post(self, document: Outgoing) -> None:
        result = document.document
        if isinstance(result, Result):
            self.results.append((self.now_s, result))

    def _told(self, told: Told) -> None:
        self._told_things.append(told)

    def _after(self, ms: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._later, (self.now_ns + int(ms * MS), next(self._numbers), what))

    def _infer(self) -> None:
        if self._in_engine is None and self.engine.state == "ready":
            sample = self.lane.mailbox.take(0)
            if sample is not None:
                self._in_engine, self._takes = (sample, self.now_ns), self.local()
        if self._in_engine is None:
            return
        sample, begun_ns = self._in_engine
        if self._takes is None:
            self._takes = self.local()
        takes = self._takes
        if takes is None or self.now_ns - begun_ns < (20.0 if isinstance(takes, EngineError) else takes) * MS:
            return
        self._in_engine = None
        served = Served(begun_ns, self.now_ns, "onnxruntime", SMALL, "local engine healthy")
        if isinstance(takes, EngineError):
            self.lane.unanswered(sample, takes, served)
        else:
            self.lane.answered(sample, person(self.local_score), served)

    def ask(self, inquiry: Inquiry) -> None:
        self.inquiries.append(inquiry)
        self._out += 1
        self.most_asked = max(self.most_asked, self._out)
        takes = self.service()
        said, service = person(0.95, self.finds), self.services[0] if self.services else ""
        reply = Reply("", LARGE, said, {}, 1.0, 10.0, service, "onnxruntime")
        outcome: Outcome = takes if isinstance(takes, Refused) else reply
        left_ms = (inquiry.deadline_ns - self.now_ns) / MS
        delay_ms = 20.0 if isinstance(takes, Refused) else takes
        if delay_ms is None or delay_ms > left_ms:
            outcome, delay_ms = Refused("expired", "no answer came in time"), left_ms

        def answer() -> None:
            self._out -= 1
            inquiry.take(outcome, 20_000)

        self._after(delay_ms, answer)


class _Played(Inquirer):
    def __init__(self, world: World) -> None:
        self._world = world

    def inquire(self, inquiry: Inquiry) -> None:
        self._world.ask(inquiry)

    def encode(self, encoding: Encoding) -> None:
        encoding.take(encoding.jpeg())

    def standing(self, model: str) -> Standing:
        offers = tuple(Offer(each, ServedModel(model, True), 0.0, 10**7) for each in self._world.services)
        return Standing(True, "online" if offers else "no model service is online", offers)
