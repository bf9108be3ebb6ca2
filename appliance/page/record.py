"""What goes to a browser: a stream of records, each a JSON document and the bytes that belong to it.

A record is the length of its head and the length of its body, four bytes each (big endian), the head (JSON, UTF-8, with
a `type`) and the body (a JPEG, columns of a spectrogram, or nothing). Picture and boxes travel in one record, so they
cannot come apart.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

LENGTHS = struct.Struct(">II")


@dataclass(frozen=True, slots=True)
class Record:
    """One message, made once for all viewers."""

    data: bytes
    place: Hashable | None
    """A newer record of the same place takes the place of one that a slow viewer has not had yet. None: one of a short
    queue that loses its oldest."""


def record(head: dict[str, Any] | bytes, body: bytes = b"", place: Hashable | None = None) -> Record:
    """`head`: a document, or one that is JSON already."""
    if not isinstance(head, bytes):
        head = json.dumps(head, ensure_ascii=False, separators=(",", ":")).encode()
    return Record(b"".join((LENGTHS.pack(len(head), len(body)), head, body)), place)
