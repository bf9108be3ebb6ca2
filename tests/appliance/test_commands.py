from __future__ import annotations

import json

import pytest

from appliance.commands import BadCommand, Request, SetPipeline, Setting, read

ROOT = "appliance/dock-1"


def test_a_setting_names_what_it_changes_and_only_that() -> None:
    command = read(f"{ROOT}/pipeline/people/set", b'{"threshold": 0.4}', ROOT)
    assert isinstance(command, Setting)
    assert command.name == "people"
    assert isinstance(command.change, SetPipeline)
    assert command.change.model_fields_set == {"threshold"}


def test_a_request_without_payload_is_a_request() -> None:
    assert read(f"{ROOT}/request/status", b"", ROOT) == Request("status", {}, None)


def test_a_request_carries_its_transaction() -> None:
    command = read(f"{ROOT}/request/status", b'{"transaction": "t-1"}', ROOT)
    assert isinstance(command, Request)
    assert command.transaction == "t-1"


HOSTILE = {
    "not JSON": b"{",
    "not UTF-8": b'"\xff"',
    "an unknown field": b'{"enabled": true, "run": "rm -rf /"}',
    "a key twice": b'{"enabled": true, "enabled": false}',
    "not a number": b'{"threshold": NaN}',
    "an infinite number": b'{"threshold": 1e999}',
    "out of range": b'{"threshold": 1.5}',
    "a word for a truth": b'{"enabled": "yes"}',
    "a list": b"[]",
    "too long": b'{"enabled": true}' + b" " * 70_000,
    "too deep": json.dumps({"enabled": json.loads("[" * 40 + "]" * 40)}).encode(),
    "very deep": b"[" * 50_000,
    "half a surrogate pair, which no answer can hold": b'{"\\ud800": true}',
    "a number of many digits": b'{"threshold": ' + b"1" * 5000 + b"}",
    "neither on nor off": b'{"enabled": null}',
    "neither with nor without": b'{"snapshot": null}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_setting_is_refused(name: str) -> None:
    with pytest.raises(BadCommand):
        read(f"{ROOT}/pipeline/people/set", HOSTILE[name], ROOT)


def test_null_gives_the_threshold_back_to_the_model() -> None:
    command = read(f"{ROOT}/pipeline/people/set", b'{"threshold": null}', ROOT)
    assert isinstance(command, Setting)
    assert isinstance(command.change, SetPipeline)
    assert command.change.model_fields_set == {"threshold"}
    assert command.change.threshold is None


def test_a_transaction_that_no_answer_can_hold_is_refused() -> None:
    with pytest.raises(BadCommand, match="surrogates"):
        read(f"{ROOT}/request/status", b'{"transaction": "\\ud800"}', ROOT)


@pytest.mark.parametrize("topic", ["model/x/set", "pipeline/set", "pipeline/a/b/set", "available", "request/a/b"])
def test_what_nobody_offered_to_set_is_refused(topic: str) -> None:
    with pytest.raises(BadCommand, match="nothing can be set"):
        read(f"{ROOT}/{topic}", b"{}", ROOT)
