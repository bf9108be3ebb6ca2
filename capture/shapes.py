"""`scene:shapes`: coloured shapes cross the picture, turn round at the edges, leave and come back as something else.

Each keeps to a lane of its own, so that none ever hides another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from capture.options import VideoOptions
from capture.samples import Pixels
from capture.scene import Scene

Colour: TypeAlias = Literal["red", "green", "blue"]
Kind: TypeAlias = Literal["disc", "square", "triangle"]

SMALLEST_PX, LARGEST_PX = 40, 110
LANE_PX = 120
VISIT_S, ABSENT_S = 10.0, 1.5
"""Every VISIT_S seconds another shape comes into a lane, after ABSENT_S in which the lane is empty."""

_COLOURS: tuple[Colour, ...] = ("red", "green", "blue")
_SHAPES: tuple[Kind, ...] = ("disc", "square", "triangle")
_BGR = {"red": (36, 32, 224), "green": (40, 196, 36), "blue": (226, 84, 28)}
_SUBPIXEL_BITS = 4


@dataclass(frozen=True, slots=True)
class Shape:
    """The truth about one shape in one picture."""

    colour: Colour
    kind: Kind
    box_px: tuple[float, float, float, float]
    """x1, y1, x2, y2 of the whole shape, also of what is outside the picture while it enters or leaves."""
    visible: float
    """Share of the box that is inside the picture."""

    @property
    def label(self) -> str:
        """Such as `red disc`."""
        return f"{self.colour} {self.kind}"


@dataclass(frozen=True, slots=True)
class _Visit:
    """One shape's stay in a lane: it enters at one side, crosses the picture a few times, and leaves."""

    colour: Colour
    kind: Kind
    size: float
    crossings: int
    from_right: bool
    phase: float

    @classmethod
    def of(cls, seed: int, lane: int, number: int, largest: float) -> _Visit:
        random = np.random.default_rng((seed, lane, number))
        return cls(
            # Neighbouring lanes and successive visits differ, so that all colours are there most of the time.
            colour=_COLOURS[(lane + number + seed) % 3],
            kind=_SHAPES[int(random.integers(3))],
            size=float(random.uniform(min(SMALLEST_PX, largest), largest)),
            crossings=int(random.integers(2, 5)),
            from_right=bool(random.integers(2)),
            phase=float(random.uniform(0, 2 * math.pi)),
        )

    def left_px(self, share: float, width: float) -> float:
        """Left edge of the box, when `share` (0 to 1) of the visit is over."""
        room = width - self.size
        way = share * (2 * self.size + self.crossings * room) - self.size
        if way < 0:
            left = way
        elif way > self.crossings * room:
            beyond = way - self.crossings * room
            left = room + beyond if self.crossings % 2 else -beyond
        else:
            lap, rest = divmod(way, room)
            left = room - rest if lap % 2 else rest
        return room - left if self.from_right else left


class Shapes(Scene):
    """`scene:shapes`."""

    kind = "shapes"
    smallest = (2 * LANE_PX, 48)

    def __init__(self, name: str, options: VideoOptions) -> None:
        super().__init__(name, options)
        self._lanes = max(1, self._height // LANE_PX)
        self._visits: dict[tuple[int, int], _Visit] = {}

    def truth(self, seq: int) -> list[Shape]:
        """The shapes in picture `seq` of which something is visible, from the top, before `geometry` is applied."""
        seconds = seq / self._fps
        shapes = [self._shape_in(lane, seconds) for lane in range(self._lanes)]
        return [shape for shape in shapes if shape is not None and shape.visible > 0]

    def _shape_in(self, lane: int, seconds: float) -> Shape | None:
        """The shape in a lane at a moment. Lanes change at different times; at the start all are in mid-visit."""
        number, since_s = divmod(seconds + VISIT_S * (0.25 + 0.55 * lane / self._lanes), VISIT_S)
        share = since_s / (VISIT_S - ABSENT_S)
        if share >= 1:
            return None
        visit = self._visit(lane, int(number))
        lane_px = self._height / self._lanes
        left = visit.left_px(share, self._width)
        top = lane * lane_px + (lane_px - visit.size) * (0.5 + 0.5 * math.sin(1.7 * seconds + visit.phase))
        box = (left, top, left + visit.size, top + visit.size)
        inside = max(0.0, min(box[2], self._width) - max(box[0], 0.0)) / visit.size
        return Shape(visit.colour, visit.kind, box, inside)

    def _visit(self, lane: int, number: int) -> _Visit:
        key = (lane, number)
        if key not in self._visits:
            if len(self._visits) > 4 * self._lanes:
                self._visits.clear()
            largest = min(float(LARGEST_PX), self._height / self._lanes - 8)
            self._visits[key] = _Visit.of(self._options.seed, lane, number, largest)
        return self._visits[key]

    def _paint(self, cv2: Any, pixels: Pixels, seq: int) -> None:
        clock = f"{seq / self._fps:.2f} s  #{seq}"
        cv2.putText(pixels, clock, (8, self._height - 8), cv2.FONT_HERSHEY_PLAIN, 0.9, (150, 150, 150), 1, cv2.LINE_AA)
        for shape in self.truth(seq):
            _draw(cv2, pixels, shape)


def _draw(cv2: Any, pixels: Pixels, shape: Shape) -> None:
    """Paint one shape, its edges smoothed, to a fraction of a pixel."""
    x1, y1, x2, y2 = shape.box_px
    if shape.kind == "disc":
        radius = (x2 - x1) / 2
        centre = _fixed([(x1 + radius, y1 + radius)])[0]
        cv2.circle(
            pixels,
            (int(centre[0]), int(centre[1])),
            round((radius - 0.5) * 2**_SUBPIXEL_BITS),
            _BGR[shape.colour],
            cv2.FILLED,
            cv2.LINE_AA,
            _SUBPIXEL_BITS,
        )
        return
    x1, y1, x2, y2 = x1 + 0.5, y1 + 0.5, x2 - 0.5, y2 - 0.5  # a smoothed outline paints half a pixel beyond itself
    corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
    if shape.kind == "triangle":
        corners = [((x1 + x2) / 2, y1), (x2, y2), (x1, y2)]
    cv2.fillConvexPoly(pixels, _fixed(corners), _BGR[shape.colour], cv2.LINE_AA, _SUBPIXEL_BITS)


def _fixed(points: list[tuple[float, float]]) -> npt.NDArray[np.int32]:
    """Points in pixel-edge coordinates as OpenCV's fixed point, which counts from the centre of the first pixel."""
    return np.asarray(np.round((np.array(points) - 0.5) * 2**_SUBPIXEL_BITS), np.int32)
