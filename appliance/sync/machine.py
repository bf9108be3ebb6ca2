"""Carries a version from one state to the next. Each step may be cut short anywhere, and is then done again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.sync import inspection
from appliance.sync.activation import Activation
from appliance.sync.carrier import Carrier, NoSuchFile
from appliance.sync.clock_floor import ClockFloor
from appliance.sync.fetch import Fetcher, Offered, Progress
from appliance.sync.inspection import Unfit
from appliance.sync.ledger import Job, Ledger
from appliance.sync.published import Reference
from appliance.sync.slots import Slots
from appliance.sync.states import TRIED, State
from appliance.sync.trust import Catalogue, Distrust, look
from appliance.sync.verdict import SLACK_MS
from engines.bundle import Bundle
from engines.engine import EngineError

logger = logging.getLogger(__name__)

PARTS_DAYS = 14
"""So long a download that was cut short may be gone on with."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What the steps need of the world."""

    anchor: bytes
    """The root that is believed."""
    carrier: Callable[[], AbstractContextManager[Carrier]]
    fetcher: Callable[[Carrier, Path], Fetcher]
    """From a carrier and the folder of the parts."""
    build: Callable[[Bundle], str]
    """Makes what the GPU needs of it; why not, where it cannot. Raises Stopped."""
    stopped: Callable[[], bool]
    slower: float
    """How many times as long as the active version it may take."""
    tell: Callable[[Job, Progress], None] = lambda _job, _progress: None
    checkpoint: Callable[[str], None] = lambda _words: None
    """Called after everything that is on the disk: here a test pulls the plug."""


