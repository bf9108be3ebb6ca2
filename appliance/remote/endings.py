"""How a sample ends that the service did not answer: with the local answer, or with the word that it failed. Pure."""

from __future__ import annotations

from dataclasses import replace

from appliance.remote.open_sample import Answered, Failed, OpenSample

NO_ANSWER = "the service did not answer in time"


def local_instead(entry: OpenSample) -> Answered:
    """The local answer for want of a better one; of a sample that has one."""
    assert entry.spare is not None
    assert entry.decision is not None
    words, served = entry.decision.words, entry.spare.served
    if entry.asked_ns is not None:
        words += f", but {entry.service_words or NO_ANSWER}"
    status = served.status if entry.doubtful_score is None else "degraded"
    return Answered(entry.spare.answer, replace(served, reason=words, status=status))


def failed(entry: OpenSample, distrust: str, unaskable: str) -> Failed:
    """What kept either side from answering. `distrust`: what is said of an engine over its budget; `unaskable`: why the
    service could not be asked, if it could not."""
    here = entry.decision.words if entry.decision is not None else "nobody was free to answer"
    if entry.over_budget:
        here = distrust
    elif entry.engine_words:
        here = f"the local engine failed ({entry.engine_words})"
    there = entry.service_words
    if not there:
        there = (unaskable or "newer samples came first") if entry.asked_ns is None else NO_ANSWER
    return Failed(here if there in here else f"{here}; {there}")
