"""Retained documents, remembered to be published again at every connect: a broker that restarts has forgotten them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from appliance.result import Result


@dataclass(frozen=True, slots=True)
class Post:
    """One encoded message that is not spooled, ready to go."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    expires_s: int | None = None
    response_to: bytes | None = None
    made_ns: int = field(default=0, compare=False)
    """When the document was handed over; 0: it is not looked at."""
    result: Result | None = field(default=None, compare=False)
    """What it says, for whoever wants to know when that has gone out."""

    @property
    def is_answer(self) -> bool:
        """To a request; whoever asked may have named its topic."""
        return self.qos > 0 and not self.retain


class Retained:
    """The newest post of each topic, birth first, then longest unchanged first, and which the broker has yet to get."""

    def __init__(self, birth: Post, most_topics: int = 1000, most_bytes: int = 32 << 20) -> None:
        self.forgotten = 0
        """Posts that gave way because there were too many topics or bytes."""
        self._birth = birth.topic
        self._most_topics = most_topics
        self._most_bytes = most_bytes
        self._posts = {birth.topic: birth}
        self._due = {birth.topic: None}
        self._refused: dict[str, None] = {}
        self._bytes = len(birth.payload)

    def remember(self, post: Post) -> None:
        """Now due. An empty payload deletes the topic at the broker, and here once that is done."""
        self.forget(post.topic)
        self._posts[post.topic] = post
        self._due[post.topic] = None
        self._bytes += len(post.payload)
        while len(self._posts) > self._most_topics or (self._bytes > self._most_bytes and len(self._posts) > 2):
            self.forget(next(topic for topic in self._posts if topic != self._birth))
            self.forgotten += 1

    def forget(self, topic: str) -> None:
        """As if it had never been posted."""
        post = self._posts.pop(topic, None)
        self._due.pop(topic, None)
        self._refused.pop(topic, None)
        self._bytes -= len(post.payload) if post is not None else 0

    def all_due(self) -> None:
        """A new connection: the broker is to get everything again."""
        self._due = dict.fromkeys(self._posts)
        self._refused.clear()

    def next(self) -> Post | None:
        """Takes the next post that is due."""
        topic = next(iter(self._due), None)
        if topic is None:
            return None
        del self._due[topic]
        return self._posts[topic]

    def done(self, post: Post) -> None:
        """The broker has it."""
        if not post.payload and self._posts.get(post.topic) is post:
            self.forget(post.topic)

    def refused(self, post: Post) -> None:
        """The broker did not take it; `ask_again` makes it due."""
        if self._posts.get(post.topic) is post:
            self._refused[post.topic] = None

    def ask_again(self) -> None:
        """What was refused is due once more: somebody may have changed the broker's mind."""
        self._due.update(self._refused)
        self._refused.clear()

    @property
    def any_refused(self) -> bool:
        return bool(self._refused)

    def __len__(self) -> int:
        return len(self._posts)
