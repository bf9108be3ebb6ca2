"""Retained documents are published again at every connect."""

from __future__ import annotations

from appliance.uplink.retained import Post, Retained

BIRTH = Post("available", b"online", 1, retain=True)


def state(topic: str, payload: bytes = b"x") -> Post:
    return Post(topic, payload, 1, retain=True)


def due(retained: Retained) -> list[Post]:
    posts = []
    while (post := retained.next()) is not None:
        posts.append(post)
    return posts


def test_the_birth_comes_first_and_every_topic_once_with_its_newest_document() -> None:
    retained = Retained(BIRTH)
    for post in (state("info"), state("health", b"1"), state("count", b"1"), state("health", b"2")):
        retained.remember(post)
    assert due(retained) == [BIRTH, state("info"), state("count", b"1"), state("health", b"2")]
    assert due(retained) == []


def test_a_new_connection_makes_all_of_it_due_again() -> None:
    retained = Retained(BIRTH)
    retained.remember(state("info"))
    due(retained)
    retained.all_due()
    assert due(retained) == [BIRTH, state("info")]


def test_a_new_birth_document_replaces_the_old_one_and_still_stands() -> None:
    retained = Retained(BIRTH)
    stopped = state("available", b"stopped")
    retained.remember(stopped)
    retained.all_due()
    assert due(retained) == [stopped]


def test_an_empty_document_is_sent_until_the_broker_has_it_and_then_forgotten() -> None:
    retained = Retained(BIRTH)
    retained.remember(state("source/dock"))
    gone = state("source/dock", b"")
    retained.remember(gone)
    assert due(retained) == [BIRTH, gone]
    retained.all_due()
    assert due(retained) == [BIRTH, gone]
    retained.done(gone)
    retained.all_due()
    assert due(retained) == [BIRTH]
    assert len(retained) == 1


def test_the_answer_to_a_deletion_does_not_delete_what_came_after_it() -> None:
    retained = Retained(BIRTH)
    gone, back = state("source/dock", b""), state("source/dock", b"online")
    retained.remember(gone)
    due(retained)
    retained.remember(back)
    retained.done(gone)
    assert due(retained) == [back]


def test_too_many_topics_give_way_oldest_first_but_never_the_birth() -> None:
    retained = Retained(BIRTH, most_topics=3)
    for number in range(5):
        retained.remember(state(f"count/{number}"))
    assert due(retained) == [BIRTH, state("count/3"), state("count/4")]
    assert retained.forgotten == 3


def test_too_many_bytes_give_way_likewise_and_a_single_large_one_stays() -> None:
    retained = Retained(BIRTH, most_bytes=1000)
    retained.remember(state("snapshot/1", b"x" * 600))
    retained.remember(state("snapshot/2", b"x" * 600))
    assert due(retained) == [BIRTH, state("snapshot/2", b"x" * 600)]
    retained.remember(state("snapshot/2", b"x" * 5000))
    assert [post.topic for post in due(retained)] == ["snapshot/2"]
    for number in range(100):
        retained.remember(state(f"count/{number}", b"x" * 9))
    assert retained.forgotten == 2
    assert len(retained) == 101


def test_what_was_refused_is_due_again_when_asked_for_and_only_the_newest() -> None:
    retained = Retained(BIRTH)
    old, new, other = state("health", b"1"), state("health", b"2"), state("info")
    for post in (old, other):
        retained.remember(post)
    due(retained)
    retained.refused(old)
    retained.refused(other)
    assert retained.any_refused
    retained.remember(new)
    assert due(retained) == [new]
    retained.refused(old)
    retained.ask_again()
    assert due(retained) == [other]
    assert not retained.any_refused


def test_a_new_connection_asks_for_everything_also_for_what_was_refused() -> None:
    retained = Retained(BIRTH)
    retained.remember(state("info"))
    due(retained)
    retained.refused(state("info"))
    retained.all_due()
    retained.ask_again()
    assert due(retained) == [BIRTH, state("info")]
