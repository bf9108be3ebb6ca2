"""What the appliance measures of the device that it runs on: its clock, its power, how hot it is."""

from __future__ import annotations

import time

from appliance.clock import clock_state
from appliance.power import Power, PowerFigures
from appliance.result import Clock
from appliance.temperature import Thermometer

CLOCK_EVERY_S = 30.0
POWER_EVERY_S = 1.0


class Vitals:
    """`tick` is for the main thread; the rest may be read by any."""

    def __init__(self) -> None:
        self.clock: Clock = clock_state()
        self._clock_ns = time.monotonic_ns()
        self._power = Power()
        self._thermometer = Thermometer()
        self._sampled_ns = 0

    def tick(self, now_ns: int, inferences: int) -> None:
        """Sample what is due. `inferences`: of all models since they were opened, to tell what one costs."""
        if now_ns - self._clock_ns > CLOCK_EVERY_S * 1e9:
            self.clock, self._clock_ns = clock_state(), now_ns
        if now_ns - self._sampled_ns > POWER_EVERY_S * 1e9:
            self._sampled_ns = now_ns
            self._thermometer.sample()
            self._power.sample(now_ns / 1e9, inferences)

    @property
    def celsius(self) -> float | None:
        """Of the hottest part; None where nothing tells it."""
        return self._thermometer.celsius

    @property
    def power(self) -> PowerFigures:
        return self._power.figures

    @property
    def joules(self) -> float | None:
        """Drawn since the start; None where nothing tells it."""
        return None if self._power.figures.watts is None else self._power.joules
