"""What the appliance draws: from the power monitors of a Jetson, or from the driver of an NVIDIA card."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

SYS = Path("/sys")
NVML = "libnvidia-ml.so.1"

_UNUSED = ("NC", "")
_SUM_CHANNEL = 7
"""Of the INA3221: not a rail but the sum of them."""
_TOTAL = "VDD_IN"


class NoMeter(Exception):
    """Nothing here tells the power; the message says why."""


class Meter(Protocol):
    """Something that tells the power."""

    name: str
    """What it measures: a rail, or a card."""

    def watts(self) -> float:
        """Raises NoMeter when it does not answer."""


class Ina3221:
    """The monitors of a Jetson up to Orin: voltage in mV times current in mA of every rail."""

    def __init__(self, folders: list[Path]) -> None:
        rails = {label: place for folder in folders for label, place in _rails(folder)}
        self._rails = [rails[_TOTAL]] if _TOTAL in rails else list(rails.values())
        self.name = _TOTAL if _TOTAL in rails else " + ".join(rails)
        if not rails:
            raise NoMeter("the INA3221 has no rail with a name")

    def watts(self) -> float:
        return (
            sum(
                _number(folder / f"in{channel}_input") * _number(folder / f"curr{channel}_input")
                for folder, channel in self._rails
            )
            / 1e6
        )


def _rails(folder: Path) -> list[tuple[str, tuple[Path, int]]]:
    found = []
    for path in sorted(folder.glob("in*_label")):
        channel = int(path.name.removeprefix("in").removesuffix("_label"))
        label = path.read_text().strip()
        if label not in _UNUSED and channel != _SUM_CHANNEL and (folder / f"curr{channel}_input").exists():
            found.append((label, (folder, channel)))
    return found


class Ina238:
    """The monitor of a Jetson Thor: power in microwatts."""

    name = "VIN"

    def __init__(self, path: Path) -> None:
        self._path = path

    def watts(self) -> float:
        return _number(self._path) / 1e6


class Nvml:
    """The driver of a card: milliwatts of the first one."""

    name = "GPU"

    def __init__(self, library: str) -> None:
        try:
            self._nvml = ctypes.CDLL(library)
        except OSError as error:
            raise NoMeter("no power monitor under /sys and no NVIDIA driver") from error
        self._device = ctypes.c_void_p()
        self._ask("nvmlInit_v2")
        self._ask("nvmlDeviceGetHandleByIndex_v2", 0, ctypes.byref(self._device))
        self.watts()

    def watts(self) -> float:
        milliwatts = ctypes.c_uint()
        self._ask("nvmlDeviceGetPowerUsage", self._device, ctypes.byref(milliwatts))
        return milliwatts.value / 1e3

    def _ask(self, function: str, *arguments: object) -> None:
        if code := getattr(self._nvml, function)(*arguments):
            raise NoMeter(f"the NVIDIA driver does not tell the power ({function}: {code})")


def find_meter(root: Path = SYS, nvml: str = NVML) -> Meter:
    """The first that answers; raises NoMeter."""
    monitors: dict[str, list[Path]] = {}
    for folder in sorted(root.glob("bus/i2c/devices/*/hwmon/hwmon*")):
        try:
            monitors.setdefault((folder / "name").read_text().strip(), []).append(folder)
        except OSError:  # without a name it is none of those we know
            continue
    if "ina3221" in monitors:
        meter: Meter = Ina3221(monitors["ina3221"])
    elif "ina238" in monitors:
        meter = Ina238(monitors["ina238"][0] / "power1_input")
    else:
        meter = Nvml(nvml)
    meter.watts()
    return meter


def _number(path: Path) -> float:
    try:
        return float(path.read_text())
    except (OSError, ValueError) as error:
        raise NoMeter(f"{path} does not tell a number") from error


WINDOW_S = 30.0


@dataclass(frozen=True, slots=True)
class PowerFigures:
    """What health says of the power."""

    reason: str
    """What is measured, or why it is not."""
    watts: float | None = None
    """Mean of the last half minute; absent where nothing tells it."""
    joules_per_inference: float | None = None
    """Of everything that the meter covers, shared out among the inferences of that time; absent without any."""


class Power:
    """Sampled about once a second by the main thread."""

    def __init__(self, root: Path = SYS, nvml: str = NVML) -> None:
        self._meter: Meter | None = None
        self.joules = 0.0
        """Drawn since the start, as far as it is told. Any thread may read it."""
        self._joules = 0.0
        self._begun_s: float | None = None
        self._sampled_s = 0.0
        self._inferences = 0
        try:
            self._meter = find_meter(root, nvml)
            self.figures = PowerFigures(f"measured: {self._meter.name}")
        except NoMeter as error:
            self.figures = PowerFigures(str(error))

    def sample(self, now_s: float, inferences: int) -> None:
        """Count what was drawn since the last sample; `inferences`: how many there were in all."""
        if self._meter is None:
            return
        try:
            watts = self._meter.watts()
        except NoMeter as error:
            self._meter, self.figures = None, PowerFigures(str(error))
            return
        if self._begun_s is None:
            self._begun_s, self._inferences = now_s, inferences
        else:
            drawn = watts * (now_s - self._sampled_s)
            self._joules += drawn
            self.joules += drawn
        self._sampled_s = now_s
        seconds = now_s - self._begun_s
        if seconds >= WINDOW_S:
            done = inferences - self._inferences  # fewer than before after a reload, which counts anew
            each = round(self._joules / done, 4) if done > 0 else None
            self.figures = PowerFigures(f"measured: {self._meter.name}", round(self._joules / seconds, 2), each)
            self._joules, self._begun_s, self._inferences = 0.0, now_s, inferences
