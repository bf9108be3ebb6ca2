"""Small files of text that people write: configurations, secrets, lists of labels; each is read whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path


class NotText(Exception):
    """What lies there cannot be a file of text; the message says why, as the end of a sentence."""


def read_text(path: Path, most_bytes: int) -> str:
    """UTF-8, without the byte order mark that Notepad puts in front.

    Raises OSError when it cannot be read, NotText for anything else; a device is not opened, a pipe not waited for.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # opening a folder says by itself what it is
        raise NotText("it is a device or a pipe, not a file")
    with path.open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise NotText(f"it is longer than {_in_words(most_bytes)}: is it the right file?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotText("it is not UTF-8 text") from error


def _in_words(size: int) -> str:
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"
