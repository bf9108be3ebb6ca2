"""What may be asked of a source, beside its address."""

from __future__ import annotations

from dataclasses import dataclass, field

from capture.geometry import Geometry


@dataclass(frozen=True, slots=True)
class VideoOptions:
    """Wishes for a picture source. None leaves the choice to the device."""

    width: int | None = None
    """Pixels asked of a camera or a scene; files and network streams come as they are."""

    height: int | None = None

    fps: float | None = None
    """Pictures per second asked of a camera or a scene; the pace of a recording, instead of its own."""

    pixel_format: str | None = None
    """FourCC asked of a V4L2 camera, such as `MJPG` or `YUYV`; None chooses the one that reaches `fps`."""

    loop: bool = False
    """Begin a recording again at its end, for ever."""

    realtime: bool = True
    """Deliver a recording or a scene at its own pace, false: as fast as it is read."""

    geometry: Geometry = field(default_factory=Geometry)
    """Applied to every picture before it becomes a frame."""

    seed: int = 0
    """Which synthetic scene."""

    def __post_init__(self) -> None:
        for key in ("width", "height", "fps"):
            value = getattr(self, key)
            if value is not None and not value > 0:
                raise ValueError(f"{key} = {value}: expected a positive number")
        if self.pixel_format is not None and not (len(self.pixel_format) == 4 and self.pixel_format.isascii()):
            raise ValueError(f"pixel_format = {self.pixel_format!r}: expected four characters, such as MJPG or YUYV")


@dataclass(frozen=True, slots=True)
class AudioOptions:
    """Wishes for a sound source."""

    rate_hz: int = 16_000
    """Samples per second delivered; converted where the device or file has another rate."""

    block_s: float = 0.032
    """Seconds of sound in one AudioWindow of the source; models cut their own windows from these."""

    zeros_after_s: float | None = 2.0
    """Sound that does not change at all for so long means that the microphone is gone; None for a digital mute."""

    loop: bool = False
    """Begin a recording again at its end, for ever."""

    realtime: bool = True
    """Deliver a recording at its own pace, false: as fast as it is read."""

    def __post_init__(self) -> None:
        if self.rate_hz <= 0 or self.block_s <= 0:
            raise ValueError(f"rate_hz = {self.rate_hz}, block_s = {self.block_s}: expected positive numbers")
