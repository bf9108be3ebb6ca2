"""Which configuration is in force on this device: its file, or one that came from afar; since when, and from whom."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from appliance.assembly import read
from appliance.config import Config
from appliance.config_errors import ConfigError
from appliance.finding import Finding
from appliance.reconfigure.effective import Effective, effective, store_of
from appliance.reconfigure.standing import FILE_ALONE, Standing, State
from appliance.reconfigure.store import HISTORY, RETURNED, USED, Store
from appliance.sync.ledger import Ledger, LedgerError, Line

SUBJECT = "configuration"


def configuration(path: Path) -> tuple[Config | None, list[Finding]]:
    """What is in force, to be judged further, and what there is to say of it and of the file. None: the file is bad."""
    try:
        local = read(path)
    except ConfigError as error:
        fix = "mend the file; `appliance config check` says when it is fine"
        return None, [Finding(SUBJECT, "problem", line, fix) for line in str(error).splitlines()]
    findings = [Finding(SUBJECT, "ok", f"{path} is fine")]
    store = store_of(local)
    if store is None:
        return local, findings
    if (hidden := _hidden(store, path)) is not None:
        return local, [*findings, hidden]
    found = effective(path)
    return found.config, [*findings, *_in_force(found, store, path)]


def _hidden(store: Store, path: Path) -> Finding | None:
    """What came from afar belongs to the service, and somebody else may not see it."""
    try:
        store.standing_path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        text = f"{store.folder}: {error.strerror}: whether a configuration from afar is in force cannot be told"
        fix = f"run it as the user of the service: sudo -u appliance appliance doctor --config {path}"
        return Finding(SUBJECT, "problem", text, fix)
    return None


def _in_force(found: Effective, store: Store, path: Path) -> Iterator[Finding]:
    standing = store.standing()
    yield Finding(SUBJECT, "ok", _words(found, standing, store, path))
    for line in found.complaint.splitlines():
        yield Finding(SUBJECT, "problem", line, "mend the file, or publish a configuration that goes with it")
    wanted = standing.wanted or "the file alone"
    if standing.state is State.RETURNED:
        fix = "`appliance config history` tells all of it; a newer desired document tries again"
        yield Finding(SUBJECT, "note", f"{wanted} is wanted, and was returned: {standing.reason}", fix)
    elif standing.state is State.FETCH:
        yield Finding(SUBJECT, "note", f"{wanted} is wanted, and on its way")


def _words(found: Effective, standing: Standing, store: Store, path: Path) -> str:
    since_s = _since_s(_history(store))
    since = "" if since_s is None else f" since {datetime.fromtimestamp(since_s).astimezone():%Y-%m-%d %H:%M:%S}"
    if found.version == FILE_ALONE:
        return f"{path} alone is in force{since}; nothing from afar is used"
    models, mqtt = found.config.models, found.config.mqtt
    assert models is not None, "[reconfigure] demands it"
    assert mqtt is not None
    how = "on trial" if found.version == standing.trial else "kept"
    whom = f"the registry behind {mqtt.broker}" if models.registry == "mqtt" else models.registry
    asked = f", as desired document {standing.n} asked for" if found.version.name == standing.wanted else ""
    return f"{found.version} over {path} is in force{since}, {how}: signed by the owner of {whom}{asked}"


def _history(store: Store) -> list[Line]:
    """The newest first; empty where nothing is written down, or it cannot be read."""
    if not store.ledger.exists():
        return []
    try:
        with Ledger(store.ledger) as ledger:
            return ledger.history(HISTORY)
    except LedgerError:
        return []


def _since_s(lines: list[Line]) -> float | None:
    """When another configuration was last put into force: by its trial, or by the return of the one over it."""
    used: list[str] = []
    since_s = None
    for line in reversed(lines):
        if line.event == USED:
            used.append(line.version)
            since_s = line.at_s
        elif line.event == RETURNED and line.version in used:
            since_s = line.at_s if used[-1] == line.version else since_s
            used.remove(line.version)
    return since_s
