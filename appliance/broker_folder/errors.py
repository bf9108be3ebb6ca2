"""What can go wrong with a broker's folder; every message names the thing and the next step."""

from __future__ import annotations


class FolderError(Exception):
    """What was asked for does not fit what lies there."""


class OpensslError(Exception):
    """The openssl program is missing, or could not do what we asked of it."""
