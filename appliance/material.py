"""What a model is worked on with: pictures or windows of sound, from files, folders of them, or a source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from appliance.predict import PICTURES, SOUNDS, VIDEOS
from capture.open import is_audio, open_source
from capture.options import AudioOptions, VideoOptions
from capture.pictures import Pictures, is_picture
from capture.recording import VideoFile
from capture.samples import AudioWindow, Frame
from capture.source import CaptureError, Source
from capture.wav import WavFile
from capture.windows import Windows
from engines.engine import Array
from engines.manifest import AudioInput, ImageInput, Manifest
from engines.pictures import Pictures as NetworkInput


def material(given: str, manifest: Manifest, most: int | None = None, every: int = 1) -> Iterator[Array]:
    """Samples as the model takes them: uint8 (height, width, 3) BGR, or float32 windows at its rate.

    `given`: a file, a folder of files, or the address of a source (`camera:0`, `mic:`), which must then be limited by
    `most`. `every`: only every so many. Raises CaptureError, whose message names the next step, at what cannot be read.
    """
    yield from islice(islice(_all(given, manifest), 0, None, every), most)


def kept(samples: Iterable[Array], *manifests: Manifest) -> list[Array]:
    """All samples at once; of pictures only what these models see of them, so that 200 photos of 12 megapixels do not
    fill 7 GB.

    The networks are given the same numbers, and boxes are those of a smaller picture. Where the models do not fit
    pictures in alike, they are kept whole.
    """
    specs = [each.input for each in manifests]
    pictures = [each for each in specs if isinstance(each, ImageInput)]
    if len(pictures) < len(specs) or len({(each.width, each.height, each.fit) for each in pictures}) != 1:
        return list(samples)
    network = NetworkInput(pictures[0], rows=1)
    return [network.seen(each) for each in samples]


def labelled_material(path: Path, manifest: Manifest) -> list[Array]:
    """All samples of one labelled file; sound comes out of silence and goes into it, as in front of a microphone."""
    spec = manifest.input
    if not isinstance(spec, AudioInput):
        return list(material(str(path), manifest))
    with _file(path, manifest) as source:
        blocks = [block.samples for block in source if isinstance(block, AudioWindow)]
    around = np.zeros(max(spec.samples - spec.hop, 0), np.float32)
    sound = np.concatenate([around, *blocks, around])
    return [sound[start : start + spec.samples] for start in range(0, len(sound), spec.hop)]


def _all(given: str, manifest: Manifest) -> Iterator[Array]:
    path = Path(given)
    hears = isinstance(manifest.input, AudioInput)
    if path.is_dir():
        suffixes = SOUNDS if hears else PICTURES | VIDEOS
        files = sorted(each for each in path.rglob("*") if each.suffix.lower() in suffixes)
        if not files:
            raise CaptureError(f"{given}: no {'sound file' if hears else 'picture or video'} in this folder")
        for file in files:
            yield from _samples(_file(file, manifest), manifest)
    elif path.exists():
        yield from _samples(_file(path, manifest), manifest)
    else:
        yield from _samples(_address(given, manifest), manifest)


def _file(path: Path, manifest: Manifest) -> Source:
    spec = manifest.input
    if isinstance(spec, AudioInput):
        return WavFile(path.name, str(path), AudioOptions(rate_hz=spec.rate_hz, realtime=False))
    options = VideoOptions(realtime=False)
    return Pictures(path.name, str(path), options) if is_picture(path) else VideoFile(path.name, str(path), options)


def _address(uri: str, manifest: Manifest) -> Source:
    spec = manifest.input
    if ":" not in uri:
        raise CaptureError(f"{uri}: no such file or folder")
    try:
        if is_audio(uri) != isinstance(spec, AudioInput):
            kind = "sound" if isinstance(spec, AudioInput) else "pictures"
            raise CaptureError(f"{uri}: {manifest.name} takes {kind}, and this source gives none")
        if isinstance(spec, AudioInput):
            return open_source("material", uri, AudioOptions(rate_hz=spec.rate_hz, realtime=False))
        return open_source("material", uri, VideoOptions(realtime=False))
    except ValueError as error:
        raise CaptureError(str(error)) from error


def _samples(source: Source, manifest: Manifest) -> Iterator[Array]:
    spec = manifest.input
    with source:
        if not isinstance(spec, AudioInput):
            yield from (frame.pixels for frame in source if isinstance(frame, Frame))
            return
        windows = Windows(spec.samples, spec.hop)
        for block in source:
            if isinstance(block, AudioWindow):
                yield from (window.samples for window in windows.push(block))
        yield from (window.samples for window in windows.flush(pad=True))
