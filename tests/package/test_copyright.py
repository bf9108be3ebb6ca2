"""The copyright file of the Debian package, in the format that Debian calls DEP-5."""

from __future__ import annotations

import json
from email import message_from_string

from tests.conftest import REPOSITORY

BUNDLES = sorted((REPOSITORY / "appliance" / "bundles").glob("*/*/bundle.json"))


def test_every_model_with_a_licence_of_its_own_is_named_with_it() -> None:
    text = (REPOSITORY / "scripts" / "packaging" / "copyright").read_text()
    paragraphs = [message_from_string(each) for each in text.split("\n\n")]
    licences = {each["Files"]: each["License"] for each in paragraphs if each["Files"]}
    texts = {each["License"].split("\n")[0] for each in paragraphs if each["License"] and not each["Files"]}
    assert paragraphs[0]["Format"].startswith("https://www.debian.org/doc/packaging-manuals/copyright-format/1.0")
    assert set(licences.values()) == texts
    for bundle in BUNDLES:
        told = json.loads(bundle.read_text())["about"]["licence"]
        name = licences.get(f"appliance/bundles/{bundle.parent.parent.name}/*", licences["*"])
        assert told.replace(" ", "-").startswith(name), bundle
