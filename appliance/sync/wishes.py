"""What is desired of this device, begun and reported. Used by the thread `models`."""

from __future__ import annotations

import logging
import time

from appliance.commands import BadCommand
from appliance.mailbox import Mailbox
from appliance.sync import desired
from appliance.sync.desired import Reported, ReportedModel
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


class Wishes:
    """`desire` is for any thread, `reports` for the main thread, the rest for the thread `models`."""

    def __init__(self) -> None:
        self.reports: Mailbox[Reported] = Mailbox(1)
        """The newest picture for the world, whenever it has changed."""
        self._documents: Mailbox[bytes] = Mailbox(4)
        self._reported: Reported | None = None
        self._complaint = ""

    def desire(self, payload: bytes) -> None:
        """A desired document has come; never blocks."""
        self._documents.put(payload)

    def turn(self, machine: Machine, *, may_begin: bool) -> None:
        """Hear, begin what is desired where `may_begin`, and report."""
        errors = self._hear(machine.ledger)
        if may_begin:
            errors |= self._converge(machine)
        self._report(machine, errors)

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

    def _without_another(self, machine: Machine, job: Job | None, version: str) -> Job | None:
        """Give up what is about to take the place of the very version that is desired, or has just done so."""
        if job is None or job.version == version or job.state in (State.KEPT, State.RETURNED):
            return job
        if not job.activate or version not in (machine.slots.active_version(job.model), job.previous):
            return job
        return machine.activation.give_back(job, GIVEN_UP, deny=False)

    def _report(self, machine: Machine, errors: dict[str, str]) -> None:
        note = machine.ledger.note(NOTE)
        wanted, jobs = desired.kept(note), {job.model: job for job in machine.ledger.jobs()}
        models: dict[str, ReportedModel] = {}
        for name in sorted(wanted.keys() | jobs.keys()):
            job = jobs.get(name)
            models[name] = {
                "active": machine.slots.active_version(name),
                "version": None if job is None else job.version,
                "state": None if job is None else job.state.value,
                "reason": "" if job is None else job.reason,
            }
        n = 0 if note is None else int(note["n"])
        report: Reported = {"type": "models", "n": n, "models": models, "errors": errors}
        if report != self._reported:
            self._reported = report
            self.reports.put(report)


def _may_begin(job: Job) -> bool:
    """Whether the very version of this job can be wanted: again, or now also as the active one."""
    return job.reason == GIVEN_UP if job.state is State.RETURNED else not job.activate
