"""The models that come along, in 8-bit integers: a third of the size, and they still say the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.catalogue import Catalogue
from appliance.cli.workbench.judge import agreement_with
from appliance.material import material
from appliance.spoken import write_spoken
from engines.bundle import Bundle
from engines.engine import Tensors
from engines.workbench.quantize import made, quantize
from engines.workbench.tensors import inputs_of_stages
from engines.workbench.trial import Goal

pytestmark = pytest.mark.system


def faster(_: Path, __: Path, ___: Tensors) -> tuple[float, float]:
    """How fast they are is measured where nothing else runs: docs/measurements."""
    return 2.0, 1.0


@pytest.mark.parametrize("name", ["digits", "spoken-digits"])
def test_a_shipped_model_in_integers_is_a_third_of_the_size_and_says_the_same(name: str, tmp_path: Path) -> None:
    bundle = Catalogue.default().find(name)
    given = "scene:digits" if name == "digits" else str(write_spoken(tmp_path / "words.wav", count=12))
    most, every = (60, 6) if name == "digits" else (240, 1)
    samples = list(material(given, bundle.manifest, most, every))
    judge = agreement_with(bundle, samples[1::2])
    inputs = inputs_of_stages(bundle, samples[::2])
    outcomes = quantize(bundle, [Goal("onnxruntime", "int8")], inputs, judge, tmp_path, tolerance=0.04, measure=faster)
    assert all(each.path is not None for each in outcomes), [each.why for each in outcomes]
    assert sum(each.after_bytes for each in outcomes) <= sum(each.before_bytes for each in outcomes) / 3
    result = made(bundle, outcomes)
    assert judge(Bundle(result.manifest, tmp_path, result.files)) >= 0.96
