"""From a journal to a clip that a browser plays, one picture at a time, so that whoever asks for it can do other things
in between. A clip that a kill or a power cut interrupted is developed at the next start in the same way."""

from __future__ import annotations

import errno
import statistics
from collections.abc import Generator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from pydantic import ValidationError

from appliance.pipeline.snapshot import jpeg
from appliance.recorder import journal, video
from appliance.recorder.clip import ABOUT, ANSWERS, FRAMES, PICTURE, Clip, Head, read_head
from appliance.recorder.entry import Entry, to_line
from appliance.recorder.moment import labels_of
from appliance.recorder.pictures import decoded
from appliance.recorder.shelf import Shelf
from appliance.recorder.sound import Sound, SoundError
from appliance.recorder.video import Film, VideoError
from appliance.result import to_json, utc
from capture.samples import Pixels
from engines import durable

LEAST_FPS, MOST_FPS = 1.0, 30.0
LONGEST_STILL_S = 5.0
"""A picture stands at most so long in the video, however long nothing came after it."""
COUNT_AT_ONCE = 20
FULL = "no room on the disk"


class Undeveloped(Exception):
    """It could not be made now; the journal is still there."""


@dataclass(frozen=True, slots=True)
class _Job:
    shelf: Shelf
    name: str
    head: Head
    reading: journal.Reading

    def path(self, ending: str) -> Path:
        return self.shelf.path(self.name, ending)


def develop(part: Path, shelf: Shelf) -> Generator[Clip | None, None, None]:
    """Yields None after every piece of work and at last the clip. Raises journal.JournalError when nothing in the part
    can be used, Undeveloped when there is no room or no encoder."""
    try:
        reading = journal.read(part)
        head = read_head(reading.head)
    except FileNotFoundError as error:
        raise journal.JournalError(f"{part}: somebody has taken it away") from error
    except OSError as error:
        raise Undeveloped(f"{part}: {error.strerror}") from error
    except ValidationError as error:
        raise journal.JournalError(f"{part}: of another version of the appliance") from error
    kept = [entry for entry, (_, length) in zip(reading.entries, reading.places, strict=True) if length]
    if not kept:
        raise journal.JournalError(f"{part}: no picture and no sound in it")
    job = _Job(shelf, part.stem, head, reading)
    try:
        made = yield from (_video(job, part, kept) if head.kind == "video" else _sound(job, part))
        yield _finish(job, part, *made)
    except (OSError, VideoError, SoundError) as error:
        for ending in ("draft.webm", "draft.wav"):
            job.path(ending).unlink(missing_ok=True)
        raise Undeveloped(_why(error)) from error


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else f"{error.filename}: {error.strerror}"
    return str(error)


Made = tuple[Path, list[Entry], float, bool]
"""The draft, the entries with their places in it, pictures or samples per second, whether it had to be cut short."""


def _video(job: _Job, part: Path, kept: list[Entry]) -> Generator[None, None, Made]:
    fps = frames_per_s([entry.at_s for entry in kept])
    size = _size(kept[0])
    draft = job.path("draft.webm")
    draft.unlink(missing_ok=True)
    film = Film(draft, fps, *size)
    entries: list[Entry] = []
    cut = False
    last: Pixels | None = None
    try:
        for entry in journal.data_of(part, job.reading):
            place = None
            if entry.data and not cut:
                pixels = decoded(entry.data)
                for _ in range(stills(film.frames, entry.at_s - kept[0].at_s, fps)):
                    film.write(pixels if last is None else last)
                place = film.frames
                film.write(pixels)
                last = pixels
                cut = not job.shelf.make_room(0)
                yield None
            entries.append(replace(entry, place=place, data=b""))
    finally:
        film.close()
    if not cut and not job.shelf.make_room(0):  # the last seconds are written when it is closed
        raise VideoError(FULL)
    found = 0
    for found in video.counted(draft):
        if found % COUNT_AT_ONCE == 0:
            yield None
    if found != film.frames:
        raise VideoError(
            FULL if job.shelf.free() < len(kept) * 50_000 else f"{found} of {film.frames} are in the video"
        )
    return draft, entries, fps, cut


