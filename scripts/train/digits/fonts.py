"""Characters from free fonts, as far as the digits of a font can be read."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from digits.ink import DIGITS, Dice, Glyph

SEGMENT_PACKAGE = "dseg"
PIXEL_PACKAGES = frozenset((
    "atarismall", "creep2", "dotgothic16", "glasstty", "pc", "proggy", "sixtyfour", "unifont",
))  # fmt: skip
HAND_PACKAGES = frozenset((
    "breip", "bwht", "comic-neue", "dancingscript", "dkg-handwriting", "femkeklaver", "humor-sans", "klee",
    "nanum-extra", "rufscript", "sjfonts", "smc-chilanka", "yusei-magic",
))  # fmt: skip
UNREADABLE = (
    "dingbat", "symbol", "d050000l", "outline", "emoji", "math", "biolinum_k", "libertine_i", "ocrbe", "ocrbx", "ocrbf",
    "it_wasn_t_me", "abogado", "nanumgothiceco", "nanummyeongjoeco", "seggchan", "dseg14", "ultralight", "extralight",
    "thin", "hairline",
)  # fmt: skip
"""Parts of names of fonts whose digits are pictures of something else, or too thin to be seen by a camera."""

_LARGE = 200
_SIZES_PX = (12, 24, 56, 128, 280)


@dataclass(frozen=True, slots=True)
class Fonts:
    """Files of one share of the fonts, by what they suit; families weigh the same, however many files they have."""

    text: tuple[tuple[Path, ...], ...]
    hand: tuple[tuple[Path, ...], ...]
    pixel: tuple[tuple[Path, ...], ...]
    segment: tuple[tuple[Path, ...], ...]

    def one(self, kind: str, dice: Dice) -> FontFace:
        families = getattr(self, kind)
        files = families[dice.integers(len(families))]
        return face(files[dice.integers(len(files))])


def fonts(packages: tuple[str, ...]) -> Fonts:
    """The usable fonts of these packages; SystemExit when one is not installed."""
    kinds: dict[str, list[tuple[Path, ...]]] = {"text": [], "hand": [], "pixel": [], "segment": []}
    for package in packages:
        kind = "segment" if package == SEGMENT_PACKAGE else "pixel" if package in PIXEL_PACKAGES else "text"
        if package in HAND_PACKAGES:
            kind = "hand"
        families: dict[str, list[Path]] = {}
        for path in installed(package):
            if usable(path):
                families.setdefault(path.stem.partition("-")[0].lower(), []).append(path)
        kinds[kind] += [tuple(families[name]) for name in sorted(families)]
    return Fonts(**{kind: tuple(families) for kind, families in kinds.items()})


def installed(package: str) -> list[Path]:
    """Font files of a Debian package; SystemExit when it is not installed."""
    listing = subprocess.run(["dpkg", "-L", f"fonts-{package}"], capture_output=True, text=True, check=False)
    if listing.returncode:
        raise SystemExit(f"fonts-{package} is not installed: apt-get install --no-install-recommends fonts-{package}")
    paths = (Path(line) for line in listing.stdout.splitlines())
    return sorted({p.resolve() for p in paths if p.suffix.lower() in (".ttf", ".otf", ".ttc") and p.exists()})


def usable(path: Path) -> bool:
    """Ten digits that differ from one another, all about as tall as a 0, and solid."""
    if any(part in path.stem.lower() for part in UNREADABLE):
        return False
    made = face(path)
    try:
        glyphs = [made.glyph(digit, 48) for digit in DIGITS]
    except OSError:  # a bitmap font, or a damaged one
        return False
    masks = {glyph.mask.tobytes() for glyph in glyphs if glyph is not None}
    tall = [glyph.mask.shape[0] for glyph in glyphs if glyph is not None]
    return len(masks) == len(DIGITS) and max(tall) <= 62 and min(tall) >= 26


class FontFace:
    """Characters from a font file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._glyphs: dict[tuple[str, int], Glyph | None] = {}
        self._share: float | None = None
        """Of the font's size that a 0 is tall."""

    def glyph(self, character: str, height_px: int) -> Glyph | None:
        """Drawn once in the next larger of a few sizes, then shrunk: opening a font in yet another size is slow."""
        drawn_px = next((size for size in _SIZES_PX if size >= height_px), height_px)
        key = (character, drawn_px)
        if key not in self._glyphs:
            self._glyphs[key] = self._drawn(character, drawn_px)
        glyph = self._glyphs[key]
        if glyph is None or drawn_px == height_px:
            return glyph
        share = height_px / drawn_px
        size = (max(1, round(glyph.mask.shape[1] * share)), max(1, round(glyph.mask.shape[0] * share)))
        small = cv2.resize(glyph.mask, size, interpolation=cv2.INTER_AREA)
        return Glyph(small, glyph.left * share, glyph.top * share, glyph.advance * share)

    def space(self, height_px: int) -> float:
        return height_px * 0.4

    def _drawn(self, character: str, height_px: int) -> Glyph | None:
        from PIL import Image, ImageDraw, ImageFont

        if self._share is None:
            large = ImageFont.truetype(str(self._path), _LARGE)
            _, top, _, bottom = large.getbbox("0")
            self._share = max(0.1, (bottom - top) / _LARGE)
        font = ImageFont.truetype(str(self._path), max(1, height_px / self._share))
        _, zero_top, _, _ = font.getbbox("0", anchor="ls")
        left, top, right, bottom = font.getbbox(character, anchor="ls")
        if right <= left or bottom <= top:
            return None
        picture = Image.new("L", (int(right - left) + 4, int(bottom - top) + 4))
        ImageDraw.Draw(picture).text((2 - left, 2 - top), character, fill=255, font=font, anchor="ls")
        mask = np.asarray(picture)
        rows, columns = np.flatnonzero(mask.max(axis=1) > 40), np.flatnonzero(mask.max(axis=0) > 40)
        if not len(rows):
            return None
        ink = np.ascontiguousarray(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
        return Glyph(
            ink, left=left - 2 + columns[0], top=top - 2 + rows[0] - zero_top, advance=font.getlength(character)
        )


@lru_cache(maxsize=1024)
def face(path: Path) -> FontFace:
    """The face of a file; opened once per process."""
    return FontFace(path)
