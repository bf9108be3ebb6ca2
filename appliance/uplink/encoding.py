"""Documents that other threads hand over, as the bytes that go out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace

from appliance import result
from appliance.outbox.gaps import Dropped
from appliance.outbox.outbox import Entry
from appliance.uplink.outgoing import Publish, Spool
from appliance.uplink.retained import Post


def post(item: Publish) -> Post:
    """A message that is not spooled."""
    document = item.document
    payload = bytes(document) if isinstance(document, (bytes, bytearray)) else result.to_json(document)
    said = document if isinstance(document, result.Result) else None
    return Post(item.topic, payload, item.qos, item.retain, item.expires_s, item.response_to, item.made_ns, said)


def entry(item: Spool) -> Entry:
    """A document for the outbox, encoded once it has its place."""

    def encode(place: result.Spool) -> bytes:
        return result.to_json(replace(item.document, spool=place))

    return Entry(item.stream, item.topic, item.priority, encode)


def announcement(gap: Dropped, device: str) -> Callable[[result.Spool], bytes]:
    """The document that says what is missing from a stream."""
    document = result.Gap(
        device=device,
        first=gap.first,
        last=gap.last,
        count=gap.count,
        reason=gap.reason,
        at=result.utc(time.time_ns()),
    )

    def encode(place: result.Spool) -> bytes:
        epoch = None if gap.epoch == place.epoch else gap.epoch
        return result.to_json(replace(document, epoch=epoch, spool=place))

    return encode


def confirmation(payload: bytes) -> tuple[str, int] | None:
    """How far a collector has stored a stream, `{"epoch": "…", "seq": n}`; None for anything else."""
    try:
        document = json.loads(payload)
        epoch, seq = document["epoch"], document["seq"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return (epoch, seq) if isinstance(epoch, str) and type(seq) is int else None