class Machine:
    """Used on one thread, with an open ledger."""

    def __init__(self, ledger: Ledger, slots: Slots, tools: Tools) -> None:
        self.ledger = ledger
        self.slots = slots
        self.activation = Activation(ledger, slots, tools.checkpoint)
        self._tools = tools

    # -- wishes ---------------------------------------------------------------------------------------------------

    def want(self, reference: Reference, *, activate: bool, now_s: float) -> Job:
        """Somebody wants this version here, or active. What is under way already goes on."""
        job = self.ledger.job(reference.model)
        if job is not None and job.version == reference.version and job.state is not State.RETURNED:
            if activate and not job.activate:
                job = self.ledger.put(replace(job, activate=True), "wanted")
            return job
        if job is not None and job.state is State.PROBATION:
            raise Unfit(f"{reference.model}: {job.version} is on probation; wait until it is kept, or roll it back")
        pinned = self.ledger.note(f"pin {reference.model}")
        if pinned not in (None, reference.version):
            raise Unfit(
                f"{reference.model}: pinned to {pinned}; `appliance models pin {reference.model} --off` ends that"
            )
        if self.slots.active_version(reference.model) == reference.version:
            raise Unfit(f"{reference}: it is the active version already")
        if job is not None:
            self.slots.unstage(job)
        self.ledger.put_note(f"progress {reference.model}", None)
        return self.ledger.put(Job(reference.model, reference.version, State.FETCH, now_s, activate), "wanted")

    # -- steps that need no daemon --------------------------------------------------------------------------------

    def advance(self, job: Job) -> Job:
        """One step further. What comes to nothing for good is returned with its reason.

        Raises CarrierError when the registry cannot be reached, Stopped, OSError when the disk refuses.
        """
        assert job.state in TRIED, "the others need the daemon"
        step = {
            State.FETCH: self._fetch,
            State.VERIFY: self._fetch,
            State.INSPECT: self._inspect,
            State.BUILD: self._build,
            State.GOLDEN: self._golden,
        }[job.state]
        try:
            return step(job)
        except (Distrust, NoSuchFile) as error:
            return self.activation.give_back(job, str(error), deny=False)
        except Unfit as error:
            return self.activation.give_back(job, str(error), deny=True)
        except EngineError as error:
            return self.activation.give_back(job, str(error), deny=False)

    def _fetch(self, job: Job) -> Job:
        """Fetch the parts, and make a bundle of them. Cut short in VERIFY, it looks at the signatures again: parts
        without them are worth nothing."""
        self._discard_old_parts()
        with self._tools.carrier() as carrier:
            fetcher = self._tools.fetcher(carrier, self.slots.folder / "parts")
            offer = self._offer(job, carrier, fetcher)
            job = self.ledger.put(replace(job, serial=offer.serial, digest=offer.manifest.digest))
            files = fetcher.fetch(offer, self._donors(job), lambda progress: self._told(job, progress))
            self._tools.checkpoint("fetched")
            done = fetcher.progress
            words = f"fetched: {done.fetched_bytes / 1e6:.1f} of {offer.bytes / 1e6:.1f} MB had to travel"
            job = self.ledger.move(job, State.VERIFY, words, total_bytes=offer.bytes, done_bytes=offer.bytes)
            self.slots.stage(job, offer.manifest, dict(files))
            self._tools.checkpoint("staged")
            fetcher.discard(offer)
        self._tools.checkpoint("parts removed")
        return self.ledger.move(job, State.INSPECT, "verified")

    def _offer(self, job: Job, carrier: Carrier, fetcher: Fetcher) -> Offered:
        """What is signed of this version, and may be had here. Raises Distrust, Unfit."""
        clock = ClockFloor(self.ledger)
        catalogue = look(self.slots.folder / "tuf", self._tools.anchor, carrier, self.ledger, clock)
        self._return_revoked(catalogue)
        offer = fetcher.offered(catalogue, Reference(job.model, job.version))
        if (reason := self.ledger.denied(offer.manifest.digest)) is not None:
            raise Distrust(f"{job.model}@{job.version}: this very content was returned before: {reason}")
        highest = self.ledger.mark(f"serial {job.model}")
        if offer.serial < highest:
            raise Distrust(
                f"{job.model}@{job.version}: published before what this device has had (number {offer.serial}, after "
                f"{highest}); its owner can publish it again"
            )
        return offer

    def _discard_old_parts(self) -> None:
        """Of versions that nobody wanted to the end."""
        oldest_s = time.time() - PARTS_DAYS * 86_400
        for part in (self.slots.folder / "parts").glob("*.part"):
            if part.lstat().st_mtime < oldest_s:
                part.unlink()

    def _donors(self, job: Job) -> list[Path]:
        try:
            active = self.slots.active(job.model)
        except EngineError:
            return []  # damaged: the new version is all the more welcome
        return [] if active is None else list(active.files.values())

    def _told(self, job: Job, progress: Progress) -> None:
        """The ledger keeps the progress for whoever asks, at each hundredth."""
        if progress.done_bytes * 100 // max(1, progress.total_bytes) != self._percent(job.model):
            self.ledger.put_note(f"progress {job.model}", progress.done_bytes * 100 // max(1, progress.total_bytes))
        self._tools.tell(job, progress)

    def _percent(self, model: str) -> int:
        return int(self.ledger.note(f"progress {model}") or 0)

    def _inspect(self, job: Job) -> Job:
        digest = inspection.look(self.slots.staged(job), self._tools.stopped)
        if digest != job.digest:
            raise Unfit(f"{job.model}@{job.version}: what was fetched is not what was signed any more")
        self._tools.checkpoint("inspected")
        return self.ledger.move(job, State.BUILD, "inspected")

    def _build(self, job: Job) -> Job:
        reason = self._tools.build(Bundle.open(self.slots.staged(job)))
        self._tools.checkpoint("built")
        return self.ledger.move(job, State.GOLDEN, f"built: {reason}" if reason else "built", reason=reason)

    def _golden(self, job: Job) -> Job:
        tried = inspection.attempt(self.slots.staged(job), self._tools.stopped)
        active = self.slots.active(job.model)
        if active is not None:
            self._compare(job, tried.p95_ms, active)
        self._tools.checkpoint("tried")
        off = "no golden files" if tried.distance is None else f"{tried.distance:.2%} off its golden outputs"
        return self.ledger.move(job, State.READY, f"tried: {tried.p95_ms:.1f} ms, {off}")

    def _compare(self, job: Job, took_ms: float, active: Bundle) -> None:
        """With how long the active version takes. A machine may be busy for a moment: what looks slow is tried twice.

        Raises Unfit, Stopped, OSError.
        """
        usual_ms = 0.0
        for _ in range(2):
            usual_ms = max(usual_ms, inspection.attempt(active.folder, self._tools.stopped).p95_ms)
            if took_ms <= self._tools.slower * usual_ms + SLACK_MS:
                return
            took_ms = min(took_ms, inspection.attempt(self.slots.staged(job), self._tools.stopped).p95_ms)
        raise Unfit(
            f"too slow: {took_ms:.1f} ms, the active version takes {usual_ms:.1f} ms; [models] slower = "
            f"{self._tools.slower:g}"
        )

    def ask_registry(self, models: Iterable[str] = ()) -> None:
        """Whether what is here may stay, and what is new of these models. Raises Distrust, CarrierError, Stopped,
        OSError."""
        with self._tools.carrier() as carrier:
            folder, clock = self.slots.folder / "tuf", ClockFloor(self.ledger)
            catalogue = look(folder, self._tools.anchor, carrier, self.ledger, clock)
            self._return_revoked(catalogue)
            for model in models:
                self.ledger.put_note(f"newest {model}", catalogue.newest(model))

    def _return_revoked(self, catalogue: Catalogue) -> None:
        """What its owner has taken back is not kept."""
        for job in self.ledger.jobs():
            if job.state not in (State.READY, State.PROBATION, State.KEPT):
                continue
            if self.slots.active_version(job.model) != job.version and job.state is not State.READY:
                continue
            if catalogue.find(Reference(job.model, job.version).manifest) is None:
                self.activation.give_back(job, "its owner has revoked it", deny=False)
