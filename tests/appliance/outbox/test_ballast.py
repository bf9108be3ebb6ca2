"""Bytes set aside for the moment when the disk is full."""

from __future__ import annotations
