"""From the events of two pipelines to the events of what met: the model threads leave theirs, the main thread pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ulid import ULID

from appliance.config import Config
from appliance.config_pipeline import Pipeline
from appliance.mailbox import Mailbox
from appliance.mqtt.topics import Topics
from appliance.result import Event, Part, Together
from appliance.together.meeting import Meetings, Met, Rule, Side
from appliance.together.settings import Together as Settings
from appliance.uplink.outgoing import Outgoing, Spool

WAITING = 4096
"""Events of all pipelines that the main thread has not taken yet; it looks five times a second."""


@dataclass(frozen=True, slots=True)
class _Pair:
    settings: Settings
    meetings: Meetings


class Gathering:
    """`told` is for any thread, `tick` for the main thread."""

    def __init__(self, config: Config, topics: Topics, post: Callable[[Outgoing], None]) -> None:
        self._topics = topics
        self._post = post
        self._waiting: Mailbox[tuple[Event, float]] = Mailbox(WAITING)
        pipelines = {pipeline.name: pipeline for pipeline in config.pipeline}
        self._pairs = [_Pair(each, Meetings(rule_of(each, pipelines))) for each in config.together]
        self._names = frozenset(name for each in config.together for name in (each.picture, each.sound))

    def told(self, event: Event, at_s: float) -> None:
        """An event, and when it was captured (monotonic); never blocks."""
        if event.pipeline in self._names:
            self._waiting.put((event, at_s))

    def tick(self) -> None:
        """Publish what has met."""
        for event, at_s in self._waiting.take_all(0):
            for pair in self._pairs:
                for met in self._of(pair, event, at_s):
                    topic = self._topics.together(pair.settings.name)
                    document = together(pair.settings.name, met)
                    self._post(Spool(topic, document, stream=pair.settings.name))

    def _of(self, pair: _Pair, event: Event, at_s: float) -> list[Met]:
        sides: Mapping[str, Side] = {pair.settings.picture: "picture", pair.settings.sound: "sound"}
        side = sides.get(event.pipeline)
        return [] if side is None else pair.meetings.told(side, event, at_s)


def rule_of(settings: Settings, pipelines: Mapping[str, Pipeline]) -> Rule:
    """A life that goes on is told of every `update_s`, and its end at most `forget_s` after it."""

    def patience_s(name: str) -> float:
        return pipelines[name].update_s + pipelines[name].forget_s

    return Rule(
        within_s=settings.within_ms / 1000,
        picture_labels=settings.picture_labels,
        sound_labels=settings.sound_labels,
        picture_patience_s=patience_s(settings.picture),
        sound_patience_s=patience_s(settings.sound),
    )


def together(name: str, met: Met) -> Together:
    """The document; its time is that of whichever came last."""
    last = met.sound if met.apart_s >= 0 else met.picture
    synced = met.picture.clock == met.sound.clock == "synced"
    return Together(
        id=str(ULID()),
        device=last.device,
        name=name,
        at=last.at,
        clock="synced" if synced else "unsynced",
        apart_ms=round(met.apart_s * 1000, 1),
        picture=_part(met.picture),
        sound=_part(met.sound),
    )


def _part(event: Event) -> Part:
    assert event.after is not None, "what is new has a state"
    return Part(event.pipeline, event.source, event.id, event.seq, event.after, event.track)
