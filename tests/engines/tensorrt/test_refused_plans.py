"""Plans of no use: one sentence, ONNX Runtime answers, and they are built again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.choose import choose
from engines.tensorrt.engine import PlanNeeded, engine_for, offer
from engines.tensorrt.plan_cache import PlanCache
from engines.tensorrt.recipe import Recipe
from tests.engines.tensorrt.on_fake_gpu import needs_fake_gpu, ones

pytestmark = needs_fake_gpu


def damage_by_cutting(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def damage_by_changing(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)


def damage_by_emptying(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [damage_by_cutting, damage_by_changing, damage_by_emptying])
def test_a_damaged_plan_is_refused_in_a_sentence_and_onnxruntime_serves(double: Recipe, damage: Any) -> None:
    from contextlib import ExitStack

    from engines.choose import open_first

    path = PlanCache(double.options.folder).path(double.key(offer().target))
    damage(path)
    with ExitStack() as stack:
        choice = open_first(stack, double)
        assert choice.engine.name == "onnxruntime"
        np.testing.assert_array_equal(choice.engine.run({"x": ones(1)})["y"], ones(1, 2))
    [refusal] = choice.refusals
    assert "it was removed and is built again" in refusal.reason
    assert isinstance(refusal.error, PlanNeeded)
    assert not path.exists()


def test_a_plan_of_another_tensorrt_is_never_even_found(double: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorrt

    monkeypatch.setattr(tensorrt, "__version__", "10.13.3.9")
    choice = choose(double.network, gpu=double.options)
    assert choice.engine.name == "onnxruntime"
    assert "no plan has been built for this network on this machine yet" in choice.refusals[0].reason


def test_a_sealed_plan_that_tensorrt_does_not_take_is_built_again(double: Recipe) -> None:
    from engines.tensorrt.plan_cache import Description, Plan

    cache, key = PlanCache(double.options.folder), double.key(offer().target)
    cache.store(key, Plan(b"rubbish", Description("fp32", "", 1.0, "", "")))
    with pytest.raises(PlanNeeded, match="TensorRT does not take this plan: Magic tag does not match"):
        engine_for(double).__enter__()
    assert not cache.has(key)
