"""What is measured on: a film, pictures out of it, and models; made once, kept in a folder that git ignores."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from capture.options import VideoOptions
from capture.recording import VideoFile
from capture.samples import Frame, Pixels
from engines.bundle import Bundle, write_bundle
from engines.coco import LABELS
from engines.digest import of_file
from engines.manifest import Decoder, ImageInput, Manifest, Stage
from scripts.benchmarks import detector, film

PEER = Path(__file__).with_name("ultralytics_peer.py")
PICTURES = 30
"""So many of the film are kept in memory: more than fit into a processor's caches."""

CANDIDATES = {640: 100, 320: 22}
"""Boxes over the threshold in a picture of the middle: what a detector of street scenes finds at these sizes."""


class Unavailable(Exception):
    """Something cannot be measured here; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Material:
    """Everything lies in `folder`; a file that is there is used as it is."""

    folder: Path
    film_s: int = 10

    @property
    def film(self) -> Path:
        """H.264, 1280x720, 30/s; raises Unavailable when it cannot be encoded here."""
        path = self.folder / f"film-{_recipe(film)}.mp4"
        if not path.exists():
            try:
                self._make(path, lambda into: film.encode(into, self.film_s))
            except film.NoFilm as error:
                raise Unavailable(str(error)) from error
        return path

    @property
    def pictures_file(self) -> Path:
        """uint8 (PICTURES, height, width, 3) BGR, the first second of the film."""
        path = self.folder / f"pictures-{_recipe(film)}-{PICTURES}.npy"
        if not path.exists():
            self._make(path, lambda into: _pictures(self.film, into))
        return path

    def pictures(self) -> npt.NDArray[np.uint8]:
        """As `pictures_file`."""
        loaded: npt.NDArray[np.uint8] = np.load(self.pictures_file)
        return loaded

    @property
    def peers_folder(self) -> Path:
        """For the networks that the peer exports, which follow from its program and the pictures."""
        folder = self.folder / f"peer-{_recipe(film)}-{_digest(PEER.read_bytes())}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def detector(self, size: int) -> Bundle:
        """Our own detector for pictures of `size` x `size`, as a bundle."""
        network = self.folder / f"detector-{size}-{_recipe(detector, film)}.onnx"
        if not network.exists():
            tensors = [_letterboxed(pixels, size) for pixels in self.pictures()[::6]]
            candidates = CANDIDATES.get(size, 10)
            self._make(network, lambda into: detector.write(into, size, tensors, candidates))
        return self.bundle(network, size, detector.INPUT, detector.OUTPUT)

    def bundle(self, network: Path, size: int, tensor: str, output: str) -> Bundle:
        """A detector's ONNX file with what the appliance must know of it."""
        folder = network.with_suffix("")
        if (folder / "bundle.json").exists():
            return Bundle.open(folder)
        manifest = Manifest(
            name=network.stem.lower().replace("_", "-"),
            version="1",
            task="detect",
            labels=LABELS,
            input=ImageInput(
                tensor=tensor, width=size, height=size, fit="letterbox", scale=(1 / 255, 1 / 255, 1 / 255)
            ),
            stages=(Stage(name="network", file="network.onnx", digest=of_file(network)),),
            decoder=Decoder(
                name="yolo-v8", threshold=detector.THRESHOLD, nms_iou=detector.IOU, options={"output": output}
            ),
        )
        return write_bundle(folder, manifest, {"network.onnx": network})

    def _make(self, path: Path, write: Callable[[Path], Any]) -> None:
        """Whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"new-{os.getpid()}-{path.name}")
        try:
            write(draft)
            draft.rename(path)
        finally:
            draft.unlink(missing_ok=True)


def _recipe(*modules: ModuleType) -> str:
    """Changes with the code that makes a file."""
    return _digest(b"".join(Path(str(module.__file__)).read_bytes() for module in modules))


def _digest(code: bytes) -> str:
    return hashlib.sha256(code).hexdigest()[:8]


def _pictures(path: Path, into: Path) -> None:
    with VideoFile("film", str(path), VideoOptions(realtime=False)) as source:
        chosen = [frame.pixels for frame in islice(iter(source), PICTURES) if isinstance(frame, Frame)]
    with into.open("wb") as file:
        np.save(file, np.stack(chosen))


def _letterboxed(pixels: Pixels, size: int) -> npt.NDArray[np.float32]:
    """(1, 3, size, size), RGB, 0 to 1."""
    from scripts.benchmarks.plain import letterbox

    return letterbox(pixels, size)[0]
