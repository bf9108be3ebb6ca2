"""Boxes chosen behind the network: the same as choosing them here, and a failure stays one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort  # type: ignore[import-untyped]  # it ships no types
import pytest
from onnx import helper

from engines.bundle import Bundle
from engines.engine import Array, EngineError
from engines.model import Model
from engines.onnxrt import OnnxEngine
from engines.predictions import Answer
from engines.tensorrt.options import GpuOptions
from engines.tensorrt.selection import SELECTED, SUFFIX, is_faithful, with_selection
from tests import networks
from tests.engines import models
from tests.engines.tensorrt.on_fake_gpu import needs_fake_gpu
from tests.engines.tensorrt.test_pictures_on_gpu import build_for

LABELS = ("cat", "dog", "cup")
MANY = 1000
HEIGHT, WIDTH = 32, 48
DETECTOR = models.manifest(
    "detect",
    models.pictures(WIDTH, HEIGHT, batch=None, fit="letterbox"),
    LABELS,
    name="yolo-v8",
    threshold=0.9,
    nms_iou=0.5,
)


def detector(path: Path, opset: int = networks.OPSET) -> Path:
    """Boxes and scores that hang on the picture: each number is one of its pixels."""
    dice = np.random.default_rng(0)
    rows = 4 + len(LABELS)
    weights = {
        "places": dice.integers(0, 3 * HEIGHT * WIDTH, rows * MANY),
        "shape": np.array([-1, rows, MANY]),
        "scale": np.array([48, 32, 20, 20, 1, 1, 1], np.float32).reshape(1, rows, 1),
    }
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("Gather", ["flat", "places"], ["numbers"], axis=1),
        helper.make_node("Reshape", ["numbers", "shape"], ["table"]),
        helper.make_node("Mul", ["table", "scale"], ["y"]),
    ]
    x, y = networks.tensor("x", ["n", 3, HEIGHT, WIDTH]), networks.tensor("y", ["n", rows, MANY])
    return networks.write(path, nodes, [x], [y], weights=weights, opset=opset)


def pictures(count: int) -> list[Array]:
    dice = np.random.default_rng(1)
    return [dice.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8) for _ in range(count)]


def outputs(network: Path, x: Array) -> dict[str, Array]:
    with OnnxEngine(network) as engine:
        return {name: value.copy() for name, value in engine.run({"x": x}).items()}


@pytest.mark.parametrize("opset", [13, 17, 18])
def test_the_best_boxes_are_chosen_number_for_number(tmp_path: Path, opset: int) -> None:
    network = with_selection(detector(tmp_path / "detector.onnx", opset), DETECTOR, tmp_path)
    assert network is not None
    found = outputs(network, np.random.default_rng(2).random((3, 3, HEIGHT, WIDTH), np.float32))
    assert found["y" + SUFFIX].shape == (3, SELECTED, 6)
    assert is_faithful(found["y"], found["y" + SUFFIX])
    spoiled = found["y" + SUFFIX].copy()
    spoiled[1, 5, 0] += 1
    assert not is_faithful(found["y"], spoiled)
    assert not is_faithful(found["y"], np.roll(found["y" + SUFFIX], 1, axis=0))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_wrong_number_anywhere_spoils_every_score(tmp_path: Path, wrong: float) -> None:
    network = with_selection(detector(tmp_path / "detector.onnx"), DETECTOR, tmp_path)
    assert network is not None
    x = np.random.default_rng(3).random((2, 3, HEIGHT, WIDTH), np.float32)
    [places] = [each for each in onnx.load(str(network)).graph.initializer if each.name == "places"]
    x.reshape(2, -1)[1, onnx.numpy_helper.to_array(places)[0]] = wrong
    found = outputs(network, x)
    assert not np.isfinite(found["y"][1]).all()
    assert np.isfinite(found["y" + SUFFIX][0]).all()
    assert not np.isfinite(found["y" + SUFFIX][1, :, 4]).any()


def test_what_cannot_gain_is_left_alone(tmp_path: Path) -> None:
    network = detector(tmp_path / "detector.onnx")
    other = DETECTOR.model_copy(update={"decoder": DETECTOR.decoder.model_copy(update={"name": "yolo-v5"})})
    more = DETECTOR.model_copy(update={"labels": (*LABELS, "plate")})
    assert with_selection(network, None, tmp_path) is None
    assert with_selection(network, other, tmp_path) is None
    assert with_selection(network, more, tmp_path) is None
    assert with_selection(detector(tmp_path / "old.onnx", 11), DETECTOR, tmp_path) is None


def test_a_file_that_is_no_network_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(EngineError, match=r"text\.onnx"):
        with_selection(tmp_path / "text.onnx", DETECTOR, tmp_path)


def test_the_chosen_boxes_are_decoded_to_the_same_detections(tmp_path: Path) -> None:
    """Run by ONNX Runtime, under the name that the engine gives them."""
    plain = detector(tmp_path / "detector.onnx")
    network = with_selection(plain, DETECTOR, tmp_path)
    assert network is not None
    model = onnx.load(str(network))
    graph = model.graph
    for node in graph.node:
        node.input[:] = [{"y": "raw"}.get(name, name) for name in node.input]
        node.output[:] = [{"y": "raw", "y" + SUFFIX: "y"}.get(name, name) for name in node.output]
    del graph.output[0]
    graph.output[0].name = "y"
    renamed = tmp_path / "renamed.onnx"
    onnx.save(model, str(renamed))
    with Model(models.bundle(DETECTOR, plain)) as ours, Model(models.bundle(DETECTOR, renamed)) as chosen:
        expected, found = (each.predict(pictures(4)) for each in (ours, chosen))
    assert [_seen(each) for each in found] == [_seen(each) for each in expected]
    assert all(_seen(each) for each in expected)


def _seen(answer: object) -> object:
    assert isinstance(answer, Answer), answer
    return answer.predictions


def models_of(bundle: Bundle, options: GpuOptions) -> tuple[Model, Model]:
    return Model(bundle, engine="onnxruntime"), Model(bundle, engine="tensorrt", gpu=options)


@needs_fake_gpu
def test_the_engine_brings_back_kilobytes_and_the_same_detections(tmp_path: Path, options: GpuOptions) -> None:
    from engines.tensorrt.engine import engine_for
    from engines.tensorrt.recipe import recipe_of

    bundle = models.bundle(DETECTOR, detector(tmp_path / "detector.onnx"))
    options = GpuOptions(plans=options.plans, precision="fp32")
    reference, model = models_of(bundle, options)
    build_for(model)
    with reference, model:
        assert [_seen(each) for each in model.predict(pictures(5))] == [
            _seen(each) for each in reference.predict(pictures(5))
        ]
    recipe = recipe_of(bundle, "only", options)
    x = np.random.default_rng(4).random((1, 3, HEIGHT, WIDTH), np.float32)
    with engine_for(recipe) as engine:
        assert [(spec.name, spec.shape) for spec in engine.outputs] == [("y", (None, SELECTED, 6))]
        chosen = engine.run({"x": x})["y"].copy()
        assert engine.traffic[1] == SELECTED * 6 * 4
    whole = recipe_of(bundle, "only", GpuOptions(plans=options.plans, precision="fp32", whole=True))
    with engine_for(whole) as engine:  # the same plan: nothing has to be built for it
        assert [spec.shape for spec in engine.outputs] == [(None, 4 + len(LABELS), MANY)]
        everything = engine.run({"x": x})["y"].copy()
    assert is_faithful(everything, chosen)
    session = ort.InferenceSession(str(bundle.stage_path("only")), providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(everything, session.run(None, {"x": x})[0])


@needs_fake_gpu
def test_a_plan_that_chooses_wrongly_is_refused(tmp_path: Path) -> None:
    from engines.tensorrt.builder import Builder, Failed
    from engines.tensorrt.engine import offer
    from engines.tensorrt.recipe import recipe_of

    bundle = models.bundle(DETECTOR, detector(tmp_path / "spoils.onnx"))
    recipe = recipe_of(bundle, "only", GpuOptions(plans=tmp_path / "plans", precision="fp32"))
    with Builder(recipe, offer().target) as builder:
        state = builder.wait(30)
    assert isinstance(state, Failed)
    assert "what it chose from y are not the best boxes" in state.reason
