"""A model on files, in one thread, without a broker: the same model and documents as in the daemon."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from appliance.clock import clock_state
from appliance.config import host_name
from appliance.pipeline.compose import Served, compose
from appliance.result import ModelId, Result
from capture.options import AudioOptions, VideoOptions
from capture.pictures import Pictures, is_picture
from capture.recording import VideoFile
from capture.samples import AudioWindow, Frame, Sample
from capture.source import CaptureError, Source
from capture.wav import WavFile
from capture.windows import Windows
from engines.bundle import Bundle
from engines.engine import EngineError
from engines.manifest import AudioInput
from engines.model import Model
from engines.predictions import Answer

PIPELINE = "predict"

T = TypeVar("T")

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
VIDEOS = frozenset(
    {
        ".mp4",
        ".m4v",
        ".mov",
        ".mkv",
        ".avi",
        ".webm",
        ".mpg",
        ".mpeg",
        ".ts",
        ".mts",
        ".m2ts",
        ".wmv",
        ".flv",
        ".3gp",
        ".ogv",
        ".gif",
        ".mjpeg",
    }
)
SOUNDS = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64", ".rf64"}
)
"""What is taken from a folder; everything else in it, such as notes and thumbnails, is left alone."""


class Predictor:
    """One model, opened with `with`, asked about any number of inputs."""

    def __init__(self, bundle: Bundle, *, engine: str = "auto", threshold: float | None = None, every: int = 1) -> None:
        """`every`: answer every so many frames or windows only."""
        self._bundle = bundle
        self._model = Model(bundle, engine=engine)
        self._threshold = threshold
        self._every = every
        manifest = bundle.manifest
        self._hears = isinstance(manifest.input, AudioInput)
        self._suffixes = SOUNDS if self._hears else PICTURES | VIDEOS
        self._id = ModelId(manifest.name, manifest.version, manifest.digest)
        self._device = host_name()
        self._clock = clock_state()

    def __enter__(self) -> Predictor:
        self._model.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._model.__exit__(kind, error, trace)

    def results(self, given: str, unusable: Callable[[str], None]) -> Iterator[Result]:
        """The results of one image, video, sound file or folder, in order.

        What cannot be read is told to `unusable`, in a sentence with the next step; in a folder the rest goes on.
        """
        path = Path(given)
        if path.is_dir():
            yield from self._folder(path, given, unusable)
            return
        try:
            yield from self._file(path, given)
        except CaptureError as error:
            unusable(str(error))

    def _folder(self, folder: Path, given: str, unusable: Callable[[str], None]) -> Iterator[Result]:
        """The files of the model's kind by name, told by their endings; `seq` goes on from file to file."""
        try:
            files = sorted(path for path in folder.iterdir() if path.suffix.lower() in self._suffixes)
        except OSError as error:
            unusable(f"{given}: cannot be read: {error.strerror}")
            return
        if not files:
            unusable(f"{given}: no {'sound file' if self._hears else 'picture or video'} in this folder")
        seq = 0
        for path in files:
            try:
                for result in self._file(path, given):
                    yield replace(result, seq=seq, file=path.name)
                    seq += 1
            except CaptureError as error:
                unusable(str(error))

    def _file(self, path: Path, given: str) -> Iterator[Result]:
        if not path.is_file():
            raise CaptureError(f"{path}: neither a file nor a folder: save what it gives in a file first")
        return self._sound(path, given) if self._hears else self._pictures(_video(path, given))

    def _pictures(self, source: Source) -> Iterator[Result]:
        with source:
            for frame in source:
                if frame.seq % self._every == 0 and isinstance(frame, Frame):
                    yield self._answer(frame, self._model.predict([frame.pixels], thresholds=[self._threshold])[0])

    def _sound(self, path: Path, given: str) -> Iterator[Result]:
        """Every window is heard, since a stream has a memory; only every Nth is told."""
        stream = self._model.new_stream()
        for window, last in _with_last(self._windows(path, given)):
            stream.seek(window.start)
            answer = self._model.predict([window.samples], streams=[stream], thresholds=[self._threshold])[0]
            if last and isinstance(answer, Answer):
                answer = replace(answer, predictions=answer.predictions + self._model.finish(stream))
            told = self._answer(window, answer)
            if window.seq % self._every == 0 or told.segments:
                yield told

    def _windows(self, path: Path, given: str) -> Iterator[AudioWindow]:
        spec = self._bundle.manifest.input
        assert isinstance(spec, AudioInput)
        windows = Windows(spec.samples, spec.hop)
        with WavFile(given, str(path), AudioOptions(rate_hz=spec.rate_hz, realtime=False)) as source:
            for block in source:
                if isinstance(block, AudioWindow):
                    yield from windows.push(block)
            yield from windows.flush(pad=True)

    def _answer(self, sample: Sample, answer: Answer | EngineError) -> Result:
        now_ns = time.monotonic_ns()
        spent_ms = (
            0.0
            if isinstance(answer, EngineError)
            else sum((answer.times.prepare_ms, answer.times.infer_ms, answer.times.decode_ms))
        )
        served = Served(now_ns - int(spent_ms * 1e6), now_ns, self._model.engine_name, self._id, "asked for")
        return compose(self._device, PIPELINE, sample, answer, served, self._clock)


def _video(path: Path, given: str) -> Source:
    options = VideoOptions(realtime=False)
    if is_picture(path):
        return Pictures(given, str(path), options)
    return VideoFile(given, str(path), options)


def _with_last(items: Iterable[T]) -> Iterator[tuple[T, bool]]:
    """Every item, and whether it is the last."""
    waiting: list[T] = []
    for item in items:
        if waiting:
            yield waiting.pop(), False
        waiting.append(item)
    if waiting:
        yield waiting.pop(), True
