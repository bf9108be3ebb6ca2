"""How many of each label a pipeline sees now, as retained documents; those of an earlier run are put right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from appliance.documents import Count
from appliance.mailbox import Mailbox
from appliance.mqtt.topics import Topics
from appliance.uplink.outgoing import Publish

MOST_INHERITED = 1024


class Counts:
    """`news` is called by the model thread, the rest by any."""

    def __init__(self, topics: Topics, pipeline: str, named: Collection[str] = ()) -> None:
        """`named`: labels whose count is told from the first answer on; of others a zero follows something else only,
        so that a model of 80 classes does not leave 80 topics on the broker."""
        self._topics = topics
        self._pipeline = pipeline
        self._named = frozenset(named)
        self._told: dict[str, int] = {}
        """What the broker keeps, as far as this run has told it."""
        self._begun = False
        self._inherited: Mailbox[str] = Mailbox(MOST_INHERITED)

    def inherit(self, topic: str) -> None:
        """The broker keeps a count on `topic` that may not be of this run: the next valid answer decides."""
        self._inherited.put(topic)

    @property
    def topics(self) -> list[str]:
        """Topics on which this run has told a count."""
        return [self._topics.count(self._pipeline, label) for label in list(self._told)]

    @property
    def labels(self) -> list[str]:
        """Of which this run has told a count."""
        return list(self._told)

    @property
    def due(self) -> bool:
        """Whether there is something to tell although nothing came or went: the first answer, and counts of an earlier
        run that wait to be put right."""
        return not self._begun or len(self._inherited) > 0

    def news(self, now: Counter[str], labels: Collection[str]) -> Iterator[Publish]:
        """What has changed since the last call; `labels` are all that the model can say."""
        self._begun = True
        known = self._told.keys() | now.keys() | (self._named & frozenset(labels))
        changed = {label: now[label] for label in known if now[label] != self._told.get(label)}
        for topic in self._inherited.take_all(0):
            label = next((label for label in labels if self._topics.count(self._pipeline, label) == topic), None)
            if label is None:
                yield Publish(topic, b"", qos=1, retain=True)
            else:
                changed[label] = now[label]
        self._told.update(changed)
        for label, count in changed.items():
            yield Publish(self._topics.count(self._pipeline, label), Count(count=count), qos=1, retain=True)
