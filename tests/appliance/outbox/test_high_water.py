"""Which numbers may be in use, noted beside the database."""

from __future__ import annotations
