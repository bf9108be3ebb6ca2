"""Where a stream stands: order, refusals, what the receiver has."""

from __future__ import annotations

from random import Random

import pytest

from appliance.mqtt.reasons import Verdict
from appliance.outbox.rows import Kept, Stream
from appliance.uplink.flow import LINGERING, MOST_REFUSALS, WAITS_S, Flow


class Sending:
    """A flow over documents 1 to `last`, and a broker that answers when told."""

    def __init__(self, last: int, *, end_to_end: bool = False, require_subscriber: bool = True) -> None:
        stream = Stream(1, "people", "0123456789ab", last=last)
        self.flow = Flow(stream, end_to_end=end_to_end, require_subscriber=require_subscriber, random=Random(1))
        self.last = last
        self.gone: set[int] = set()
        """Documents that the outbox has dropped meanwhile."""
        self.now_s = 0.0

    def read(self, after: int) -> list[Kept]:
        wanted = [seq for seq in range(after + 1, self.last + 1) if seq not in self.gone]
        return [Kept(1, seq, "topic", b"") for seq in wanted[:5]]

    def send(self, most: int = 20) -> list[int]:
        """Send all that may be sent now; gives the numbers."""
        sent: list[int] = []
        while len(sent) < most and (kept := self.flow.next(self.now_s, self.last, self.read)) is not None:
            self.flow.took(kept)
            sent.append(kept.seq)
        return sent

    def answer(self, seq: int, verdict: Verdict = Verdict.DONE, attempt: int | None = None) -> bool:
        attempt = self.flow.attempt if attempt is None else attempt
        return self.flow.answered(seq, attempt, verdict, self.now_s)

    def begin(self) -> None:
        """Past the first document, which travels alone."""
        assert self.send() == [1]
        self.answer(1)


def test_the_first_after_a_connect_travels_alone_then_the_window_opens() -> None:
    sending = Sending(8)
    assert sending.send() == [1]
    assert sending.send() == []
    sending.answer(1)
    assert sending.send(most=4) == [2, 3, 4, 5]
    sending.flow.restart(sending.last)
    assert sending.send() == [2]


def test_a_stream_is_acknowledged_up_to_the_first_that_is_not() -> None:
    sending = Sending(6)
    sending.begin()
    assert sending.send() == [2, 3, 4, 5, 6]
    sending.answer(4)
    sending.answer(2)
    assert sending.flow.acknowledged == 2
    sending.answer(3)
    assert sending.flow.acknowledged == 4


def test_what_was_dropped_meanwhile_holds_nothing_up() -> None:
    sending = Sending(12)
    sending.gone = {2, 3, 8, 11, 12}
    sending.begin()
    assert sending.send() == [4, 5, 6, 7, 9, 10]
    for seq in (4, 5, 6, 7, 9, 10):
        sending.answer(seq)
    assert sending.send() == []
    assert sending.flow.acknowledged == 12


@pytest.mark.parametrize("verdict", [Verdict.BUSY, Verdict.FORBIDDEN, Verdict.NOBODY_LISTENS])
def test_a_refused_document_waits_and_is_tried_alone_as_often_as_it_takes(verdict: Verdict) -> None:
    first_s, longest_s = WAITS_S[verdict]
    sending = Sending(3)
    for attempt in range(5 * MOST_REFUSALS):
        assert sending.send() == [1]
        assert sending.answer(1, verdict) is False
        assert sending.flow.refused is verdict
        wait_s = min(first_s * 2**attempt, longest_s)
        sending.now_s += 0.49 * wait_s
        assert sending.send() == []
        sending.now_s += 0.52 * wait_s
    sending.begin()
    assert sending.flow.refused is None
    assert sending.send() == [2, 3]


def test_a_document_refused_without_a_reason_is_given_up_at_last_and_the_next_one_goes() -> None:
    sending = Sending(3)
    for attempt in range(MOST_REFUSALS):
        assert sending.send() == [1]
        given_up = sending.answer(1, Verdict.UNEXPLAINED)
        assert given_up is (attempt == MOST_REFUSALS - 1)
        sending.now_s += 20.0
    sending.flow.skip(1)
    assert sending.flow.acknowledged == 1
    assert sending.send() == [2]


