"""What a package brings along, as a CycloneDX bill of materials: each wheel, its version, licence, digest and needs.

    python scripts/packaging/bill_of_materials.py FOLDER-OF-WHEELS ARCHITECTURE >bill-of-materials.cdx.json

The same wheels make the same bill, but for SOURCE_DATE_EPOCH, which is its date.
"""

from __future__ import annotations

import email.parser
import hashlib
import os
import re
import sys
import uuid
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from email.message import Message
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.requirements import Requirement

OURS = "edge-inference-appliance"
_FILE = re.compile(r"[^/]+\.dist-info/METADATA")
_FREE = "License :: OSI Approved :: "


@dataclass(frozen=True, slots=True)
class Wheel:
    """One file, and what it says of itself."""

    path: Path
    sha256: str
    metadata: Message

    @property
    def name(self) -> str:
        return re.sub(r"[-_.]+", "-", str(self.metadata["Name"])).lower()

    @property
    def version(self) -> str:
        return str(self.metadata["Version"])


def wheel(path: Path) -> Wheel:
    """Raises ValueError for a file without metadata."""
    with zipfile.ZipFile(path) as archive:
        found = [name for name in archive.namelist() if _FILE.fullmatch(name)]
        if len(found) != 1:
            raise ValueError(f"{path}: {len(found)} METADATA in a wheel")
        metadata = email.parser.BytesParser().parsebytes(archive.read(found[0]))
    return Wheel(path, hashlib.sha256(path.read_bytes()).hexdigest(), metadata)


def bill(wheels: Iterable[Wheel], architecture: str) -> Bom:
    """The bill of a package: ours is what it is about, every other wheel a part. Two wheels of one version are one part
    with two files."""
    parts: dict[str, Component] = {}
    needs: dict[str, set[str]] = {}
    for each in sorted(wheels, key=lambda each: each.path.name):
        key = f"{each.name}@{each.version}"
        part = parts.setdefault(key, _part(each))
        part.properties.add(Property(name="appliance:wheel", value=f"{each.path.name} sha256:{each.sha256}"))
        wanted = (Requirement(text) for text in each.metadata.get_all("Requires-Dist", []))
        names = {re.sub(r"[-_.]+", "-", one.name).lower() for one in wanted if "extra" not in str(one.marker or "")}
        needs[key] = needs.get(key, set()) | names
    made = Bom(components=(part for part in parts.values() if part.name != OURS))
    made.metadata.component = next(part for part in parts.values() if part.name == OURS)
    made.metadata.component.properties.add(Property(name="appliance:architecture", value=architecture))
    made.metadata.timestamp = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), timezone.utc)
    digests = "".join(sorted(property_.value or "" for part in parts.values() for property_ in part.properties))
    made.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, f"{OURS}/{architecture}/{digests}")
    for key, names in needs.items():
        made.register_dependency(parts[key], [part for part in parts.values() if part.name in names])
    return made


def _part(each: Wheel) -> Component:
    address = PackageURL("pypi", name=each.name, version=each.version)
    return Component(
        name=each.name,
        version=each.version,
        type=ComponentType.APPLICATION if each.name == OURS else ComponentType.LIBRARY,
        purl=address,
        bom_ref=str(address),
        description=str(each.metadata["Summary"]) if each.metadata["Summary"] else None,
        licenses=[LicenseFactory().make_from_string(text) for text in _licence(each.metadata)],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=each.sha256)],
    )


def _licence(metadata: Message) -> list[str]:
    """As the wheel says: its expression, else the classifier, else the first line of the older field."""
    if metadata["License-Expression"]:
        return [str(metadata["License-Expression"])]
    classified = [text.removeprefix(_FREE) for text in metadata.get_all("Classifier", []) if text.startswith(_FREE)]
    if classified:
        return classified[:1]
    lines = str(metadata["License"] or "").strip().splitlines()
    return [lines[0][:100]] if lines else []


def written(made: Bom) -> str:
    """JSON, held against the schema of CycloneDX 1.6; raises ValueError for what is none."""
    text = JsonV1Dot6(made).output_as_string(indent=1)
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if fault is not None:
        raise ValueError(f"not a bill of materials: {str(fault)[:500]}")
    return text + "\n"


def main(folder: str, architecture: str) -> None:
    wheels = [wheel(path) for path in sorted(Path(folder).glob("*.whl"))]
    if not any(each.name == OURS for each in wheels):
        raise SystemExit(f"{folder}: no wheel of {OURS} among {len(wheels)}")
    print(written(bill(wheels, architecture)), end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