def _sound(job: _Job, part: Path) -> Generator[None, None, Made]:
    draft = job.path("draft.wav")
    draft.unlink(missing_ok=True)
    first = next(entry.heard for entry in job.reading.entries if entry.heard is not None)
    entries = []
    with Sound(draft, first.rate_hz) as sound:
        for entry in journal.data_of(part, job.reading):
            entries.append(replace(entry, place=sound.add(entry), data=b""))
        yield None
    return draft, entries, float(first.rate_hz), False


def _finish(job: _Job, part: Path, draft: Path, entries: list[Entry], per_s: float, cut: bool) -> Clip:
    """Everything under its name, the document last: with it the clip is whole."""
    clip = _about(job.head, entries, per_s, cut)
    made = job.shelf.folder / clip.file
    with draft.open("rb") as file:
        durable.sync_file(file)
    draft.replace(made)
    _fresh(job.path(ANSWERS), b"".join(to_line(entry) + b"\n" for entry in entries))
    picture = _picture(job, part, entries)
    if picture is not None:
        _fresh(job.path(PICTURE), picture)
    if job.head.exact and job.head.kind == "video":
        part.rename(job.path(FRAMES))
    durable.replace(job.path(ABOUT), to_json(clip))
    part.unlink(missing_ok=True)
    return clip


def _fresh(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    durable.write(path, content)


def _about(head: Head, entries: list[Entry], per_s: float, cut: bool) -> Clip:
    first, last = entries[0], entries[-1]
    events = [event for entry in entries for event in entry.events if event.event == "new"]
    size = next((entry.result.frame for entry in entries if entry.result.frame is not None), None)
    return Clip(
        name=head.name,
        device=head.device,
        pipeline=str(head.pipeline["name"]),
        source=head.source,
        kind=head.kind,
        began_at=utc(first.unix_ns),
        ended_at=utc(last.unix_ns),
        seconds=round(last.at_s - first.at_s, 3),
        clock=head.clock,
        labels=tuple(labels_of(events)),
        events=tuple(event.id for event in events),
        answers=len(entries),
        kept=sum(entry.place is not None for entry in entries),
        exact=head.exact,
        model=last.result.model,
        per_s=per_s,
        width=None if size is None else size.width,
        height=None if size is None else size.height,
        settings=head.pipeline,
        cut=cut,
    )


def _picture(job: _Job, part: Path, entries: list[Entry]) -> bytes | None:
    """The picture of what began the clip, or the next that was kept; sound has none."""
    if job.head.kind != "video":
        return None
    begun = False
    for entry in journal.data_of(part, job.reading):
        begun = begun or any(event.event == "new" for event in entry.events)
        if begun and entry.data:
            return entry.data if entry.data.startswith(b"\xff\xd8") else jpeg(decoded(entry.data))
    kept = next(entry for entry in journal.data_of(part, job.reading) if entry.data)
    return jpeg(decoded(kept.data))


def frames_per_s(times_s: list[float]) -> float:
    """Of a video of pictures taken at these times."""
    apart = [after - before for before, after in pairwise(times_s) if after > before]
    return round(min(MOST_FPS, max(LEAST_FPS, 1 / statistics.median(apart))), 3) if apart else 10.0


def stills(written: int, passed_s: float, fps: float) -> int:
    """How often the picture before is shown again, so that the next, `passed_s` after the first, comes at its time."""
    return min(max(0, round(passed_s * fps) - written), round(LONGEST_STILL_S * fps))


def _size(entry: Entry) -> tuple[int, int]:
    frame = entry.result.frame
    assert frame is not None, "a picture has a size"
    return frame.width, frame.height
