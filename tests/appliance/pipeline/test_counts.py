"""Retained counts: told when they change, and put right when an earlier run left them behind."""

from __future__ import annotations

from collections import Counter

from appliance.mqtt.topics import Topics
from appliance.pipeline.counts import Counts

TOPICS = Topics("appliance", "box")
LABELS = ("cat", "dog", "a/b")


def told(counts: Counts, **now: int) -> dict[str, object]:
    return {news.topic.rsplit("/", 1)[-1]: news.document for news in counts.news(Counter(now), LABELS)}


def test_only_changes_are_told_and_zero_is_one() -> None:
    counts = Counts(TOPICS, "p")
    assert told(counts, cat=2) == {"cat": {"count": 2}}
    assert told(counts, cat=2) == {}
    assert told(counts, dog=1) == {"cat": {"count": 0}, "dog": {"count": 1}}
    assert told(counts) == {"dog": {"count": 0}}


def test_a_model_of_many_labels_tells_only_what_it_has_seen() -> None:
    counts = Counts(TOPICS, "p")
    many = [f"kind {number}" for number in range(80)]
    assert list(counts.news(Counter(), many)) == []
    assert len(list(counts.news(Counter({"kind 7": 1}), many))) == 1


def test_a_label_that_the_configuration_names_is_told_from_the_first_answer_on() -> None:
    counts = Counts(TOPICS, "p", named=("dog", "a label that the model never says"))
    assert told(counts) == {"dog": {"count": 0}}
    assert told(counts, dog=1) == {"dog": {"count": 1}}
    assert told(counts, dog=1) == {}


def test_a_count_of_an_earlier_run_is_put_right_by_the_first_answer() -> None:
    counts = Counts(TOPICS, "p")
    counts.inherit("appliance/box/pipeline/p/count/cat")
    assert told(counts) == {"cat": {"count": 0}}
    assert told(counts) == {}


def test_an_inherited_count_of_what_is_seen_now_is_told_as_it_is() -> None:
    counts = Counts(TOPICS, "p")
    told(counts, cat=2)
    counts.inherit("appliance/box/pipeline/p/count/cat")
    assert told(counts, cat=2) == {"cat": {"count": 2}}


def test_a_label_that_no_topic_can_hold_is_found_by_its_topic() -> None:
    counts = Counts(TOPICS, "p")
    counts.inherit("appliance/box/pipeline/p/count/a-b")
    assert told(counts) == {"a-b": {"count": 0}}


def test_the_count_of_a_label_that_another_model_said_is_cleared() -> None:
    counts = Counts(TOPICS, "p")
    counts.inherit("appliance/box/pipeline/p/count/zebra")
    assert told(counts) == {"zebra": b""}