def test_refusals_count_only_in_a_row() -> None:
    sending = Sending(3)
    for verdict in (Verdict.UNEXPLAINED, Verdict.BUSY) * MOST_REFUSALS:
        assert sending.send() == [1]
        assert sending.answer(1, verdict) is False
        sending.now_s += 20.0


def test_one_that_will_never_be_taken_is_skipped_and_the_order_kept() -> None:
    sending = Sending(5)
    sending.begin()
    assert sending.send() == [2, 3, 4, 5]
    assert sending.answer(3, Verdict.UNACCEPTABLE) is True
    sending.flow.skip(3)
    sending.answer(2)
    assert sending.flow.acknowledged == 3


def test_after_a_refusal_in_the_window_everything_from_the_first_unanswered_is_sent_again() -> None:
    sending = Sending(5)
    sending.begin()
    assert sending.send() == [2, 3, 4, 5]
    before = sending.flow.attempt
    sending.answer(2)
    sending.answer(3, Verdict.FORBIDDEN)
    sending.now_s += 100.0
    assert sending.send() == [], "the answers to 4 and 5 are still on their way"
    sending.answer(4, Verdict.DONE, attempt=before)
    sending.answer(5, Verdict.FORBIDDEN, attempt=before)
    assert sending.flow.acknowledged == 2
    assert sending.send() == [3]
    assert sending.flow.resent == 1


def test_answers_that_died_with_the_connection_are_not_waited_for() -> None:
    sending = Sending(5)
    sending.begin()
    sending.send()
    sending.answer(2, Verdict.BUSY)
    sending.flow.restart(sending.last)
    assert sending.send() == [2]


def test_without_the_need_for_a_subscriber_nobody_listening_is_good_enough() -> None:
    sending = Sending(2, require_subscriber=False)
    assert sending.send() == [1]
    sending.answer(1, Verdict.NOBODY_LISTENS)
    assert sending.flow.acknowledged == 1


def test_with_a_collector_only_its_word_counts() -> None:
    sending = Sending(3, end_to_end=True)
    sending.begin()
    sending.send()
    for seq in (2, 3):
        sending.answer(seq)
    assert sending.flow.acknowledged == 0
    assert sending.flow.unconfirmed == 3
    sending.flow.confirm(2, 0.0)
    assert sending.flow.acknowledged == 2
    sending.flow.confirm(1, 0.0)
    assert sending.flow.acknowledged == 2


def test_a_collector_that_confirms_nothing_gets_it_again_after_a_while() -> None:
    sending = Sending(2, end_to_end=True)
    sending.begin()
    sending.send()
    sending.answer(2)
    sending.flow.confirm(1, 0.0)
    sending.flow.resend_if_silent(9.0, after_s=10.0)
    assert sending.send() == []
    sending.flow.resend_if_silent(11.0, after_s=10.0)
    assert sending.send() == [2]
    sending.answer(2)
    sending.flow.confirm(2, 12.0)
    sending.flow.resend_if_silent(100.0, after_s=10.0)
    assert sending.send() == []


def test_what_a_collector_has_is_not_sent_after_a_reconnect() -> None:
    sending = Sending(10, end_to_end=True)
    sending.begin()
    sending.send()
    sending.flow.confirm(7, 0.0)
    sending.flow.restart(sending.last)
    assert sending.send() == [8]


def test_what_was_acknowledged_shortly_before_the_broker_died_is_sent_again() -> None:
    sending = Sending(3)
    for seq, now_s in ((1, 0.0), (2, 10.0), (3, 20.0)):
        sending.now_s = now_s
        assert sending.send(most=1) == [seq]
        sending.answer(seq)
        sending.flow.note_passed(now_s)
    assert sending.flow.safe(until_s=5.0) == 1
    assert sending.flow.lose(since_s=15.0) == 2
    sending.flow.restart(sending.last)
    assert sending.send() == [3]


def test_no_more_lingers_than_a_broker_queues() -> None:
    sending = Sending(LINGERING + 500)
    sending.begin()
    while sent := sending.send():
        for seq in sent:
            sending.answer(seq)
    sending.flow.note_passed(0.0)
    assert sending.flow.safe(until_s=-1.0) == 500


def test_documents_of_before_the_connection_are_known() -> None:
    sending = Sending(3)
    sending.last = 5
    assert sending.flow.older_than_connection == 3
    sending.flow.restart(5)
    assert sending.flow.older_than_connection == 5
