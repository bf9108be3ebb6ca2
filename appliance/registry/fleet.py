"""Devices as the broker knows them: which models they are to run, what they say to that, and how both are changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from appliance.mqtt.settings import LinkSettings
from appliance.registry.pairs import Pairs
from appliance.registry.rollout import Course, Rollout
from appliance.sync.published import Reference
from appliance.sync.states import State


class Fleet(Pairs):
    """Turns its connection while one of its methods runs."""

    def __init__(self, settings: LinkSettings, base: str) -> None:
        super().__init__(settings, base, lambda at: at.models_desired, lambda at: at.models_reported)

    def carry_out(self, rollout: Rollout, tell: Callable[[str], None], stopping: threading.Event) -> None:
        """Until it is done or stopped. `tell`: what happens, in words."""
        reference = rollout.plan.reference
        while rollout.course is Course.GOING and not stopping.is_set():
            self.turn(time.monotonic())
            for device in rollout.told:
                self._judge(rollout, device)
            due = rollout.tell(time.monotonic()) if self.connected else []
            for device in due:
                self.wish_version(device, reference)
            if due:
                tell(f"{reference}: {len(rollout.told)} devices told, {len(rollout.good)} have kept it")

    def wish_version(self, device: str, reference: Reference) -> None:
        """Desire this version of one device, and leave its other models as they are."""
        models = self.desired.get(device, {}).get("models")
        models = dict(models) if isinstance(models, dict) else {}
        models[reference.model] = {"version": reference.version}
        self.wish(device, {"n": self.next_number(device), "models": models})

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
