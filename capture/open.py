"""From the address of a source to the source: a table, and no device is touched."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import unquote

from capture.address import redacted
from capture.options import AudioOptions, VideoOptions
from capture.source import Source

if TYPE_CHECKING:
    from capture.scene import Scene

__all__ = ["is_audio", "is_sensor", "open_source", "redacted"]

Options = TypeVar("Options", VideoOptions, AudioOptions)


@dataclass(frozen=True, slots=True)
class _Scheme(Generic[Options]):
    """One kind of source."""

    example: str
    make: Callable[[str, str, Options], Source]
    sensor: bool
    """A device that watches the world, so that content that never changes means a fault."""


def _camera(name: str, address: str, options: VideoOptions) -> Source:
    from capture.camera import Camera

    return Camera(name, address, options)


def _csi(name: str, address: str, options: VideoOptions) -> Source:
    from capture.csi import CsiCamera

    return CsiCamera(name, address, options)


def _rtsp(name: str, address: str, options: VideoOptions) -> Source:
    from capture.rtsp import RtspCamera

    return RtspCamera(name, f"rtsp:{address}", options)


def _rtsps(name: str, address: str, options: VideoOptions) -> Source:
    from capture.rtsp import RtspCamera

    return RtspCamera(name, f"rtsps:{address}", options)


def _file(name: str, address: str, options: VideoOptions) -> Source:
    from capture.recording import VideoFile

    return VideoFile(name, _path(address), options)


def _images(name: str, address: str, options: VideoOptions) -> Source:
    from capture.pictures import Pictures

    return Pictures(name, _path(address), options)


def _scene(name: str, address: str, options: VideoOptions) -> Source:
    from capture.displays import Displays
    from capture.shapes import Shapes

    scenes: dict[str, type[Scene]] = {each.kind: each for each in (Shapes, Displays)}
    if address not in scenes:
        known = ", ".join(f"scene:{kind}" for kind in scenes)
        raise ValueError(f"scene:{address}: there is no such scene; known: {known}")
    return scenes[address](name, options)


def _mic(name: str, address: str, options: AudioOptions) -> Source:
    from capture.microphone import Microphone

    return Microphone(name, address, options)


def _wav(name: str, address: str, options: AudioOptions) -> Source:
    from capture.wav import WavFile

    return WavFile(name, _path(address), options)


_VIDEO: dict[str, _Scheme[VideoOptions]] = {
    "camera": _Scheme("camera:0 or camera:/dev/v4l/by-id/…", _camera, sensor=True),
    "csi": _Scheme("csi:0", _csi, sensor=True),
    "rtsp": _Scheme("rtsp://host/path", _rtsp, sensor=True),
    "rtsps": _Scheme("rtsps://host/path", _rtsps, sensor=True),
    "file": _Scheme("file:video.mp4", _file, sensor=False),
    "images": _Scheme("images:folder", _images, sensor=False),
    "scene": _Scheme("scene:digits or scene:shapes", _scene, sensor=False),
}
_AUDIO: dict[str, _Scheme[AudioOptions]] = {
    "mic": _Scheme("mic: or mic:name", _mic, sensor=True),
    "wav": _Scheme("wav:speech.wav", _wav, sensor=False),
}


def open_source(name: str, uri: str, options: VideoOptions | AudioOptions) -> Source:
    """The source at `uri`, not yet opened: the device is touched by `with`.

    `options` are VideoOptions, for `mic:` and `wav:` AudioOptions (TypeError otherwise). Raises ValueError, with a
    sentence for the person who wrote the address, when there is no such source.
    """
    scheme, address = _split(uri)
    if not address and scheme != "mic":
        raise ValueError(f"{scheme}: is not complete: write for example {_example(scheme)}")
    if scheme in _AUDIO:
        if not isinstance(options, AudioOptions):
            raise TypeError(f"{scheme}: is a sound source and takes AudioOptions")
        return _AUDIO[scheme].make(name, address, options)
    if not isinstance(options, VideoOptions):
        raise TypeError(f"{scheme}: is a picture source and takes VideoOptions")
    return _VIDEO[scheme].make(name, address, options)


def is_audio(uri: str) -> bool:
    """Whether the source delivers AudioWindows; ValueError for an unknown scheme."""
    return _split(uri)[0] in _AUDIO


def is_sensor(uri: str) -> bool:
    """Whether the source watches the world, so that its freshness is judged; ValueError for an unknown scheme."""
    scheme, _ = _split(uri)
    return _AUDIO[scheme].sensor if scheme in _AUDIO else _VIDEO[scheme].sensor


def _split(uri: str) -> tuple[str, str]:
    """Scheme and address; ValueError, which does not repeat credentials, for an unknown scheme."""
    scheme, colon, address = uri.partition(":")
    if colon and (scheme in _VIDEO or scheme in _AUDIO):
        return scheme, address
    known = [*_VIDEO, *_AUDIO]
    examples = ", ".join(_example(scheme) for scheme in known)
    if not colon:
        raise ValueError(f"{uri!r} is not the address of a source: write one of {examples}")
    near = difflib.get_close_matches(scheme.lower(), known, n=1, cutoff=0.5)
    hint = f"did you mean {_example(near[0])}? " if near else ""
    raise ValueError(f"{redacted(uri)!r} is not the address of a source: {hint}known are {examples}")


def _example(scheme: str) -> str:
    return _AUDIO[scheme].example if scheme in _AUDIO else _VIDEO[scheme].example


def _path(address: str) -> str:
    """`relative/path`, `/absolute/path`, or the part of a URL after `file:`, `///absolute/with%20space`."""
    if not address.startswith("//"):
        return address
    host, _, path = address[2:].partition("/")
    if host not in ("", "localhost"):
        raise ValueError(f"file://{redacted(host)}/…: a file must be on this machine: write file:///path")
    return unquote(f"/{path}")
