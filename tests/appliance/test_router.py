"""Who answers a sample, as a table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.router import Decision, Situation, decide

LATE = Situation("ready", trusted=False, distrust="the local engine took more than 0.25 s")
TRY = replace(LATE, due_for_a_try=True)


def gone(situation: Situation) -> Situation:
    return replace(situation, askable=False, unaskable="no model service is online")


MOMENTS = {
    "all is well": (Situation("ready"), "local", "healthy"),
    "all is well, service gone": (gone(Situation("ready")), "local", "healthy"),
    "owner prefers the service": (Situation("ready", preferred="remote"), "remote", "asked for"),
    "owner prefers the service, service gone": (gone(Situation("ready", preferred="remote")), "local", "asked for"),
    "owner prefers the service, nobody there": (gone(Situation("broken", preferred="remote")), "none", "asked for"),
    "model still loading": (Situation("loading"), "remote", "loading"),
    "plan being built": (Situation("building"), "remote", "building"),
    "no engine": (Situation("missing", "onnxruntime is not installed"), "remote", "missing"),
    "no engine, service gone": (gone(Situation("missing")), "none", "missing"),
    "engine broken": (Situation("broken"), "remote", "broken"),
    "engine broken, service gone": (gone(Situation("broken")), "none", "broken"),
    "engine failed on this sample": (Situation("ready", engine_failed="NaN"), "remote", "broken"),
    "engine failed on it, service gone": (gone(Situation("ready", engine_failed="NaN")), "none", "broken"),
    "engine failed on it, owner prefers the service": (
        Situation("ready", engine_failed="NaN", preferred="remote"),
        "remote",
        "broken",
    ),
    "engine late": (LATE, "remote", "over budget"),
    "engine late, time to try it": (TRY, "both", "over budget"),
    "engine late, service gone": (gone(LATE), "local", "over budget"),
    "too hot": (Situation("ready", hot_c=91.0), "remote", "hot"),
    "too hot, service gone": (gone(Situation("ready", hot_c=91.0)), "local", "hot"),
    "too hot and late: it is not tried": (replace(TRY, hot_c=91.0), "remote", "hot"),
    "unsure": (Situation("ready", doubtful_score=0.45), "remote", "unsure"),
    "unsure, service gone": (gone(Situation("ready", doubtful_score=0.45)), "local", "unsure"),
    "unsure, and the engine has broken since": (Situation("broken", doubtful_score=0.45), "remote", "unsure"),
    "unsure, engine broken since, service gone": (gone(Situation("broken", doubtful_score=0.45)), "local", "unsure"),
}


@pytest.mark.parametrize(("situation", "place", "cause"), MOMENTS.values(), ids=MOMENTS.keys())
def test_the_sample_goes_where_it_should(situation: Situation, place: str, cause: str) -> None:
    decision = decide(situation)
    assert (decision.place, decision.cause) == (place, cause)


def test_a_local_answer_is_never_a_matter_of_the_service_while_all_is_well() -> None:
    assert decide(Situation("ready")) == decide(gone(Situation("ready")))


def test_the_reason_names_both_troubles_when_nobody_can_answer() -> None:
    decision = decide(gone(Situation("missing", "onnxruntime is not installed")))
    assert decision == Decision(
        "none", "missing", "no local engine (onnxruntime is not installed), and no model service is online"
    )


def test_the_reason_says_why_a_late_engine_answers_all_the_same() -> None:
    decision = decide(gone(LATE))
    assert decision.words == "the local engine took more than 0.25 s, but no model service is online"


def test_the_reason_gives_the_score_that_was_in_doubt_and_the_temperature() -> None:
    assert "0.45" in decide(Situation("ready", doubtful_score=0.45)).words
    assert "91 °C" in decide(Situation("ready", hot_c=91.2)).words
