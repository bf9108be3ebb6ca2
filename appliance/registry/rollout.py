"""A version for more and more devices, for as long as it holds on those that have it. Rules without clock or broker."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from appliance.sync.published import Reference


class Course(Enum):
    """How a rollout stands."""

    GOING = "going"
    DONE = "done"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is rolled out, and how carefully."""

    reference: Reference
    shares: tuple[float, ...]
    """Of all devices, 0 to 1, rising: so many have it after each stage."""
    success: float
    """Share of those that have been told that must have kept it before the next stage."""
    error: float
    """Share of those that have been told; more that have returned it stop everything."""
    patience_s: float
    """A stage that takes longer stops everything."""


class Rollout:
    """`tell` says whom to tell next; `kept` and `returned` say what became of them."""

    def __init__(self, devices: Iterable[str], plan: Plan, now_s: float) -> None:
        self.plan = plan
        self.course = Course.GOING
        self.reason = ""
        self.told: list[str] = []
        self.good: set[str] = set()
        self.bad: dict[str, str] = {}
        """Name of a device: why it has returned it."""
        # The same devices are not always the first, and the order does not change when it is looked at again.
        self._devices = sorted(set(devices), key=lambda name: _lot(plan.reference, name))
        self._stage = 0
        self._since_s = now_s

    def kept(self, device: str) -> None:
        """It has the version, and has kept it."""
        if device in self.told:
            self.good.add(device)
            self.bad.pop(device, None)

    def returned(self, device: str, reason: str) -> None:
        """It is back at the version before."""
        if device in self.told:
            self.bad[device] = reason
            self.good.discard(device)

    def tell(self, now_s: float) -> list[str]:
        """Devices that are to be told now; none while a stage goes on, or once it is over."""
        if self.course is not Course.GOING:
            return []
        if self.told and len(self.bad) > self.plan.error * len(self.told):
            self._stop(f"{len(self.bad)} of {len(self.told)} devices have returned it: {next(iter(self.bad.values()))}")
            return []
        if self.told and len(self.good) < self.plan.success * len(self.told):
            if now_s - self._since_s > self.plan.patience_s:
                words = f"did not come to an end in {self.plan.patience_s:.0f} s"
                self._stop(f"{self._open} of {len(self.told)} devices {words}")
            return []
        if len(self.told) == len(self._devices):
            if self._open == 0 or now_s - self._since_s > self.plan.patience_s:
                self.course = Course.DONE
            return []
        return self._next(now_s)

    @property
    def _open(self) -> int:
        """Devices that have been told, and have not come to an end."""
        return len(self.told) - len(self.good) - len(self.bad)

    def _next(self, now_s: float) -> list[str]:
        share = self.plan.shares[self._stage] if self._stage < len(self.plan.shares) else 1.0
        self._stage += 1
        self._since_s = now_s
        most = max(len(self.told) + 1, round(share * len(self._devices)))
        told = self._devices[len(self.told) : most]
        self.told += told
        return told

    def _stop(self, reason: str) -> None:
        self.course, self.reason = Course.STOPPED, reason


def _lot(reference: Reference, device: str) -> bytes:
    return hashlib.sha256(f"{reference} {device}".encode()).digest()
