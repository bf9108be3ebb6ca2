"""How hot the device is: the hottest of the thermal zones that Linux tells of."""

from __future__ import annotations

from pathlib import Path

SYS = Path("/sys")
PLAUSIBLE_C = (-40.0, 150.0)
"""A zone without a sensor tells nonsense, such as -256 on a Jetson whose GPU sleeps."""


class Thermometer:
    """`sample` is called about once a second by one thread; `celsius` may be read by any."""

    def __init__(self, root: Path = SYS) -> None:
        self._zones = sorted(root.glob("class/thermal/thermal_zone*/temp"))
        self.celsius: float | None = None
        """None where nothing tells it."""
        self.sample()

    def sample(self) -> None:
        """Read every zone; some do not answer while their part is switched off."""
        found = [celsius for zone in self._zones if (celsius := _celsius(zone)) is not None]
        self.celsius = max(found, default=None)


def _celsius(zone: Path) -> float | None:
    try:
        celsius = int(zone.read_text()) / 1000
    except (OSError, ValueError):
        return None
    return celsius if PLAUSIBLE_C[0] <= celsius <= PLAUSIBLE_C[1] else None
