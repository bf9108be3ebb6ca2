"""The states of a model on its way, and what may follow. See docs/decisions/0012-model-sync.md."""

from __future__ import annotations

from enum import Enum


class State(str, Enum):
    """What comes next for a version; what stands before it in the list is done."""

    FETCH = "fetch"
    VERIFY = "verify"
    INSPECT = "inspect"
    BUILD = "build"
    GOLDEN = "golden"
    READY = "ready"
    """Waits until it is to be activated."""
    SHADOW = "shadow"
    ACTIVATE = "activate"
    PROBATION = "probation"
    KEPT = "kept"
    RETURNED = "returned"
    """It failed, was refused or was taken back; the version before is the active one."""


TRIED = (State.FETCH, State.VERIFY, State.INSPECT, State.BUILD, State.GOLDEN)
"""Done wherever it runs, with or without the daemon."""
LIVE = (State.SHADOW, State.ACTIVATE, State.PROBATION)
"""Needs the daemon at work."""
RESTING = (State.READY, State.KEPT, State.RETURNED)

WORDS = {
    State.FETCH: "is being fetched",
    State.VERIFY: "is being put together",
    State.INSPECT: "is being inspected",
    State.BUILD: "waits for its plan for the GPU",
    State.GOLDEN: "is being tried on its golden inputs",
    State.READY: "is ready; `appliance models activate` makes it the active one",
    State.SHADOW: "runs beside the active version",
    State.ACTIVATE: "is about to become the active one",
    State.PROBATION: "is active, on probation",
    State.KEPT: "is active and kept",
    State.RETURNED: "was returned",
}
