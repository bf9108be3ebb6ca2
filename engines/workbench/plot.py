"""Small charts as SVG, which every browser and Markdown viewer shows: no library for three shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

COLOURS = ("#2f6f9f", "#d98c2b", "#5a9e57", "#a3516b", "#777777")
WIDTH, ROW, NAMES, FIGURES = 900, 22, 300, 90


def stacked_bars(title: str, rows: Sequence[tuple[str, Mapping[str, float]]], unit: str) -> bytes:
    """A line for each row, its parts one behind the other, in the same order in all rows."""
    kinds = list(dict.fromkeys(kind for _, parts in rows for kind in parts))
    most = max((sum(parts.values()) for _, parts in rows), default=0) or 1.0
    scale = (WIDTH - NAMES - FIGURES) / most
    lines = [_text(10, 20, title, "bold")]
    for number, kind in enumerate(kinds):
        left = NAMES + number * 130
        lines += [_box(left, 30, 12, 12, COLOURS[number % len(COLOURS)]), _text(left + 18, 41, kind)]
    for number, (name, parts) in enumerate(rows):
        y, x = 54 + number * ROW, float(NAMES)
        lines.append(_text(NAMES - 8, y + 13, name if len(name) < 44 else f"…{name[-42:]}", anchor="end"))
        for kind, value in parts.items():
            lines.append(_box(x, y, value * scale, ROW - 6, COLOURS[kinds.index(kind) % len(COLOURS)]))
            x += value * scale
        lines.append(_text(x + 6, y + 13, f"{sum(parts.values()):.4g} {unit}"))
    return _svg(lines, 54 + len(rows) * ROW + 10)


def _box(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'


def _text(x: float, y: float, words: str, weight: str = "normal", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-weight="{weight}" text-anchor="{anchor}">{escape(words)}</text>'


def _svg(lines: Sequence[str], height: float) -> bytes:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" font-family="sans-serif" font-size="12">\n'
        '<rect width="100%" height="100%" fill="white"/>\n'
    )
    return (head + "\n".join(lines) + "\n</svg>\n").encode()
