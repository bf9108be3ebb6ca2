"""Retained documents that an earlier run, or an earlier configuration, left on the broker: cleared or put right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from appliance.uplink.outgoing import Publish

if TYPE_CHECKING:
    from appliance.assembly import Assembly
    from appliance.mqtt.incoming import Incoming
    from appliance.mqtt.topics import Topics


def put_right(incoming: Incoming, topics: Topics, assembly: Assembly) -> Publish | None:
    """What to publish about a document of our own that came back to us; counts go to their pipeline."""
    if not incoming.retain or not incoming.payload:
        return None
    match incoming.topic.removeprefix(topics.root + "/").split("/"):
        case ["source", name, _]:
            known = name in assembly.feeds
        case ["pipeline", name, "count", _] if name in assembly.pipelines:
            assembly.pipelines[name].counts.inherit(incoming.topic)
            return None
        case ["pipeline", name, *_]:
            known = name in assembly.pipelines
        case _:
            return None
    return None if known else Publish(incoming.topic, b"", qos=1, retain=True)


def of_reload(before: Assembly, after: Assembly, topics: Topics) -> Iterator[Publish]:
    """Clears what belongs to sources and pipelines that are gone; counts of those that stay are inherited."""
    for source in before.feeds.keys() - after.feeds.keys():
        yield Publish(topics.source_available(source), b"", qos=1, retain=True)
        yield Publish(topics.state("source", source), b"", qos=1, retain=True)
    for name, pipeline in before.pipelines.items():
        heir = after.pipelines.get(name)
        for topic in pipeline.counts.topics:
            if heir is not None:
                heir.counts.inherit(topic)
            else:
                yield Publish(topic, b"", qos=1, retain=True)
        if heir is None:
            yield Publish(topics.state("pipeline", name), b"", qos=1, retain=True)
            yield Publish(topics.snapshot(name), b"", qos=1, retain=True)
