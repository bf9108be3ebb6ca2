"""Bring the files of a version here: what an installed version has is copied, the rest comes chunk by chunk."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from appliance.backoff import Backoff
from appliance.sync.budget import Budget
from appliance.sync.carrier import Carrier, CarrierError, NoSuchFile, Stopped
from appliance.sync.part import Part
from appliance.sync.published import CHUNK_BYTES, TARGETS, Reference, chunks_of, stored
from appliance.sync.trust import Catalogue, Distrust, SignedFile
from engines.bundle import MANIFEST_FILE, MANIFEST_MOST_BYTES, BundleError, parse_manifest
from engines.durable import sync
from engines.manifest import Manifest

logger = logging.getLogger(__name__)

FORGERIES = 3
"""So many wrong answers for one chunk, and the registry is not believed."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
SPARE_BYTES = 32 << 20
"""Left free on the disk for everybody else."""


@dataclass(slots=True)
class Progress:
    """How far a version is."""

    total_bytes: int = 0
    kept_bytes: int = 0
    """Were here from an earlier attempt."""
    copied_bytes: int = 0
    """Were in an installed version."""
    fetched_bytes: int = 0
    """Came over the network."""

    @property
    def done_bytes(self) -> int:
        return self.kept_bytes + self.copied_bytes + self.fetched_bytes


@dataclass(frozen=True, slots=True)
class Offered:
    """A version as it was signed: its manifest has been fetched and checked, its other files are known."""

    reference: Reference
    manifest: Manifest
    serial: int
    files: Mapping[str, SignedFile]
    """By name in the bundle, `bundle.json` included."""

    @property
    def bytes(self) -> int:
        return sum(file.length for file in self.files.values())


class Fetcher:
    """Used on one thread, while its carrier is open."""

    def __init__(
        self,
        carrier: Carrier,
        folder: Path,
        *,
        budget: Budget,
        wait: Callable[[float], bool],
        most_bytes: int,
        tries: int | None = None,
    ) -> None:
        """`folder`: of the parts. `wait`: for so many seconds; true when the appliance stops. `most_bytes`: of one
        version. `tries`: failed reads in a row until it is given up; None never does."""
        self.progress = Progress()
        self._carrier = carrier
        self._folder = folder
        self._budget = budget
        self._wait = wait
        self._most_bytes = most_bytes
        self._tries = tries

    def offered(self, catalogue: Catalogue, reference: Reference) -> Offered:
        """What is signed of this version. Raises Distrust, CarrierError, Stopped, OSError."""
        first = catalogue.find(reference.manifest)
        if first is None:
            raise Distrust(f"{reference}: nobody has signed it, or it was revoked")
        if first.length > MANIFEST_MOST_BYTES:
            raise Distrust(f"{reference}: its manifest is larger than {MANIFEST_MOST_BYTES >> 20} MB")
        content = self._fetch(first, {}).read_bytes()
        try:
            manifest = parse_manifest(content, str(reference))
        except BundleError as error:
            raise Distrust(f"{error}") from error
        if (manifest.name, manifest.version) != (reference.model, reference.version):
            raise Distrust(f"{reference}: its manifest says {manifest.name}@{manifest.version}")
        files = {MANIFEST_FILE: first}
        for name, digest in (manifest.networks | manifest.files).items():
            found = catalogue.find(reference.file(name))
            if found is None:
                raise Distrust(f"{reference}: {name} is not signed")
            if f"sha256:{found.sha256}" != digest:
                raise Distrust(f"{reference}: {name} is signed with another content than its manifest names")
            files[name] = found
        offer = Offered(reference, manifest, first.custom.serial, files)
        if offer.bytes > self._most_bytes:
            raise Distrust(
                f"{reference}: {offer.bytes / 1e6:.0f} MB, more than the {self._most_bytes / 1e6:.0f} MB that a model "
                "may have here ([models] max_mb)"
            )
        return offer

    def fetch(self, offer: Offered, donors: Iterable[Path], tell: Callable[[Progress], None]) -> Mapping[str, Path]:
        """All files, by name; each checked. `donors`: files that may hold equal chunks.

        Raises Distrust, CarrierError, Stopped, OSError.
        """
        free = shutil.disk_usage(self._folder).free
        if free < 2 * offer.bytes + SPARE_BYTES:  # the parts, and the bundle that is made of them
            raise OSError(
                f"{self._folder}: {free / 1e6:.0f} MB are free, {(2 * offer.bytes + SPARE_BYTES) / 1e6:.0f} MB needed"
            )
        self.progress = Progress(total_bytes=offer.bytes)
        places = _places(donors)
        found = {}
        for name, file in offer.files.items():
            found[name] = self._fetch(file, places, lambda: tell(self.progress))
        sync(self._folder)
        return found

    def fetch_file(self, file: SignedFile) -> bytes:
        """One signed file alone, checked; nothing of it stays. Raises Distrust, CarrierError, Stopped, OSError."""
        path = self._fetch(file, {})
        content = path.read_bytes()
        path.unlink()
        return content

    def discard(self, offer: Offered) -> None:
        """The parts have become a bundle."""
        for file in offer.files.values():
            (self._folder / f"{file.sha256}.part").unlink(missing_ok=True)

    def _fetch(
        self, file: SignedFile, places: Mapping[str, tuple[Path, int]], tell: Callable[[], None] = lambda: None
    ) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        with Part(self._folder, file) as part:
            self.progress.kept_bytes += part.done_bytes
            for index, digest in list(part.missing()):
                if digest in places and part.put(index, _copied(*places[digest], part.size(index))):
                    self.progress.copied_bytes += part.size(index)
                else:
                    self._bring(file, part, index)
                tell()
            if not part.finish():
                raise Distrust(f"{file.path}: its chunks are as signed, the whole is not")
            return part.path

    def _bring(self, file: SignedFile, part: Part, index: int) -> None:
        """One chunk over the network."""
        path = f"{TARGETS}/{stored(file.path, file.sha256)}"
        backoff = Backoff(FIRST_WAIT_S, LONGEST_WAIT_S)
        forged = failed = 0
        content = b""
        while True:
            try:
                most = part.size(index) - len(content)
                piece = self._carrier.read(path, index * CHUNK_BYTES + len(content), most)
            except NoSuchFile:
                raise
            except CarrierError as error:
                failed += 1
                if self._tries is not None and failed >= self._tries:
                    raise
                wait_s = backoff.next_s()
                logger.info("%s; trying again in %.1f s", error, wait_s)
                if self._wait(wait_s):
                    raise Stopped from error
                continue
            self.progress.fetched_bytes += len(piece.content)
            self._budget.spend(len(piece.content))
            content += piece.content
            if piece.content and len(content) < part.size(index):
                continue
            if len(content) == part.size(index) and part.put(index, content):
                return
            content = b""
            forged += 1
            if forged >= FORGERIES:
                raise Distrust(f"{file.path}: the registry sends other bytes than its owner has signed")
            if self._wait(0):
                raise Stopped


def _places(donors: Iterable[Path]) -> dict[str, tuple[Path, int]]:
    """Where each chunk of some files is; one that cannot be read gives nothing."""
    found: dict[str, tuple[Path, int]] = {}
    for path in donors:
        try:
            for index, digest in enumerate(chunks_of(path)):
                found.setdefault(digest, (path, index * CHUNK_BYTES))
        except OSError as error:
            logger.warning("%s: nothing can be copied from it: %s", path, error.strerror)
    return found


def _copied(path: Path, offset: int, size: int) -> bytes:
    """Empty when it cannot be read any more."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except OSError:
        return b""
