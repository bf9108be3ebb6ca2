"""Named parts of a picture, and which of them an object stands in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Zone:
    name: str
    polygon: tuple[tuple[float, float], ...]
    """Corners in pixels of the final picture."""

    def holds(self, x: float, y: float) -> bool:
        """Even-odd rule: a ray to the right crosses the outline an odd number of times."""
        inside = False
        last_x, last_y = self.polygon[-1]
        for next_x, next_y in self.polygon:
            if (next_y > y) != (last_y > y) and x < (last_x - next_x) * (y - next_y) / (last_y - next_y) + next_x:
                inside = not inside
            last_x, last_y = next_x, next_y
        return inside

    def touches(self, width: int, height: int) -> bool:
        """Whether any of it can lie in a picture of this size; judged by its bounding box."""
        xs, ys = zip(*self.polygon, strict=True)
        return bool(min(xs) < width and max(xs) > 0 and min(ys) < height and max(ys) > 0)


def zones_of(box: tuple[float, float, float, float], zones: Sequence[Zone]) -> tuple[str, ...]:
    """Names of the zones that hold the box's foot point, the middle of its lower edge."""
    x, y = (box[0] + box[2]) / 2, box[3]
    return tuple(zone.name for zone in zones if zone.holds(x, y))
