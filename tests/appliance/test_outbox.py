"""The outbox against a reference model, its room, its streams, its file, its owner."""

from __future__ import annotations
