"""What goes to the broker next, and what its answers mean. Owns no thread and is used by one, the uplink's."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from appliance.backoff import Backoff
from appliance.histogram import Histogram
from appliance.mqtt.connection import (
    Acknowledged,
    ConnectionGone,
    Down,
    Unsendable,
    Up,
    packet_bytes,
    properties_of,
)
from appliance.mqtt.link import Link
from appliance.mqtt.properties import Written
from appliance.mqtt.reasons import puback_words
from appliance.outbox.outbox import Outbox
from appliance.outbox.rows import Kept
from appliance.result import Result
from appliance.uplink.flow import Flow
from appliance.uplink.pace import Ramp
from appliance.uplink.poison import PoisonGuard
from appliance.uplink.retained import Post, Retained
from appliance.uplink.streams import Streams

logger = logging.getLogger(__name__)

MOST_BYTES_FLYING = 512 << 10
"""Unanswered at QoS 1: on a slow line the rest waits on disk, not in socket buffers."""
MOST_LIVE = 64
MOST_LIVE_BYTES = 4 << 20
"""Unsent at QoS 0: a line that is slower than the cameras gets fewer results, not older ones."""
MOST_ANSWERS = 256
UNANSWERED_S = 60.0
"""A broker that keeps the connection and answers nothing for so long is given up."""
ASK_AGAIN_S = (5.0, 60.0)
"""First and longest wait until retained documents that were refused are tried again."""
MOST_CONVICTED = 3
"""Documents given up in a row because the connection ends with them. If none is taken in between, it is not they."""


@dataclass(frozen=True, slots=True)
class _Flight:
    """One message on its way: a post, or a document of a stream."""

    size: int
    sent_s: float
    post: Post | None = None
    flow: Flow | None = None
    kept: Kept | None = None
    attempt: int = 0

    @property
    def key(self) -> Hashable | None:
        """Names the message over several connections; None for what is not sent again."""
        if self.kept is not None:
            return self.kept.stream, self.kept.seq
        return self.post.topic if self.post is not None and self.post.retain else None


class Sender:
    """Retained documents first, then answers to requests, then the streams in turn; results at QoS 0 at any time."""

    def __init__(self, link: Link, birth: Post, drain_per_s: float) -> None:
        """`drain_per_s`: most documents a second, but never fewer than come in."""
        self.streams: Streams | None = None
        """None while the outbox is not open."""
        self.heard_s = 0.0
        """When the broker last answered a message."""
        self.dropped: Counter[str] = Counter()
        """Posts that did not go out, by reason."""
        self.sent = 0
        """Posts that did."""
        self.on_sent: Callable[[Result], None] | None = None
        """Told of every result at QoS 0 once it is written to the connection; never blocks."""
        self.live_times = Histogram()
        """Of results at QoS 0: from handing them over until they are written to the connection."""
        self.alarms: dict[str, str] = {}
        self._link = link
        self._up: Up | None = None
        self._flights: dict[int, _Flight] = {}
        self._flying = 0
        self._flying_bytes = 0
        self._live = 0
        self._live_bytes = 0
        self._retained = Retained(birth)
        self._answers: deque[Post] = deque()
        self._ask_again_at_s = 0.0
        self._asking = Backoff(*ASK_AGAIN_S)
        self._poison = PoisonGuard(innocent=birth.topic)
        self._convicted = 0
        self.ramp = Ramp(drain_per_s)
        self.held_back_s = 0.0
        """How long the pace holds the next document back."""
        self._historical = Written(user=[("historical", "true")])

    @property
    def in_flight(self) -> int:
        """Messages at QoS 1 that the broker has not answered."""
        return self._flying

    # From us.

    def post(self, post: Post, now_s: float) -> None:
        """Send, remember or drop something that is not spooled."""
        if post.retain:
            self._retained.remember(post)
        elif self._up is None:
            self.dropped["not connected"] += 1
        elif post.qos > 0:
            self._answers.append(post)
            if len(self._answers) > MOST_ANSWERS:
                self._answers.popleft()
                self.dropped["too many answers at once"] += 1
        elif self._live >= MOST_LIVE or self._live_bytes + len(post.payload) > MOST_LIVE_BYTES:
            self.dropped["the line is slow"] += 1
        else:
            self._guarded_launch(post, now_s)

    def _guarded_launch(self, post: Post, now_s: float) -> None:
        try:
            self._launch_post(post, now_s)
        except ConnectionGone as e:
            self.dropped["not connected"] += 1
            self._link.give_up(str(e))

    # From the broker.

    def connected(self, up: Up, now_s: float) -> None:
        self._up = up
        self.heard_s = now_s
        self.alarms.clear()
        if self._convicted >= MOST_CONVICTED:
            self.alarms["outbox"] = (
                "the connection ends whatever is sent from it: nothing more is given up; see the broker"
            )
        self._ask_again_at_s = 0.0
        self._retained.all_due()
        self.ramp.restart()
        if self.streams is not None:
            self.streams.connected()

    def disconnected(self, down: Down, outbox: Outbox | None, now_s: float) -> None:
        """What is unanswered will be sent again, and what was answered so lately that the broker may have lost it."""
        was_up, self._up = self._up is not None, None
        keys = [flight.key for flight in self._flights.values() if flight.post is None or flight.post.qos > 0]
        self.dropped["lost on the way"] += sum(flight.key is None for flight in self._flights.values())
        self.dropped["not connected"] += len(self._answers)
        self._flights.clear()
        self._answers.clear()
        self._flying = self._flying_bytes = self._live = self._live_bytes = 0
        convicted = self._poison.ended(keys, now_s, down.blame) if was_up else None
        if convicted is not None:
            self._convict(convicted, down.words, outbox)
        if down.blame and self._convicted < MOST_CONVICTED and (convicted is not None or self._poison.alone(now_s)):
            self._link.hurry(now_s)
        if was_up and self.streams is not None:
            self.streams.disconnected(self.heard_s)

    def _convict(self, key: Hashable, words: str, outbox: Outbox | None) -> None:
        if isinstance(key, str):
            logger.error("%s: whenever it is sent the connection ends (%s); it is given up", key, words)
            self._retained.forget(key)
            self.dropped["the broker ends the connection"] += 1
        elif isinstance(key, tuple) and outbox is not None:
            if self._convicted >= MOST_CONVICTED:
                return
            self._convicted += 1
            stream, seq = key
            logger.error("document %d: whenever it is sent the connection ends (%s); it is given up", seq, words)
            outbox.bury(stream, seq, "the broker ends the connection")

    def answered(self, event: Acknowledged, now_s: float) -> None:
        flight = self._flights.pop(event.mid, None)
        if flight is None:
            return
        if flight.post is not None and flight.post.qos == 0:
            self._live -= 1
            self._live_bytes -= flight.size
            self.sent += 1
            if flight.post.result is not None and self.on_sent is not None:
                self.on_sent(flight.post.result)
            if not flight.post.retain:
                self.live_times.add((time.monotonic_ns() - flight.post.made_ns) / 1e9)
            return
        self.heard_s = now_s
        self._flying -= 1
        self._flying_bytes -= flight.size
        if flight.key is not None:
            self._poison.answered(flight.key)
        if flight.post is not None:
            self._post_answered(flight.post, event.code, now_s)
            return
        if self._convicted:
            self._convicted = 0
            self.alarms.pop("outbox", None)
        if flight.flow is not None and flight.kept is not None and self.streams is not None:
            self.streams.answered(flight.flow, flight.kept, flight.attempt, event.code, now_s)

    def _post_answered(self, post: Post, code: int, now_s: float) -> None:
        if code < 0x80:
            self.sent += 1
            self._retained.done(post)
            if self.alarms.pop(post.topic, None) is not None:
                self._asking.reset()
            return
        self.dropped["refused by the broker"] += 1
        self._complain(post, puback_words(code))
        self._retained.refused(post)
        if now_s >= self._ask_again_at_s:
            self._ask_again_at_s = now_s + self._asking.next_s()

    def _complain(self, post: Post, words: str) -> None:
        """Until the topic is taken after all; of an answer once, for there is no end of topics to ask for."""
        if self.alarms.get(post.topic) != words:
            logger.error("%s: %s", post.topic, words)
        if not post.is_answer:
            self.alarms[post.topic] = words

    # To the broker.

    def send(self, now_s: float) -> None:
        """Fill the window."""
        self.held_back_s = 0.0
        if self._retained.any_refused and now_s >= self._ask_again_at_s:
            self._retained.ask_again()
        try:
            while self._room(now_s) and self._send_one(now_s):
                pass
        except ConnectionGone as e:
            self._link.give_up(str(e))
        oldest = next(iter(self._flights.values()), None)
        if oldest is not None and now_s > max(oldest.sent_s, self.heard_s) + UNANSWERED_S:
            self._link.give_up(f"no answer to our messages for {UNANSWERED_S:g} s")

    def _room(self, now_s: float) -> bool:
        if self._up is None:
            return False
        window = 1 if self._poison.alone(now_s) else self._up.window
        return self._flying < window and self._flying_bytes < MOST_BYTES_FLYING

    def _send_one(self, now_s: float) -> bool:
        """One message at QoS 1 or one retained; False when there is none to send now."""
        if (post := self._retained.next()) is not None:
            self._launch_post(post, now_s)
            return True
        if self._answers:
            self._launch_post(self._answers[0], now_s)
            self._answers.popleft()
            return True
        found = self.streams.next(now_s) if self.streams is not None else None
        if found is None:
            return False
        if found[0].refused is not None:
            self.ramp.restart()
        self.held_back_s = self.ramp.wait_s(now_s)
        if self.held_back_s:
            return False
        self._launch_document(*found, now_s)
        self.ramp.spend()
        return True

    def _launch_post(self, post: Post, now_s: float) -> None:
        properties = _properties(post)
        try:
            self._fits(post.topic, post.payload, properties)
            self._launch(_Flight(len(post.payload), now_s, post=post), post.topic, post.payload, properties)
        except Unsendable as e:
            self._retained.forget(post.topic)
            self.dropped["not sendable"] += 1
            self._complain(post, str(e))

    def _launch_document(self, flow: Flow, kept: Kept, now_s: float) -> None:
        assert self.streams is not None
        properties = self._historical if kept.seq <= flow.older_than_connection else None
        flight = _Flight(len(kept.payload), now_s, flow=flow, kept=kept, attempt=flow.attempt)
        try:
            self._fits(kept.topic, kept.payload, properties)
            self._launch(flight, kept.topic, kept.payload, properties)
        except Unsendable as e:
            self.streams.bury(flow, kept, str(e))
            return
        flow.took(kept)

    def _fits(self, topic: str, payload: bytes, properties: Properties | None) -> None:
        assert self._up is not None
        if len(payload) + len(topic) * 4 + 256 < self._up.largest_bytes:
            return
        size = packet_bytes(topic, payload, properties)
        if size > self._up.largest_bytes:
            raise Unsendable(f"{size} bytes are more than the broker takes ({self._up.largest_bytes})")

    def _launch(self, flight: _Flight, topic: str, payload: bytes, properties: Properties | None) -> None:
        qos, retain = (flight.post.qos, flight.post.retain) if flight.post is not None else (1, False)
        mid = self._link.publish(topic, payload, qos=qos, retain=retain, properties=properties)
        if mid in self._flights:
            raise ConnectionGone("message numbers went round before an answer came")
        self._flights[mid] = flight
        if qos == 0:
            self._live += 1
            self._live_bytes += flight.size
        else:
            self._flying += 1
            self._flying_bytes += flight.size


def _properties(post: Post) -> Properties | None:
    if post.expires_s is None and post.response_to is None:
        return None
    properties = properties_of(PacketTypes.PUBLISH)
    if post.expires_s is not None:
        properties.MessageExpiryInterval = post.expires_s
    if post.response_to is not None:
        properties.CorrelationData = post.response_to
    return properties
