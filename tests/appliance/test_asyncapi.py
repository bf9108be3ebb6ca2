"""The AsyncAPI document: sound by AsyncAPI's own parser, its schemas by JSON Schema's, its topics those of the code."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator  # type: ignore[import-untyped]  # it ships no types

from appliance import asyncapi
from appliance.contract import channels
from appliance.mqtt.topics import Topics
from appliance.result import Gap, Spool, to_json
from tests.conftest import REPOSITORY
from tests.contract import judge, resolve

DOCUMENT = asyncapi.document()
NODE_MODULES = REPOSITORY / ".node" / "node_modules"


def _references(part: Any) -> list[dict[str, Any]]:
    if isinstance(part, list):
        return [found for each in part for found in _references(each)]
    if not isinstance(part, dict):
        return []
    return ([part] if "$ref" in part else []) + [found for each in part.values() for found in _references(each)]


def test_every_reference_leads_somewhere() -> None:
    references = _references(DOCUMENT)
    assert len(references) > 50
    for reference in references:
        assert resolve(DOCUMENT, reference)


def test_every_payload_is_a_json_schema_of_the_draft_that_asyncapi_takes() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    payloads = [message["payload"] for message in DOCUMENT["components"]["messages"].values() if "payload" in message]
    for schema in [*schemas.values(), *payloads]:
        Draft7Validator.check_schema(schema)
    assert "prefixItems" not in json.dumps(DOCUMENT)


def test_every_topic_of_a_device_has_a_channel() -> None:
    device, named = Topics("appliance", "dock-1"), set()
    for name, member in inspect.getmembers(Topics):
        if name.startswith(("_", "every_")) or name in ("base", "device", "root"):
            continue
        if isinstance(member, property):
            named.add(getattr(device, name))
        elif name in ("state", "command"):
            named |= {getattr(device, name)(thing, "x") for thing in ("source", "pipeline")}
        else:
            named.add(getattr(device, name)(*["x"] * (len(inspect.signature(member).parameters) - 1)))
    told = {re.sub(r"\{\w+\}", "x", channel.topic) for channel in channels("appliance", "dock-1")}
    assert {topic for topic in told if topic.startswith("appliance/")} == named


def test_one_device_is_told_with_its_names() -> None:
    told = asyncapi.document("site", "dock-1")
    assert told["channels"]["health"]["address"] == "site/dock-1/health"
    assert told["channels"]["result"]["address"] == "site/dock-1/pipeline/{pipeline}/result"
    assert set(told["channels"]["result"]["parameters"]) == {"pipeline"}
    assert "{base}" not in json.dumps(told)


GAP = Gap(
    device="box",
    first=1,
    last=3,
    count=3,
    reason="the disk is full",
    at="2026-11-21T05:33:19Z",
    spool=Spool("p", "e", 4),
)


def test_the_judge_of_the_system_tests_knows_a_wrong_document() -> None:
    assert list(judge("appliance/box/pipeline/p/event", to_json(GAP))) == []
    for change in ({"count": "three"}, {"more": 1}, {"reason": None}):
        wrong = json.dumps(json.loads(to_json(GAP)) | change).encode()
        assert next(iter(change)) in next(judge("appliance/box/pipeline/p/event", wrong))
    assert next(judge("appliance/box/available", b"asleep"))
    assert next(judge("appliance/box/pipeline/p/snapshot", b"no picture"))
    assert next(judge("appliance/box/health", b"{"))
    assert list(judge("appliance/box/pipeline/p/count/red", b"")) == []
    assert list(judge("somebody/else", b"anything")) == []
    assert "cellar" in next(judge("model-service/cellar/available", b"online"))


CHECK = """
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
const { Parser } = createRequire(process.argv[1] + "/")("@asyncapi/parser");
const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
for (const each of diagnostics.filter(({ severity }) => severity < 2)) console.log(each.path.join("."), each.message);
console.log(document ? "sound " + document.operations().all().length : "unsound");
"""


@pytest.mark.peer
@pytest.mark.system
@pytest.mark.parametrize("names", [(), ("site", "dock-1")])
def test_asyncapis_own_parser_has_no_complaint(names: tuple[str, ...]) -> None:
    node = shutil.which("node")
    folder = Path(os.environ.get("APPLIANCE_NODE_MODULES", NODE_MODULES))
    if node is None or not (folder / "@asyncapi" / "parser").is_dir():
        pytest.skip("needs node and, from npm, what tests/node/package.json names: see setup_node in scripts/setup.sh")
    done = subprocess.run(
        [node, "--input-type=module", "--eval", CHECK, str(folder)],
        input=json.dumps(asyncapi.document(*names)),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == f"sound {len(DOCUMENT['operations'])}"
