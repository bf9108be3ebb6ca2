"""Sound to a file that browsers play, without loss: WAV, 32-bit float."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from appliance.recorder.entry import Entry
from capture.samples import Samples

if TYPE_CHECKING:
    import soundfile  # type: ignore[import-untyped]  # it has no types

LONGEST_HOLE_S = 10.0
"""Sound that was lost is silence in the file, at most so long."""


class SoundError(Exception):
    """It could not be written or read."""


class Sound:
    """A sound file in the making; opened with `with`. Raises SoundError."""

    def __init__(self, path: Path, rate_hz: int) -> None:
        self._path = path
        self._rate_hz = rate_hz
        self._file: soundfile.SoundFile | None = None
        self._origin: int | None = None
        """Index, in its source, of the first sample of the file."""
        self._end = 0
        """Samples written."""

    def __enter__(self) -> Sound:
        import soundfile

        try:
            self._file = soundfile.SoundFile(self._path, "w", self._rate_hz, 1, subtype="FLOAT", format="WAV")
        except (OSError, soundfile.LibsndfileError) as error:
            raise SoundError(f"{self._path}: cannot be written: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        self._file.close()

    def add(self, entry: Entry) -> int | None:
        """Write what is new in this window; where its first sample stands in the file, None when it began before."""
        heard = entry.heard
        if heard is None or not entry.data:
            return None
        assert self._file is not None, "written inside `with`"
        fresh = np.frombuffer(entry.data, "<f4")
        first = heard.start + heard.length - len(fresh)
        if self._origin is None:
            self._origin = first
        hole = first - self._origin - self._end
        if not 0 <= hole <= LONGEST_HOLE_S * self._rate_hz:  # the source was opened anew, or was away for long
            hole, self._origin = 0, first - self._end
        self._write(np.concatenate([np.zeros(hole, np.float32), fresh]))
        place = heard.start - self._origin
        return place if place >= 0 else None

    def _write(self, samples: Samples) -> None:
        import soundfile

        assert self._file is not None
        try:
            self._file.write(samples)
        except (OSError, soundfile.LibsndfileError) as error:
            raise SoundError(f"{self._path}: cannot be written: {error}") from error
        self._end += len(samples)


def samples_of(path: Path) -> Samples:
    """The whole file; raises SoundError."""
    import soundfile

    try:
        samples, _ = soundfile.read(path, dtype="float32")
    except (OSError, soundfile.LibsndfileError) as error:
        raise SoundError(f"{path}: cannot be read: {error}") from error
    return np.asarray(samples, np.float32)
