"""G30, reduced: the n-th write, fsync, rename, unlink of the outbox fails."""

from __future__ import annotations
