"""What is desired of this device, begun and reported. Used by the thread `models`."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection

from appliance.commands import BadCommand
from appliance.mailbox import Mailbox
from appliance.sync import desired
from appliance.sync.desired import Reported, ReportedModel
from appliance.sync.fetch import Progress
from appliance.sync.inspection import Unfit
from appliance.sync.ledger import Job, Ledger
from appliance.sync.machine import Machine
from appliance.sync.published import Reference
from appliance.sync.states import State

logger = logging.getLogger(__name__)

GIVEN_UP = "another version is wanted"
"""Why a version returned that may be wanted again."""
NOTE = "desired"
"""Key of the last good document in the ledger; it is kept for ever."""
ABOUT_NOTES = "notes"
"""In a manifest's `about`."""
NOTES_MOST = 1000
"""Characters."""


class Wishes:
    """`desire` and `install` are for any thread, `reports` for the main thread, the rest for the thread `models`."""

    def __init__(self) -> None:
        self.reports: Mailbox[Reported] = Mailbox(1)
        """The newest picture for the world, whenever it has changed."""
        self._documents: Mailbox[bytes] = Mailbox(4)
        self._installs: Mailbox[Reference] = Mailbox(desired.MOST_MODELS)
        self._reported: Reported | None = None
        self._complaint = ""
        self._percents: dict[str, tuple[str, int]] = {}
        """Of the fetch that was told of last: version, hundredths."""
        self._notes: dict[tuple[str, str], str] = {}

    def desire(self, payload: bytes) -> None:
        """A desired document has come; never blocks."""
        self._documents.put(payload)

    def install(self, model: str) -> str:
        """Somebody takes the version that is offered of a model; which one that is. Raises BadCommand."""
        reported = self._reported
        found = None if reported is None else reported["models"].get(model)
        if reported is None or found is None:
            known = ", ".join(reported["models"]) if reported else ""
            raise BadCommand(f"no model {model[:64]}; known: {known or 'none yet'}")
        if found["offered"] is None:
            raise BadCommand(f"{model}: no other version than {found['active']} is offered")
        self._installs.put(Reference(model, found["offered"]))
        return found["offered"]

    def tell(self, job: Job, progress: Progress) -> None:
        """How a fetch goes: reported at each hundredth, for the thread does nothing else meanwhile."""
        told = (job.version, progress.done_bytes * 100 // max(1, progress.total_bytes))
        if self._percents.get(job.model) == told:
            return
        self._percents[job.model] = told
        if self._reported is not None and (found := self._reported["models"].get(job.model)) is not None:
            models = self._reported["models"] | {job.model: {**found, "percent": told[1]}}
            self._put({**self._reported, "models": models})

    def turn(self, machine: Machine, *, may_begin: bool, used: Collection[str] = ()) -> None:
        """Hear, begin what is desired where `may_begin`, and report, also on models that pipelines use."""
        errors = self._hear(machine.ledger)
        if may_begin:
            errors |= self._converge(machine) | self._begin(machine)
        self._report(machine, errors, used)

    def _hear(self, ledger: Ledger) -> dict[str, str]:
        """Take the newest desired document; a lower one than before is not taken. What was wrong with the last."""
        for payload in self._documents.take_all(0):
            self._complaint = ""
            if not payload:
                continue  # cleared: what was wanted last stays wanted
            try:
                heard = desired.read(payload)
            except BadCommand as error:
                self._complaint = str(error)
                logger.warning("models/desired: refused: %s", error)
                continue
            last = ledger.note(NOTE)
            if last is not None and heard.n <= last["n"]:
                if heard.n < last["n"]:
                    self._complaint = f"n = {heard.n}: number {last['n']} was taken before"
                continue
            # Where a model's field is bad, what was wanted of it before stays so.
            before = {name: version for name, version in desired.kept(last).items() if name in heard.errors}
            ledger.put_note(
                "desired", {"n": heard.n, "models": before | dict(heard.models), "errors": dict(heard.errors)}
            )
        note = ledger.note(NOTE) or {}
        return dict(note.get("errors", {})) | ({"": self._complaint} if self._complaint else {})

    def _converge(self, machine: Machine) -> dict[str, str]:
        """Begin what is desired and not under way; why not, by model. What has returned is not tried again."""
        errors = {}
        for name, version in desired.kept(machine.ledger.note(NOTE)).items():
            job = self._without_another(machine, machine.ledger.job(name), version)
            if machine.slots.active_version(name) == version:
                continue
            if job is not None and job.version == version and not _may_begin(job):
                continue
            try:
                machine.want(Reference(name, version), activate=True, now_s=time.time())
            except Unfit as error:
                errors[name] = str(error)
        return errors

    def _begin(self, machine: Machine) -> dict[str, str]:
        """What somebody has taken of what is offered; why not, by model."""
        errors = {}
        for reference in self._installs.take_all(0):
            try:
                machine.want(reference, activate=True, now_s=time.time())
            except Unfit as error:
                errors[reference.model] = str(error)
                logger.warning("%s is not installed: %s", reference, error)
        return errors

    def _without_another(self, machine: Machine, job: Job | None, version: str) -> Job | None:
        """Give up what is about to take the place of the very version that is desired, or has just done so."""
        if job is None or job.version == version or job.state in (State.KEPT, State.RETURNED):
            return job
        if not job.activate or version not in (machine.slots.active_version(job.model), job.previous):
            return job
        return machine.activation.give_back(job, GIVEN_UP, deny=False)

    def _report(self, machine: Machine, errors: dict[str, str], used: Collection[str]) -> None:
        note = machine.ledger.note(NOTE)
        wanted, jobs = desired.kept(note), {job.model: job for job in machine.ledger.jobs()}
        models: dict[str, ReportedModel] = {}
        for name in sorted({*wanted, *jobs, *used}):
            job, active = jobs.get(name), machine.slots.active_version(name)
            models[name] = {
                "active": active,
                "version": None if job is None else job.version,
                "state": None if job is None else job.state.value,
                "reason": "" if job is None else job.reason,
                "percent": None if job is None else self._percent(job),
                "offered": _offered(machine.ledger, name, active, job, wanted.get(name)),
                "notes": "" if job is None else self._said(machine, job),
            }
        n = 0 if note is None else int(note["n"])
        report: Reported = {"type": "models", "n": n, "models": models, "errors": errors}
        if report != self._reported:
            self._put(report)

    def _put(self, report: Reported) -> None:
        self._reported = report
        self.reports.put(report)

    def _percent(self, job: Job) -> int | None:
        version, percent = self._percents.get(job.model, ("", 0))
        if job.state is not State.FETCH:
            self._percents.pop(job.model, None)
            return None
        return percent if version == job.version else 0

    def _said(self, machine: Machine, job: Job) -> str:
        """Its notes, read once."""
        key = (job.model, job.version)
        if key not in self._notes and job.state is not State.FETCH:
            manifest = machine.slots.manifest(*key)
            self._notes[key] = "" if manifest is None else manifest.about.get(ABOUT_NOTES, "")[:NOTES_MOST]
        return self._notes.get(key, "")


def _offered(ledger: Ledger, name: str, active: str | None, job: Job | None, wanted: str | None) -> str | None:
    """See `ReportedModel`. What has returned, and what a pin keeps away, is not offered."""
    returned = job.version if job is not None and job.state is State.RETURNED else None
    under_way = None if job is None or job.state in (State.RETURNED, State.KEPT) else job.version
    offered = under_way or wanted or ledger.note(f"newest {name}")
    pinned = ledger.note(f"pin {name}")
    if offered in (None, active, returned) or pinned not in (None, offered):
        return None
    return str(offered)


def _may_begin(job: Job) -> bool:
    """Whether the very version of this job can be wanted: again, or now also as the active one."""
    return job.reason == GIVEN_UP if job.state is State.RETURNED else not job.activate
