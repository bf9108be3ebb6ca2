"""`appliance models split` as a person uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.appliance.workbench.bench import Bench

pytestmark = pytest.mark.system


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_suggested_cut_is_made_and_both_versions_are_there(bench: Bench) -> None:
    assert "| device ms |" in bench.fine("split", "tones", "--suggest", "--out", bench.out)
    facts = json.loads((bench.out / "split.json").read_text())
    assert {"all on the device", "all on the server"} < {each["name"] for each in facts["cuts"]}
    tensor = facts["cuts"][3]["tensor"]
    assert bench.fine("split", "tones", tensor).startswith("tones 2: main-1 -> main-2; answers as before")
    assert "already" not in bench.fine("show", "tones@2")


def test_what_cannot_be_split_is_a_sentence(bench: Bench) -> None:
    assert "no tensor is called conv: did you mean conv1" in bench.refused("split", "tones", "conv")
    assert "give the TENSOR to cut at, or --suggest" in bench.refused("split", "tones")
    assert "no such file or folder" in bench.refused("split", "tones", "conv1", "--frames", "nowhere")
    assert "none is installed in" in bench.fine("list")
