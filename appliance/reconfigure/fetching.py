"""Bring the text of a configuration here, as its owner has signed it, and judge it beside the file on the device."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from appliance.config_file import load_raw
from appliance.reconfigure.layers import layered
from appliance.reconfigure.standing import Standing, Version
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


def bring(source: Source, store: Store, ledger: Ledger, standing: Standing) -> Version:
    """What is wanted, judged and on the disk.

    Raises Distrust or ConfigError for what is not to be used, CarrierError when the registry cannot be reached,
    Stopped, OSError, LedgerError.
    """
    reference = Reference.parse(standing.wanted)
    with source.carrier() as carrier:
        catalogue = look(store.folder / "tuf", source.anchor, carrier, ledger, ClockFloor(ledger))
        file = catalogue.find(configuration(reference))
        if file is None:
            raise Distrust(f"{reference}: nobody has signed it")
        _judge(source, ledger, standing, reference, file)
        content = source.fetcher(carrier, store.folder / "parts").fetch_file(file)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Distrust(f"{reference}: no text in UTF-8: {error}") from error
    layered(load_raw(source.path), text, str(reference))
    return Version(str(reference), store.keep_text(content), file.custom.serial)


def mark(name: str) -> str:
    """Key of the highest serial that was kept of a configuration of any version."""
    return f"serial {name.partition('@')[0]}"


def _judge(source: Source, ledger: Ledger, standing: Standing, reference: Reference, file: SignedFile) -> None:
    """Raises Distrust for what this device may not have."""
    if file.length > MOST_BYTES:
        raise Distrust(f"{reference}: {file.length} bytes; a configuration has at most {MOST_BYTES}")
    if file.custom.devices is not None and source.device not in file.custom.devices:
        raise Distrust(f"{reference}: signed for other devices; its owner names {source.device} with --device")
    known = [each.serial for each in (standing.good, standing.before) if mark(each.name) == mark(str(reference))]
    highest = max(ledger.mark(mark(str(reference))), *known, 0)
    if file.custom.serial < highest:
        raise Distrust(
            f"{reference}: published before what this device has had (number {file.custom.serial}, after {highest}); "
            "its owner can publish it again"
        )
