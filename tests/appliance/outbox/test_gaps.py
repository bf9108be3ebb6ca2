"""Losses are told once, in ranges."""

from __future__ import annotations
