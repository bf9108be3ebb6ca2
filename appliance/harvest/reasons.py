"""Which samples are worth learning from. Pure."""

from __future__ import annotations

from appliance.harvest.sample import Reason
from appliance.harvest.settings import Harvest
from appliance.remote.doubt import doubtful_score
from appliance.sync.agreement import agreement
from engines.predictions import Answer


def why(settings: Harvest, said: Answer, other: Answer | None = None) -> tuple[Reason, str] | None:
    """The reason to keep a sample, and a sentence; None when there is none. A disagreement tells more than a doubt."""
    if settings.disagreed and other is not None:
        share = agreement(said, other)
        if share < 1.0:
            return "disagreed", f"they agree on {share:.0%} of what either says"
    score = doubtful_score(said, settings.unsure_between)
    if score is None or settings.unsure_between is None:
        return None
    low, high = settings.unsure_between
    return "unsure", f"a score of {score:.2f} lies between {low:g} and {high:g}"
