"""What a verb found out, for people (Markdown, pictures) and for programs (JSON), in a folder of its own."""

from __future__ import annotations

import json
import math
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engines.bundle import DRAFT_PREFIX
from engines.durable import sync, sync_folders, write
from engines.workbench.work import WorkbenchError


@dataclass(frozen=True, slots=True)
class Report:
    """What was found out."""

    verb: str
    """Also the name of its files."""
    title: str
    facts: Mapping[str, Any]
    """The numbers, as JSON takes them; those that are not finite are written as null."""
    text: str
    """The same for people: Markdown, without the title."""
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    """File name to content; the text may show them."""

    def files(self) -> dict[str, bytes]:
        """Name to content of every file."""
        document = json.dumps(_as_json(self.facts), indent=2, ensure_ascii=False, allow_nan=False)
        return {
            f"{self.verb}.json": f"{document}\n".encode(),
            f"{self.verb}.md": f"# {self.title}\n\n{self.text.rstrip()}\n".encode(),
            **self.pictures,
        }


def _as_json(value: Any) -> Any:
    """JSON knows neither NaN nor infinity."""
    if isinstance(value, Mapping):
        return {key: _as_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def check_free(folder: Path) -> None:
    """Raises WorkbenchError when `folder` is there already or cannot be made: for asking before long work."""
    if os.path.lexists(folder):
        raise WorkbenchError(f"{folder}: there is something already, and nothing is overwritten: name another folder")
    above = next(each for each in folder.absolute().parents if each.exists())
    if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
        raise WorkbenchError(f"{folder}: {above} is no folder that can be written to: name another place")


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make `folder` with these files, whole or not at all; names may lead into folders below it.

    Raises WorkbenchError as `check_free` does, OSError when the disk refuses.
    """
    check_free(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = folder.parent / f"{DRAFT_PREFIX}{folder.name}-{secrets.token_hex(4)}"
    draft.mkdir()
    try:
        for name, content in files.items():
            write(draft / name, content)
        sync_folders(draft)
        draft.rename(folder)
        sync(folder.parent)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |\n" for line in lines)
