"""What every source of pictures has in common: stopping, numbering, and the step from a raw picture to a Frame."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from types import TracebackType
from typing import TypeVar

import numpy as np

from capture.options import VideoOptions
from capture.samples import Frame, Pixels, Stamp
from capture.source import CaptureError

Self = TypeVar("Self", bound="VideoSource")


class VideoSource(ABC):
    """A Source of Frames: a subclass opens, yields and releases; everything runs on the thread that entered it."""

    def __init__(self, name: str, options: VideoOptions, *, live: bool) -> None:
        self.name = name
        self.live = live
        self._options = options
        self._closing = threading.Event()
        self._description = ""

    @property
    def description(self) -> str:
        return self._description

    def __enter__(self: Self) -> Self:
        try:
            self._description = self._open()
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._frames():
            if self._closing.is_set():
                return
            yield frame

    def close(self) -> None:
        self._closing.set()

    @abstractmethod
    def _open(self) -> str:
        """Take hold of the device and say what was negotiated; CaptureError when that fails."""

    @abstractmethod
    def _frames(self) -> Iterator[Frame]:
        """Frames until the end, or until `self._closing` is set."""

    def _release(self) -> None:  # noqa: B027 - a source that holds nothing has nothing to let go of
        """Let go of whatever `_open` took; called also when it took nothing."""

    def _frame(self, seq: int, stamp: Stamp, pixels: Pixels) -> Frame:
        """The frame made of a raw picture that belongs to us."""
        self._refuse_misplaced_masks(pixels)
        pixels = self._options.geometry.apply(_bgr(pixels))
        return Frame(self.name, seq, stamp, pixels, ready_ns=time.monotonic_ns())

    def _refuse_misplaced_masks(self, pixels: Pixels) -> None:
        """Masks belong to the size that was asked for: at another size they would uncover what they should hide."""
        asked, height, width = self._options, *pixels.shape[:2]
        if not asked.geometry.masks or (asked.width in (None, width) and asked.height in (None, height)):
            return
        raise CaptureError(
            f"{self.name}: the picture is {width}x{height}, but its privacy masks were drawn for "
            f"{asked.width or width}x{asked.height or height}: ask for {width}x{height} and draw them for that"
        )


def _bgr(pixels: Pixels) -> Pixels:
    """Three channels, for cameras whose driver delivers grey or BGRA."""
    if pixels.ndim == 2:
        return np.repeat(pixels[:, :, np.newaxis], 3, axis=2)
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    return pixels if pixels.shape[2] == 3 else np.ascontiguousarray(pixels[:, :, :3])
