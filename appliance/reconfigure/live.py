"""Body of the thread `configuration`: hears what is desired, brings it here, and watches over its first minutes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from appliance.backoff import Backoff
from appliance.commands import BadCommand
from appliance.config_errors import ConfigError
from appliance.health import Health
from appliance.mailbox import Mailbox
from appliance.reconfigure.desired import ReportedConfig, read
from appliance.reconfigure.effective import Effective, effective
from appliance.reconfigure.fetching import Registry, Source, looked_at, mark
from appliance.reconfigure.standing import FILE_ALONE, Standing, State, Version
from appliance.reconfigure.store import HISTORY, RETURNED, USED, Store
from appliance.reconfigure.trial import Terms, Trial, faults
from appliance.sync.carrier import CarrierError, NoSuchFile, Stopped
from appliance.sync.ledger import Ledger, LedgerError
from appliance.sync.trust import Distrust
from appliance.sync.verdict import Word

logger = logging.getLogger(__name__)

POLL_S = 0.25
FIRST_WAIT_S, LONGEST_WAIT_S = 2.0, 600.0
AFTER_TROUBLE_S = 10.0
FIRST_LOOK_S = 60.0
"""After a start; later looks come at the configured pace."""
REVOKED = "its owner has revoked it"


class LiveConfiguration:
    """`run` is the body of the thread; `desire` is for any thread, the rest for the main thread."""

    def __init__(
        self,
        store: Store,
        source: Callable[[threading.Event], Source],
        terms: Terms,
        at_start: Effective,
        health: Callable[[], Health | None],
        apply: Callable[[], None],
        look_s: float,
    ) -> None:
        """`at_start`: what this process began with. `health`: how the appliance is with what is in use. `apply`: asks
        the main thread to `read_again`. `look_s`: between two looks for what was revoked. Any thread."""
        self.reports: Mailbox[ReportedConfig] = Mailbox(1)
        """The newest picture for the world, whenever it has changed."""
        self.used = at_start.version
        """What the appliance works with; the main thread says so."""
        self._complaint = at_start.complaint
        self._store = store
        self._source = source
        self._terms = terms
        self._health = health
        self._apply = apply
        self._documents: Mailbox[bytes] = Mailbox(16)
        self._error = ""
        self._trouble = ""
        """Why what is wanted has not come yet."""
        self._trial: tuple[Version, Trial] | None = None
        self._backoff = Backoff(FIRST_WAIT_S, LONGEST_WAIT_S)
        self._next_try_s = float("-inf")
        self._look_s = look_s
        self._next_look_s: float | None = None
        self._asked: tuple[Version, Version] | None = None
        """What the main thread was asked for, in the place of what. Once: where it cannot, it says so."""
        self._reported: ReportedConfig | None = None

    def desire(self, payload: bytes) -> None:
        """A desired document has come; never blocks."""
        self._documents.put(payload)

    def read_again(self, path: Path) -> Effective:
        """What is to be used now. Raises ConfigError for the file on the device."""
        found = effective(path)
        self._complaint = found.complaint
        for line in found.complaint.splitlines():
            logger.error("%s", line)
        return found

    def run(self, stopping: threading.Event) -> None:
        """Trouble of the disk is said and tried again; a device works without."""
        while not stopping.is_set():
            try:
                source = self._source(stopping)
                with Ledger(self._store.ledger) as ledger:
                    while not stopping.wait(POLL_S):
                        self.turn(source, ledger, time.monotonic())
            except Stopped:
                return
            except (LedgerError, ConfigError, OSError) as error:
                logger.error("configuration: %s", error)
                stopping.wait(AFTER_TROUBLE_S)

    def turn(self, source: Source, ledger: Ledger, now_s: float) -> None:
        """What is due. Raises OSError, LedgerError, Stopped."""
        with self._store.turn.taken() as mine:
            standing = self._store.standing()
            if mine:
                standing = self._hear(standing)
                self._report(standing)
                standing = self._look(source, ledger, standing, now_s)
                if standing.state is State.FETCH and now_s >= self._next_try_s:
                    standing = self._bring(source, ledger, standing, now_s)
                elif standing.trial is not None:
                    standing = self._watch(ledger, standing, standing.trial, now_s)
        used = self.used
        if standing.active == used:
            self._asked = None
        elif self._asked != (standing.active, used):
            self._asked = (standing.active, used)
            self._apply()
        self._report(standing)

    # -- what is due --------------------------------------------------------------------------------------------------

    def _hear(self, standing: Standing) -> Standing:
        for payload in self._documents.take_all(0):
            self._error = ""
            if not payload:
                continue  # cleared: what was wanted last stays wanted
            try:
                desired = read(payload)
            except BadCommand as error:
                self._error = str(error)
                logger.warning("config/desired: refused: %s", error)
                continue
            if desired.n < standing.n:
                self._error = f"n = {desired.n}: number {standing.n} was taken before"
            heard = standing.hear(desired.n, desired.config or "")
            if heard != standing:
                standing = self._store.put(heard)
                self._trouble, self._next_try_s = "", float("-inf")
                self._backoff = Backoff(FIRST_WAIT_S, LONGEST_WAIT_S)
        return standing

    def _look(self, source: Source, ledger: Ledger, standing: Standing, now_s: float) -> Standing:
        """Now and then. A registry that is away, or not believed, changes nothing."""
        if self._next_look_s is None:
            self._next_look_s = now_s + min(self._look_s, FIRST_LOOK_S)
        if now_s < self._next_look_s or standing.active == standing.good == standing.before == FILE_ALONE:
            return standing
        self._next_look_s = now_s + self._look_s
        try:
            with looked_at(source, self._store, ledger) as registry:
                return self._revoke(ledger, standing, registry)
        except (Distrust, CarrierError) as error:
            self._next_look_s = now_s + min(self._look_s, LONGEST_WAIT_S)
            logger.warning("configuration: nothing could be learned of revoked ones: %s", error)
        return standing

    def _revoke(self, ledger: Ledger, standing: Standing, registry: Registry) -> Standing:
        """What its owner has taken back is not used, nor kept to go back to."""
        revoked = registry.revoked(standing)
        if not revoked:
            return standing
        left = self._store.put(standing.revoke(revoked, f"{standing.active}: {REVOKED}"))
        self._store.tidy(left)
        for version in revoked:
            ledger.tell(HISTORY, str(version), RETURNED, REVOKED)
            logger.warning("configuration: %s: returned: %s; %s is used", version, REVOKED, left.active)
        return left

    def _bring(self, source: Source, ledger: Ledger, standing: Standing, now_s: float) -> Standing:
        """Fetch and judge what is wanted, and put it on trial; what comes to nothing for good is returned."""
        wanted, version = standing.wanted, FILE_ALONE
        try:
            if wanted:
                with looked_at(source, self._store, ledger) as registry:
                    standing = self._revoke(ledger, standing, registry)
                    version = registry.bring(standing)
        except (Distrust, NoSuchFile, ConfigError) as error:
            return self._give_back(ledger, standing, str(error))
        except (CarrierError, OSError) as error:
            wait_s = self._backoff.next_s()
            self._next_try_s = now_s + wait_s
            self._trouble = str(error)
            logger.warning("%s: %s; trying again in %.0f s", wanted, error, wait_s)
            return standing
        now = self._health() if self.used == standing.active else None  # what another trial lacks is its own doing
        trial = standing.begin(version, standing.faults if now is None else tuple(sorted(faults(now))))
        ledger.tell(HISTORY, str(version), "fetched and judged" if wanted else "wanted")
        standing = self._store.put(trial)
        ledger.tell(HISTORY, str(version), USED)
        logger.info("configuration: %s is used, on trial", version)
        self._trial, self._trouble = None, ""
        return standing

    def _watch(self, ledger: Ledger, standing: Standing, version: Version, now_s: float) -> Standing:
        if self._trial is None or self._trial[0] != version:
            self._trial = (version, Trial(self._terms, standing.faults, now_s))
        now = self._health() if self.used == version else None
        verdict = self._trial[1].judge(None if now is None else faults(now), now_s)
        if verdict.word is Word.WAIT:
            return standing
        self._trial = None
        if verdict.word is Word.BACK:
            return self._give_back(ledger, standing, self._complaint or verdict.reason)
        if version.name:
            ledger.raise_mark(mark(version.name), version.serial)
        standing = self._store.put(standing.keep())
        self._store.tidy(standing)
        ledger.tell(HISTORY, str(version), "kept")
        logger.info("configuration: %s is kept", version)
        return standing

    def _give_back(self, ledger: Ledger, standing: Standing, reason: str) -> Standing:
        returned = standing.give_back(reason)
        logger.warning("configuration: %s: returned: %s", standing.wanted or FILE_ALONE, reason)
        self._trouble = ""
        ledger.tell(HISTORY, standing.wanted or str(FILE_ALONE), RETURNED, reason)
        return self._store.put(returned)

    # -- what is said -------------------------------------------------------------------------------------------------

    def _report(self, standing: Standing) -> None:
        used = self.used
        report: ReportedConfig = {
            "type": "configuration",
            "n": standing.n,
            "wanted": standing.wanted or None,
            "active": used.name or None,
            "digest": used.digest or None,
            "state": standing.state.value,
            "reason": "; ".join(filter(None, (standing.reason, self._trouble)))
            or (self._complaint if used != standing.active else ""),
            "error": self._error,
        }
        if report != self._reported:
            self._reported = report
            self.reports.put(report)
