"""Documents that no receiver will take: out of the way of the others, kept for whoever wants to know."""

from __future__ import annotations

import time

from appliance.outbox.database import Database, text
from appliance.outbox.gaps import Gaps, Gone
from appliance.outbox.rows import Stream, place

KEPT = 100


def bury(database: Database, gaps: Gaps, stream: Stream, seq: int, reason: str) -> None:
    """Move a document among the dead letters, of which the newest are kept; its gap is announced.

    Inside a transaction. Does nothing when it is not there, or was acknowledged meanwhile.
    """
    at = place(stream.number, seq)
    row = database.raw.execute("SELECT topic, payload FROM document WHERE place = ?", (at,)).fetchone()
    if row is None or seq <= stream.acknowledged:
        return
    topic, payload = row
    database.delete(stream, seq, seq)
    database.raw.execute(
        "INSERT INTO dead (identity, buried_ns, topic, payload, reason) VALUES (?, ?, ?, ?, ?)",
        (f"{stream.name} {stream.epoch} {seq}", time.time_ns(), topic, payload, reason),
    )
    database.raw.execute("DELETE FROM dead WHERE id <= (SELECT max(id) FROM dead) - ?", (KEPT,))
    stream.dead += 1
    gaps.note(stream, Gone(seq, seq, 1), reason, topic)


def dead_letters(database: Database) -> list[tuple[str, str, bytes, str]]:
    """Oldest first: identity (stream, epoch, number), topic, payload, reason."""
    rows = database.rows("SELECT identity, topic, payload, reason FROM dead ORDER BY id")
    return [(text(identity), text(topic), payload, text(reason)) for identity, topic, payload, reason in rows]
