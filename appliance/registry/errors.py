"""What goes wrong on the owner's side."""

from __future__ import annotations


class RegistryError(Exception):
    """A registry cannot do what was asked; the message says why and what to do."""
