"""What targets open once and keep: closed when the process ends."""

from __future__ import annotations

import atexit
import contextlib

KEPT = contextlib.ExitStack()
atexit.register(KEPT.close)
