"""What can be read of a damaged outbox, and that nothing else is taken for it."""

from __future__ import annotations
