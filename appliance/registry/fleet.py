"""Devices as the broker knows them: what they are to run, what they say to that, and how both are changed."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from appliance.commands import BadCommand, strict_json
from appliance.mailbox import Mailbox
from appliance.mqtt.connection import ConnectionGone, Greeting
from appliance.mqtt.incoming import Incoming
from appliance.mqtt.link import Link
from appliance.mqtt.settings import LinkSettings
from appliance.mqtt.topics import Topics
from appliance.registry.rollout import Course, Rollout
from appliance.sync.published import Reference
from appliance.sync.states import State

logger = logging.getLogger(__name__)

WAITING = 20_000
IDLE_S = 0.1


class Fleet:
    """Turns its connection while one of its methods runs."""

    def __init__(self, settings: LinkSettings, base: str) -> None:
        self.reported: dict[str, dict[str, Any]] = {}
        """Name of a device: its newest report."""
        self.desired: dict[str, dict[str, Any]] = {}
        self._base = base
        self._ready = threading.Condition()
        self._incoming: Mailbox[Incoming] = Mailbox(WAITING, self._ready)
        every = Topics(base, "+")
        self._leaf = {every.models_reported.rsplit("/", 1)[1]: self.reported}
        self._leaf[every.models_desired.rsplit("/", 1)[1]] = self.desired
        greeting = Greeting(subscriptions=(every.models_reported, every.models_desired))
        self._link = Link(settings, greeting, self._incoming, self._ready)

    @property
    def words(self) -> str:
        """How the connection is."""
        return self._link.words

    def listen(self, until: Callable[[], bool], within_s: float) -> bool:
        """Hear what devices say until this is so; false when it is not within the time."""
        deadline_s = time.monotonic() + within_s
        while not until():
            now_s = time.monotonic()
            if now_s > deadline_s:
                return False
            self._turn(now_s)
        return True

    def carry_out(self, rollout: Rollout, tell: Callable[[str], None], stopping: threading.Event) -> None:
        """Until it is done or stopped. `tell`: what happens, in words."""
        reference = rollout.plan.reference
        while rollout.course is Course.GOING and not stopping.is_set():
            self._turn(time.monotonic())
            for device in rollout.told:
                self._judge(rollout, device)
            due = rollout.tell(time.monotonic()) if self._link.up is not None else []
            for device in due:
                self.wish(device, reference)
            if due:
                tell(f"{reference}: {len(rollout.told)} devices told, {len(rollout.good)} have kept it")

    def wish(self, device: str, reference: Reference) -> None:
        """Desire this version of one device, and leave its other models as they are."""
        before = self.desired.get(device, {})
        numbers = [each.get("n", 0) for each in (before, self.reported.get(device, {}))]
        n = 1 + max(number for number in numbers if isinstance(number, int))
        models = before.get("models")
        models = dict(models) if isinstance(models, dict) else {}
        document = {"n": n, "models": models | {reference.model: {"version": reference.version}}}
        self.desired[device] = document
        topic = Topics(self._base, device).models_desired
        try:
            self._link.publish(topic, json.dumps(document).encode(), qos=1, retain=True)
        except ConnectionGone:
            logger.warning("%s: the connection was lost while it was told; the next rollout tells it again", device)

    def close(self) -> None:
        self._link.finish(1.0)

    def _judge(self, rollout: Rollout, device: str) -> None:
        reference = rollout.plan.reference
        report = self.reported.get(device, {})
        models = report.get("models")
        found = models.get(reference.model) if isinstance(models, dict) else None
        if not isinstance(found, dict) or found.get("version") != reference.version:
            return
        if found.get("state") == State.KEPT.value and found.get("active") == reference.version:
            rollout.kept(device)
        elif found.get("state") == State.RETURNED.value:
            rollout.returned(device, f"{device}: {str(found.get('reason'))[:300]}")

    def _turn(self, now_s: float) -> None:
        self._link.tend(now_s)
        self._link.events(now_s)
        for incoming in self._incoming.take_all(0):
            levels = incoming.topic.split("/")
            into = self._leaf.get(levels[-1])
            if into is None or len(levels) != 4:
                continue
            try:
                document = strict_json(incoming.payload) if incoming.payload else {}
            except BadCommand as error:
                logger.warning("%s: %s", incoming.topic, error)
                continue
            if isinstance(document, dict):
                into[levels[1]] = document
        with self._ready:
            self._ready.wait_for(lambda: len(self._incoming) or self._link.has_events, IDLE_S)
