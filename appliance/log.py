"""What the process says of itself on standard error: a line for every event worth waking for.

A line for the journal begins with its priority (`<4>`, see sd-daemon(3)), so that `journalctl -p warning` finds it; the
journal adds the time. Elsewhere the time comes first.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from datetime import datetime, timezone
from typing import Literal, TypeAlias

Format: TypeAlias = Literal["text", "json"]

PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""syslog(3)."""


class Text(logging.Formatter):
    """A sentence; a traceback makes more lines, and none of them is taken for less than it is."""

    def __init__(self, *, journal: bool) -> None:
        super().__init__("%(message)s" if journal else "%(asctime)s %(levelname)-7s %(message)s")
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return _prefixed(record, text) if self._journal else text


class Json(logging.Formatter):
    """One object: `at` (UTC), `level`, `message`, `logger`, `thread`, and `error` with a traceback where there is one.
    Threads are named after what they serve, such as `capture dock`."""

    def __init__(self, *, journal: bool) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        said = {
            "at": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "logger": record.name,
            "thread": record.threadName,
        }
        if record.exc_info:
            said["error"] = self.formatException(record.exc_info)
        text = json.dumps(said, ensure_ascii=False)
        return _prefixed(record, text) if self._journal else text


def _prefixed(record: logging.LogRecord, text: str) -> str:
    least = max((level for level in PRIORITIES if level <= record.levelno), default=logging.DEBUG)
    return "\n".join(f"<{PRIORITIES[least]}>{line}" for line in text.splitlines() or [""])


def start_logging(level: str, form: Format = "text") -> None:
    """From now on, for the whole process. A thread that a bug ends is told as well."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = Json if form == "json" else Text
    handler.setFormatter(formatter(journal=in_journal(2)))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # that a server began or ended is said by whoever has it

    def on_death(death: threading.ExceptHookArgs) -> None:
        name = death.thread.name if death.thread else "a thread"
        exception = death.exc_value or death.exc_type()
        logging.getLogger("appliance").critical("%s: ended by a bug: %s", name, exception, exc_info=exception)

    threading.excepthook = on_death


def in_journal(descriptor: int) -> bool:
    """Whether the journal reads this: the variable is inherited by programs whose output goes elsewhere."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
