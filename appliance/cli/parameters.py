"""Values on the command line, each with a sentence for what does not fit. The first two are callbacks of options."""

from __future__ import annotations

import re
from pathlib import Path

import click

from appliance.cli.errors import BadInput
from appliance.text_file import NotText, read_text

LABELS_MOST_BYTES = 32 << 20
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def size(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """`640x480`, or `640` for a square, to width and height."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", value)
    if not found or not int(found[1]):
        raise click.BadParameter(f"{value!r}: expected width x height in pixels, such as 640x480", ctx, param)
    return int(found[1]), int(found[2] or found[1])


def name(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """A name or version of a model."""
    if value is not None and not _NAME.fullmatch(value):
        words = f"{value!r}: use a-z, 0-9, '.', '_' and '-', beginning with a letter or digit"
        raise click.BadParameter(words, ctx, param)
    return value


def read_labels(file: Path) -> tuple[str, ...]:
    """The lines of a file of labels; raises BadInput."""
    try:
        lines = read_text(file, LABELS_MOST_BYTES).splitlines()
    except (OSError, NotText) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadInput(f"{file}: cannot be read: {reason}; labels are text, one a line") from error
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise BadInput(f"{file}: no labels in it; write one a line")
    return tuple(lines)
