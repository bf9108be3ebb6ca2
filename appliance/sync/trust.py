"""What the device believes: TUF over any carrier, with marks that survive the loss of its cache, and a clock floor."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import TargetFile, Targets
from tuf.ngclient import FetcherInterface, Updater

from appliance.sync.carrier import Carrier, CarrierError, NoSuchFile
from appliance.sync.clock_floor import ClockFloor, Marks
from appliance.sync.published import METADATA, BadCustom, Custom, Reference, read_custom
from engines.durable import sync_folders

READ_BYTES = 64 << 10
SIGNED_AT = "signed_at"
_WORDS: tuple[tuple[type[RepositoryError], str], ...] = (
    (ExpiredMetadataError, "its signatures have expired: it is not signed any more, or an old state is shown to us"),
    (BadVersionNumberError, "it shows an older or another state than the one that it has shown before"),
    (UnsignedMetadataError, "it is not signed by the keys that this device believes"),
    (LengthOrHashMismatchError, "its parts do not belong together"),
    (RepositoryError, "its metadata is damaged"),
)


class Distrust(Exception):
    """What was offered is not believed; the message says why. Trying the same again is of no use."""


@dataclass(frozen=True, slots=True)
class SignedFile:
    """A file as its owner has signed it."""

    path: str
    """Of the target."""
    length: int
    sha256: str
    custom: Custom


class Catalogue:
    """What is signed now, as one look at the registry found it."""

    def __init__(self, updater: _FlooredUpdater) -> None:
        self._updater = updater

    def find(self, path: str) -> SignedFile | None:
        """None when nobody who may has signed such a file. Raises Distrust, CarrierError, Stopped."""
        with _told():
            target = self._updater.get_targetinfo(path)
        return None if target is None else _signed(target)

    def newest(self, model: str) -> str | None:
        """The version that was published last; None when nobody has signed any. Raises as `find` does."""
        self.find(Reference(model, "-").manifest)  # no version is called so: whoever may sign this model is asked
        signed: dict[int, str] = {}
        for path in self._updater.named():
            if (reference := Reference.of_manifest(path)) is not None and reference.model == model:
                found = self.find(path)
                if found is not None:
                    signed[found.custom.serial] = reference.version
        return signed[max(signed)] if signed else None


def look(folder: Path, anchor: bytes, carrier: Carrier, marks: Marks, clock: ClockFloor) -> Catalogue:
    """Ask the registry what is signed now. `folder`: for metadata that was believed before; `anchor`: the first root.

    Raises Distrust, CarrierError, Stopped, OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _told():
        updater = _FlooredUpdater(folder, anchor, carrier, clock.now())
        updater.refresh()
        versions, signed_at = updater.believed()
    for role, version in versions.items():
        seen = marks.mark(f"tuf {role}")
        if version < seen:
            raise Distrust(f"the registry is not believed: its {role} is number {version}, after number {seen}")
    sync_folders(folder)
    for role, version in versions.items():
        marks.raise_mark(f"tuf {role}", version)
    if signed_at is not None:
        clock.signed_at(signed_at)
    return Catalogue(updater)


class _FlooredUpdater(Updater):
    """tuf's client on a clock of ours: it has no public way to say what time it is, nor what it has believed."""

    def __init__(self, folder: Path, anchor: bytes, carrier: Carrier, now: datetime) -> None:
        super().__init__(str(folder), METADATA, fetcher=_Fetcher(carrier), bootstrap=anchor)
        self._trusted_set.reference_time = now

    def named(self) -> set[str]:
        """Target paths in all that was loaded so far; whether they may be named there, `get_targetinfo` says."""
        return {path for signed in self._trusted_set if isinstance(signed, Targets) for path in signed.targets}

    def believed(self) -> tuple[dict[str, int], datetime | None]:
        """Versions of the roles that the root names, and when the timestamp was signed."""
        trusted = self._trusted_set
        roles = {"root": trusted.root, "timestamp": trusted.timestamp, "snapshot": trusted.snapshot}
        versions = {name: signed.version for name, signed in roles.items()} | {"targets": trusted.targets.version}
        said = trusted.timestamp.unrecognized_fields.get(SIGNED_AT)
        if not isinstance(said, str) or not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", said):
            return versions, None
        moment = datetime.strptime(said, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
        return versions, min(moment, trusted.timestamp.expires)


class _Fetcher(FetcherInterface):
    """tuf's client over a carrier; it stops reading at the length it knows."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier

    def _fetch(self, url: str) -> Iterator[bytes]:
        offset = 0
        try:
            while True:
                piece = self._carrier.read(url, offset, READ_BYTES)
                yield piece.content
                offset += len(piece.content)
                if offset >= piece.total or not piece.content:
                    return
        except NoSuchFile as error:
            raise DownloadHTTPError(str(error), 404) from error


@contextmanager
def _told() -> Iterator[None]:
    """tuf's errors as sentences."""
    try:
        yield
    except DownloadLengthMismatchError as error:
        raise Distrust("the registry is not believed: it sends more than any of its files holds") from error
    except DownloadError as error:
        raise CarrierError(str(error.__cause__ or error)) from error
    except RepositoryError as error:
        words = next(words for kind, words in _WORDS if isinstance(error, kind))
        raise Distrust(f"the registry is not believed: {words} ({error})") from error
    except (ValueError, RecursionError) as error:
        raise Distrust(f"the registry is not believed: its metadata is damaged ({error})") from error


def _signed(target: TargetFile) -> SignedFile:
    """Raises Distrust for a target that a device cannot use."""
    sha256 = target.hashes.get("sha256", "")
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise Distrust(f"{target.path}: signed without a SHA-256")
    try:
        custom = read_custom(target.path, target.length, target.custom)
    except BadCustom as error:
        raise Distrust(str(error)) from error
    return SignedFile(target.path, target.length, sha256, custom)
