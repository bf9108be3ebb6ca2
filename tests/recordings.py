"""Entries, journals and clips for tests, with pictures that can be told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from appliance.recorder.clip import Clip, Head, head_line
from appliance.recorder.develop import develop
from appliance.recorder.entry import Entry
from appliance.recorder.journal import Journal
from appliance.recorder.pictures import compressed
from appliance.recorder.shelf import Shelf
from appliance.result import Event, FrameSize, ModelId, ObjectState, Result, utc
from capture.samples import Pixels
from engines.predictions import Detection

MODEL = ModelId("shapes", "1", "sha256:0")
WIDTH, HEIGHT = 64, 48
T0_NS = 1_800_000_000_000_000_000


def grey(seq: int) -> Pixels:
    return np.full((HEIGHT, WIDTH, 3), seq * 5 % 250, np.uint8)


def result(seq: int, *detections: Detection, at_s: float = 0.0) -> Result:
    return Result(
        id=f"r{seq}",
        device="box",
        pipeline="shapes",
        source="dock",
        seq=seq,
        status="ok",
        captured_at=utc(T0_NS + int(at_s * 1e9)),
        clock="synced",
        model=MODEL,
        answered_by="local",
        engine="onnxruntime",
        reason="local engine healthy",
        frame=FrameSize(WIDTH, HEIGHT),
        detections=detections,
    )


def event(seq: int, kind: str = "new", label: str = "red", life: str = "e1", at_s: float = 0.0) -> Event:
    state = ObjectState(label, 0, 0.9, utc(T0_NS + int(at_s * 1e9)), (1.0, 1.0, 9.0, 9.0))
    return Event(
        id=life,
        event=kind,  # type: ignore[arg-type]  # one of the three
        device="box",
        pipeline="shapes",
        source="dock",
        seq=seq,
        at=state.at,
        clock="synced",
        model=MODEL,
        reason="seen often enough to be believed",
        before=None if kind == "new" else state,
        after=None if kind == "end" else state,
        track=1,
    )


def entry(seq: int, at_s: float, *events: Event, memory: bool = False, data: bytes | None = None) -> Entry:
    """`data`: None is a JPEG of `grey(seq)`."""
    ns = int(at_s * 1e9)
    return Entry(
        seq,
        ns,
        T0_NS + ns,
        ns + 1_000_000,
        result(seq, at_s=at_s),
        events,
        memory={"tracks": []} if memory else None,
        data=compressed(grey(seq), exact=False) if data is None else data,
    )


def head(name: str, *, exact: bool = False) -> Head:
    return Head(name, "box", "dock", "video", "synced", exact, {"name": "shapes", "source": "dock", "model": "shapes"})


def write_part(shelf: Shelf, entries: list[Entry], *, exact: bool = False) -> Path:
    """A clip in the making that nobody works on any more."""
    name = shelf.begin(entries[0].unix_ns)
    with Journal(shelf.path(name, "part"), head_line(head(name, exact=exact))) as journal:
        for each in entries:
            journal.add(each)
    shelf.busy.discard(name)
    return shelf.path(name, "part")


def developed(shelf: Shelf, entries: list[Entry], *, exact: bool = False) -> Clip:
    part = write_part(shelf, entries, exact=exact)
    [clip] = [made for made in develop(part, shelf) if made is not None]
    shelf.settle(clip.name)
    return clip


def shelf_at(folder: Path, max_bytes: int = 50_000_000, keep_s: float = 86_400.0, leave_free: int = 0) -> Shelf:
    shelf = Shelf(folder, max_bytes, keep_s, leave_free)
    shelf.tidy()
    return shelf
