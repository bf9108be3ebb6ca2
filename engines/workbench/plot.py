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


def matrix(title: str, names: Sequence[str], counts: Sequence[Sequence[int]]) -> bytes:
    """Rows are what is true, columns what was said; darker is more of the row."""
    cell = max(14.0, min(40.0, 700 / max(len(names), 1)))
    lines = [_text(10, 20, title, "bold"), _text(10, 36, "rows: true, columns: said")]
    left, top = 170.0, 130.0
    for row, (name, values) in enumerate(zip(names, counts, strict=True)):
        lines.append(_text(left - 6, top + row * cell + cell * 0.7, name[:24], anchor="end"))
        x = left + row * cell + cell * 0.6
        lines.append(f'<g transform="translate({x:.1f} {top - 6:.1f}) rotate(-60)">{_text(0, 0, name[:16])}</g>')
        for column, value in enumerate(values):
            share = value / max(sum(values), 1)
            shade = round(255 - 200 * share)
            lines.append(_box(left + column * cell, top + row * cell, cell - 1, cell - 1, f"rgb({shade},{shade},255)"))
            if value and cell >= 20:
                middle = left + (column + 0.5) * cell
                lines.append(_text(middle, top + row * cell + cell * 0.65, str(value), anchor="middle"))
    return _svg(lines, top + len(names) * cell + 10)


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
