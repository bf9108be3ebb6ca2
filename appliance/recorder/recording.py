"""A clip on disk, read again: every sample that was kept, with what was said of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from appliance.recorder import journal, sound, video
from appliance.recorder.clip import ABOUT, ANSWERS, FRAMES, NAME, Clip, read_clip
from appliance.recorder.entry import Entry, from_line
from appliance.recorder.pictures import decoded
from capture.samples import AudioWindow, Frame, Pixels, Sample, Stamp


class NoRecording(Exception):
    """It cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One clip."""

    clip: Clip
    folder: Path
    entries: list[Entry]

    @classmethod
    def open(cls, path: Path) -> Recording:
        """`path`: any of the files of a clip, or its name without an ending. Raises NoRecording."""
        name = path.name.partition(".")[0]
        about = path.with_name(f"{name}.{ABOUT}")
        if not NAME.fullmatch(name):
            raise NoRecording(f"{path}: not a clip of the recorder; give one of {NAME_LIKE}")
        try:
            clip = read_clip(about.read_bytes())
            lines = path.with_name(f"{name}.{ANSWERS}").read_bytes().splitlines()
            return cls(clip, path.parent, [from_line(line) for line in lines])
        except FileNotFoundError as error:
            raise NoRecording(
                f"{error.filename}: no such file; a clip is a document and the files beside it"
            ) from error
        except OSError as error:
            raise NoRecording(f"{error.filename}: {error.strerror}") from error
        except ValidationError as error:
            raise NoRecording(f"{about}: damaged, or of another version of the appliance: {error}") from error

    def samples(self) -> Iterator[tuple[Entry, Sample | None]]:
        """Every entry, with its sample where it was kept. Raises NoRecording."""
        try:
            yield from (self._heard() if self.clip.kind == "sound" else self._seen())
        except (video.VideoError, sound.SoundError, journal.JournalError, ValueError) as error:
            raise NoRecording(str(error)) from error
        except OSError as error:
            raise NoRecording(f"{error.filename}: {error.strerror}") from error

    def _seen(self) -> Iterator[tuple[Entry, Sample | None]]:
        pictures = self._lossless() if self.clip.exact else self._of_video()
        for entry in self.entries:
            if entry.place is None:
                yield entry, None
                continue
            pixels = next((pixels for place, pixels in pictures if place == entry.place), None)
            if pixels is None:
                raise NoRecording(f"{self.clip.file}: ends before picture {entry.place}")
            stamp = Stamp(entry.mono_ns, entry.unix_ns)
            yield entry, Frame(self.clip.source, entry.seq, stamp, self._sized(pixels, entry), entry.ready_ns)

    def _of_video(self) -> Iterator[tuple[int, Pixels]]:
        yield from enumerate(video.pictures_of(self.folder / self.clip.file))

    def _lossless(self) -> Iterator[tuple[int, Pixels]]:
        path = self.folder / f"{self.clip.name}.{FRAMES}"
        places = [entry.place for entry in self.entries if entry.place is not None]
        kept = (entry for entry in journal.data_of(path, journal.read(path)) if entry.data)
        for place, entry in zip(places, kept, strict=False):
            yield place, decoded(entry.data)

    @staticmethod
    def _sized(pixels: Pixels, entry: Entry) -> Pixels:
        """As large as the model was given it."""
        size = entry.result.frame
        if size is None or pixels.shape[:2] == (size.height, size.width):
            return pixels
        import cv2

        return np.asarray(cv2.resize(pixels, (size.width, size.height), interpolation=cv2.INTER_LINEAR), np.uint8)

    def _heard(self) -> Iterator[tuple[Entry, Sample | None]]:
        samples = sound.samples_of(self.folder / self.clip.file)
        for entry in self.entries:
            heard, place = entry.heard, entry.place
            if heard is None or place is None:
                yield entry, None
                continue
            part = samples[place : place + heard.length].copy()
            if len(part) != heard.length:
                raise NoRecording(f"{self.clip.file}: ends before sample {place + heard.length}")
            stamp = Stamp(entry.mono_ns, entry.unix_ns)
            gap = entry.result.window.gap if entry.result.window else 0
            yield (
                entry,
                AudioWindow(
                    self.clip.source, entry.seq, stamp, part, heard.rate_hz, gap, entry.ready_ns, start=heard.start
                ),
            )


NAME_LIKE = "the files in …/recordings/PIPELINE, such as 00000001-20261121T053319Z.webm"
