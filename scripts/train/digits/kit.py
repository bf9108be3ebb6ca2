"""The faces that a scene may use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from digits.ink import Dice, Face
from digits.segments import Dots, DotShape, Segments, SegmentShape

if TYPE_CHECKING:
    from digits.fonts import Fonts


@dataclass(frozen=True, slots=True)
class Kit:
    """Our own drawn faces, and one share of the fonts; without fonts only the drawn ones are used."""

    fonts: Fonts | None = None

    def text(self, dice: Dice) -> Face:
        return self.fonts.one("text", dice) if self.fonts else self.segment(dice)

    def hand(self, dice: Dice) -> Face:
        return self.fonts.one("hand", dice) if self.fonts else self.segment(dice)

    def segment(self, dice: Dice) -> Face:
        """Seven segments: a font's, where this share has one, in half of all cases."""
        if self.fonts and self.fonts.segment and dice.random() < 0.5:
            return self.fonts.one("segment", dice)
        return Segments(SegmentShape.thrown(dice))

    def dots(self, dice: Dice) -> Face:
        shape = DotShape(size=dice.uniform(0.65, 1.0), round=bool(dice.random() < 0.6))
        if self.fonts and self.fonts.pixel and dice.random() < 0.6:
            return Dots(shape, rows=int(dice.integers(7, 13)), pattern=self.fonts.one("pixel", dice))
        return Dots(shape)
