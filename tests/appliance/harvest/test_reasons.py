"""Which samples are kept, and why: a table."""

from __future__ import annotations

import pytest

from appliance.harvest.basket import Basket
from appliance.harvest.reasons import why
from appliance.harvest.settings import Harvest
from engines.predictions import Answer
from tests.appliance.harvest.samples import OTHER, found, frame, labels, said

BOX, ELSEWHERE = (0.0, 0.0, 20.0, 20.0), (60.0, 60.0, 90.0, 90.0)
UNSURE, BOTH, DISAGREED = (
    Harvest(unsure_between=(0.4, 0.6)),
    Harvest(unsure_between=(0.4, 0.6), disagreed=True),
    Harvest(disagreed=True),
)

MOMENTS: dict[str, tuple[Harvest, Answer, Answer | None, str | None]] = {
    "sure of itself": (UNSURE, labels(red=0.9), None, None),
    "between the two": (UNSURE, labels(red=0.5), None, "unsure"),
    "the best label counts": (UNSURE, labels(red=0.9, blue=0.5), None, None),
    "one object of two": (UNSURE, found(("red", 0.9, BOX), ("red", 0.5, ELSEWHERE)), None, "unsure"),
    "nothing was found": (UNSURE, found(), None, None),
    "another label": (BOTH, labels(red=0.9), labels(blue=0.9), "disagreed"),
    "the same label, unsure": (BOTH, labels(red=0.5), labels(red=0.9), "unsure"),
    "another label, unsure": (BOTH, labels(red=0.5), labels(blue=0.9), "disagreed"),
    "another place": (DISAGREED, found(("red", 0.9, BOX)), found(("red", 0.9, ELSEWHERE)), "disagreed"),
    "one more object": (DISAGREED, found(), found(("red", 0.9, BOX)), "disagreed"),
    "nobody else was asked": (DISAGREED, labels(red=0.5), None, None),
    "not asked for": (UNSURE, labels(red=0.9), labels(blue=0.9), None),
}


@pytest.mark.parametrize("name", MOMENTS)
def test_the_reason(name: str) -> None:
    settings, answer, other, expected = MOMENTS[name]
    reason = why(settings, answer, other)
    assert (reason[0] if reason else None) == expected


def test_a_basket_gives_the_newest_and_counts_the_others() -> None:
    basket = Basket(UNSURE)
    for seq in range(5):
        basket.answered(frame(seq), said(labels(red=0.5)))
    basket.answered(frame(9), said(labels(red=0.9)))
    newest, others = basket.take()
    assert newest is not None
    assert newest.sample.seq == 4
    assert others == 4
    assert basket.take() == (None, 0)


def test_a_disagreement_goes_before_doubts_that_came_later() -> None:
    basket = Basket(BOTH)
    basket.answered(frame(1), said(labels(red=0.5)), said(labels(blue=0.8), "shadow", OTHER))
    for seq in range(2, 5):
        basket.answered(frame(seq), said(labels(red=0.5)))
    first, others = basket.take()
    assert first is not None
    assert (first.sample.seq, first.reason, others) == (1, "disagreed", 3)


def test_a_basket_keeps_what_both_have_said() -> None:
    basket = Basket(DISAGREED)
    basket.answered(frame(), said(labels(red=0.9)), said(labels(blue=0.8), "shadow", OTHER))
    candidate, _ = basket.take()
    assert candidate is not None
    assert candidate.why == "they agree on 0% of what either says"
    assert candidate.other is not None
    assert candidate.other.by == "shadow"
