"""The circuit breaker, on a clock of the test's own."""

from __future__ import annotations

from random import Random

from appliance.backoff import Backoff
from appliance.remote.breaker import FAILURES_TO_OPEN, PROBES_TO_CLOSE, REST_FIRST_S, REST_MOST_S, Breaker


def make() -> Breaker:
    return Breaker(Backoff(REST_FIRST_S, REST_MOST_S, Random(1)))


def fail(breaker: Breaker, times: int, now_s: float) -> None:
    for _ in range(times):
        breaker.failed(breaker.asked(), "no answer came in time", now_s)


def opened(now_s: float = 0.0) -> Breaker:
    breaker = make()
    fail(breaker, FAILURES_TO_OPEN, now_s)
    return breaker


def test_single_failures_leave_it_closed() -> None:
    breaker = make()
    for _ in range(10):
        fail(breaker, FAILURES_TO_OPEN - 1, 0.0)
        breaker.answered(breaker.asked(), 0.0)
    assert breaker.state(0.0) == "closed"


def test_failures_in_a_row_open_it_and_it_says_why() -> None:
    breaker = opened()
    assert breaker.state(0.0) == "open"
    assert not breaker.allows(0.0)
    assert breaker.words == "no answer came in time"


def test_after_a_rest_one_question_at_a_time_goes_out() -> None:
    breaker = opened()
    assert breaker.allows(REST_FIRST_S)
    first = breaker.asked()
    assert not breaker.allows(REST_FIRST_S)
    breaker.answered(first, REST_FIRST_S)
    assert breaker.allows(REST_FIRST_S)


def test_it_closes_when_enough_probes_were_answered() -> None:
    breaker = opened()
    for _ in range(PROBES_TO_CLOSE):
        assert breaker.state(1.0) == "half-open"
        breaker.answered(breaker.asked(), 1.0)
    assert breaker.state(1.0) == "closed"


def test_a_failed_probe_opens_it_for_longer() -> None:
    breaker, now_s, rests = opened(), 0.0, []
    for _ in range(8):
        woken_s = breaker.wakes_s()
        assert woken_s is not None
        rests.append(woken_s - now_s)
        now_s = woken_s
        fail(breaker, 1, now_s)
    assert rests[0] <= REST_FIRST_S
    assert rests[-1] > REST_MOST_S / 2
    assert max(rests) <= REST_MOST_S


def test_questions_from_before_it_opened_do_not_open_it_again() -> None:
    breaker = make()
    stale = [breaker.asked() for _ in range(4)]
    fail(breaker, FAILURES_TO_OPEN, 0.0)
    probe_s = REST_FIRST_S
    assert breaker.allows(probe_s), "what was asked before is no probe"
    for each in stale:
        breaker.failed(each, "no answer came in time", probe_s)
    assert breaker.state(probe_s) == "half-open"


def test_news_of_the_service_shorten_the_rest() -> None:
    breaker = opened(now_s=10.0)
    breaker.hurry(10.01)
    assert breaker.state(10.01) == "half-open"


def test_a_withdrawn_probe_makes_room_for_the_next() -> None:
    breaker = opened()
    breaker.withdrawn(_probe(breaker))
    assert breaker.allows(REST_FIRST_S)


def _probe(breaker: Breaker) -> int:
    assert breaker.allows(REST_FIRST_S)
    return breaker.asked()
