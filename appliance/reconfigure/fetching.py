"""Bring the text of a configuration here, as its owner has signed it, and judge it beside the file on the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.config_file import load_raw
from appliance.reconfigure.layers import layered
from appliance.reconfigure.standing import FILE_ALONE, Standing, Version
from appliance.reconfigure.store import MOST_BYTES, Store
from appliance.sync.carrier import Carrier
from appliance.sync.clock_floor import ClockFloor
from appliance.sync.fetch import Fetcher
from appliance.sync.ledger import Ledger
from appliance.sync.published import Reference, configuration
from appliance.sync.trust import Distrust, SignedFile, look


@dataclass(frozen=True, slots=True)
class Source:
    """Where signed configurations come from, and for whom."""

    device: str
    path: Path
    """The file on the device."""
    anchor: bytes
    """The root that is believed."""
    carrier: Callable[[], AbstractContextManager[Carrier]]
    fetcher: Callable[[Carrier, Path], Fetcher]
    """From a carrier and the folder of the parts."""


class Registry:
    """As one look has found it; used while its carrier is open, inside `looked_at`."""

    def __init__(self, source: Source, store: Store, ledger: Ledger, carrier: Carrier) -> None:
        """Raises as `looked_at` does."""
        self._source = source
        self._store = store
        self._ledger = ledger
        self._carrier = carrier
        self._catalogue = look(store.folder / "tuf", source.anchor, carrier, ledger, ClockFloor(ledger))

    def revoked(self, standing: Standing) -> list[Version]:
        """What its owner has taken back of all that this device uses or could go back to: it is signed no more, or with
        another content, or for other devices. Raises Distrust, CarrierError, Stopped."""
        here = dict.fromkeys((standing.active, standing.good, standing.before))
        return [version for version in here if version != FILE_ALONE and not self._holds(version)]

    def bring(self, standing: Standing) -> Version:
        """What is wanted, judged and on the disk.

        Raises Distrust or ConfigError for what is not to be used, CarrierError when the registry cannot be reached,
        Stopped, OSError, LedgerError.
        """
        reference = Reference.parse(standing.wanted)
        file = self._catalogue.find(configuration(reference))
        if file is None:
            raise Distrust(f"{reference}: nobody has signed it, or it was revoked")
        _judge(self._source, self._ledger, standing, reference, file)
        content = self._source.fetcher(self._carrier, self._store.folder / "parts").fetch_file(file)
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Distrust(f"{reference}: no text in UTF-8: {error}") from error
        layered(load_raw(self._source.path), text, str(reference))
        return Version(str(reference), self._store.keep_text(content), file.custom.serial)

    def _holds(self, version: Version) -> bool:
        file = self._catalogue.find(configuration(Reference.parse(version.name)))
        return file is not None and file.sha256 == version.digest and _is_for(self._source, file)


@contextmanager
def looked_at(source: Source, store: Store, ledger: Ledger) -> Iterator[Registry]:
    """Ask the registry what is signed now. Raises Distrust, CarrierError, Stopped, OSError, LedgerError."""
    with source.carrier() as carrier:
        yield Registry(source, store, ledger, carrier)


def mark(name: str) -> str:
    """Key of the highest serial that was kept of a configuration of any version."""
    return f"serial {name.partition('@')[0]}"


def _judge(source: Source, ledger: Ledger, standing: Standing, reference: Reference, file: SignedFile) -> None:
    """Raises Distrust for what this device may not have."""
    if file.length > MOST_BYTES:
        raise Distrust(f"{reference}: {file.length} bytes; a configuration has at most {MOST_BYTES}")
    if not _is_for(source, file):
        raise Distrust(f"{reference}: signed for other devices; its owner names {source.device} with --device")
    known = [each.serial for each in (standing.good, standing.before) if mark(each.name) == mark(str(reference))]
    highest = max(ledger.mark(mark(str(reference))), *known, 0)
    if file.custom.serial < highest:
        raise Distrust(
            f"{reference}: published before what this device has had (number {file.custom.serial}, after {highest}); "
            "its owner can publish it again"
        )


def _is_for(source: Source, file: SignedFile) -> bool:
    return file.custom.devices is None or source.device in file.custom.devices
