"""What every part is given."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from capture.samples import Frame, Pixels, Stamp
from engines.onnxrt import default_threads
from scripts.benchmarks.extent import Extent
from scripts.benchmarks.material import Material
from scripts.benchmarks.peer import Peer


@dataclass(slots=True)
class Bench:
    """One run of scripts/bench."""

    extent: Extent
    material: Material
    scratch: Path
    """A folder for files that nobody needs afterwards."""
    peer: Peer | None = None
    no_peer: str = "the peer is not installed: run scripts/benchmarks/peer.sh"
    """Why there is no peer."""
    threads: int = field(default_factory=default_threads)
    """Of every engine in a comparison: as many as the appliance chooses."""

    def say(self, words: str) -> None:
        """Progress, for a person."""
        sys.stderr.write(f"{words}\n")

    def room(self, name: str) -> Path:
        """A fresh folder."""
        folder = self.scratch / f"{name}-{len(list(self.scratch.iterdir()))}"
        folder.mkdir()
        return folder


def frame(pixels: Pixels, seq: int) -> Frame:
    """A picture as a camera would hand it over now."""
    stamp = Stamp.now()
    return Frame("camera", seq, stamp, pixels, ready_ns=stamp.mono_ns)


class Pictures:
    """A source of pictures that are in memory already, for ever: to the last one and back again, as things move."""

    live = True
    description = "pictures in memory"

    def __init__(self, name: str, pictures: Pixels) -> None:
        self.name = name
        self._pictures = pictures
        self._closed = False

    def __enter__(self) -> Pictures:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __iter__(self) -> Iterator[Frame]:
        last = len(self._pictures) - 1
        for seq in itertools.count():
            if self._closed:
                return
            yield frame(self._pictures[last - abs(last - seq % (2 * last))], seq)

    def close(self) -> None:
        self._closed = True
