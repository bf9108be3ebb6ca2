"""A Triton model repository, read back with protobuf by the fields of Triton's own model_config.proto."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import (  # type: ignore[import-untyped]  # it ships no types
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
)
from onnx import helper

from engines.bundle import Bundle, parse_manifest
from engines.digest import of_bytes, of_file
from engines.library import Library
from engines.manifest import AudioInput
from engines.onnxrt import OnnxEngine
from engines.workbench.export_triton import TYPES, triton_repository
from engines.workbench.split import split
from engines.workbench.tensors import inputs_of_stages, largest_difference, noise
from engines.workbench.work import WorkbenchError
from tests.engines import models
from tests.engines.workbench import networks
from tests.networks import tensor, write

ROOT = Path(__file__).parent.parent.parent.parent
FIELD = descriptor_pb2.FieldDescriptorProto


def message(file: Any, name: str, *fields: tuple[str, int, Any, bool]) -> Any:
    """Name, number, type (or the name of a message), repeated."""
    made = file.message_type.add(name=name)
    for field, number, kind, repeated in fields:
        label = FIELD.LABEL_REPEATED if repeated else FIELD.LABEL_OPTIONAL
        if isinstance(kind, str):
            type_ = FIELD.TYPE_ENUM if kind == ".t.DataType" else FIELD.TYPE_MESSAGE
            made.field.add(name=field, number=number, label=label, type=type_, type_name=kind)
        else:
            made.field.add(name=field, number=number, label=label, type=kind)
    return made


@pytest.fixture(scope="module")
def config_type() -> Any:
    """Those fields of `inference.ModelConfig` that we write."""
    file = descriptor_pb2.FileDescriptorProto(name="t.proto", package="t", syntax="proto3")
    kinds = file.enum_type.add(name="DataType")
    for number, name in enumerate(["TYPE_INVALID", *TYPES.values()]):
        kinds.value.add(name=name, number=number)
    tensor = (("name", 1, FIELD.TYPE_STRING, False), ("data_type", 2, ".t.DataType", False))
    message(file, "Tensor", *tensor, ("dims", 4, FIELD.TYPE_INT64, True))
    message(file, "Batching")
    pair = (("key", 1, FIELD.TYPE_STRING, False), ("value", 2, FIELD.TYPE_STRING, False))
    message(file, "Pair", *pair)
    message(
        file,
        "Step",
        ("model_name", 1, FIELD.TYPE_STRING, False),
        ("model_version", 2, FIELD.TYPE_INT64, False),
        ("input_map", 3, ".t.Pair", True),
        ("output_map", 4, ".t.Pair", True),
    )
    message(file, "Ensemble", ("step", 1, ".t.Step", True))
    message(
        file,
        "Config",
        ("name", 1, FIELD.TYPE_STRING, False),
        ("platform", 2, FIELD.TYPE_STRING, False),
        ("max_batch_size", 4, FIELD.TYPE_INT32, False),
        ("input", 5, ".t.Tensor", True),
        ("output", 6, ".t.Tensor", True),
        ("dynamic_batching", 11, ".t.Batching", False),
        ("ensemble_scheduling", 15, ".t.Ensemble", False),
        ("backend", 17, FIELD.TYPE_STRING, False),
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Config"))


def test_a_single_network_is_a_model_of_its_own_name(config_type: Any) -> None:
    bundle = Bundle.open(ROOT / "appliance" / "bundles" / "shapes" / "1")
    files = triton_repository(bundle)
    assert set(files) == {
        "shapes/1/model.onnx", "shapes/bundle.json", "shapes/config.pbtxt", "shapes/labels.txt"
    }  # fmt: skip
    config = text_format.Parse(files["shapes/config.pbtxt"], config_type())
    assert (config.name, config.backend, config.max_batch_size) == ("shapes", "onnxruntime", 0)
    [given] = config.input
    assert (given.name, given.data_type, list(given.dims)) == ("picture", 4, [1, 192, 320, 3])
    assert {each.name for each in config.output} == {"boxes", "scores"}
    assert files["shapes/1/model.onnx"] == bundle.stage_path("main").read_bytes()


def test_stages_become_an_ensemble_in_which_every_tensor_is_made_before_it_is_used(
    config_type: Any, tmp_path: Path
) -> None:
    of = models.manifest("audio-labels", models.sounds(64, batch=None), ["a", "b", "c"], name="audio-labels")
    bundle = models.bundle(of, networks.with_short_cut(tmp_path / "short.onnx"))
    made, _ = split(bundle, "cut_off", inputs_of_stages(bundle, noise(of.input, 1)), tmp_path)
    files = triton_repository(Library(tmp_path / "library").install(made.manifest, made.files).bundle)
    whole = text_format.Parse(files["tested/config.pbtxt"], config_type())
    assert (whole.platform, whole.max_batch_size) == ("ensemble", 8)
    known = {each.name for each in whole.input}
    for step in whole.ensemble_scheduling.step:
        config = text_format.Parse(files[f"{step.model_name}/config.pbtxt"], config_type())
        assert {each.key for each in step.input_map} == {each.name for each in config.input}
        assert {each.key for each in step.output_map} == {each.name for each in config.output}
        assert {each.value for each in step.input_map} <= known
        known |= {each.value for each in step.output_map}
        assert f"{step.model_name}/1/model.onnx" in files
        assert all(size != 0 for each in config.input for size in each.dims)
    assert {each.name for each in whole.output} == {"y"}
    assert list(whole.output[0].dims) == [3]


def test_notice_and_model_card_go_along_and_the_manifest_lists_no_file_that_is_not_there() -> None:
    bundle = Bundle.open(ROOT / "appliance" / "bundles" / "spoken-digits" / "1")
    files = triton_repository(bundle)
    told = parse_manifest(files["spoken-digits/bundle.json"], "bundle.json")
    assert set(told.files) == {"MODEL_CARD.md", "NOTICE"}
    for name, digest in told.files.items():
        assert of_bytes(files[f"spoken-digits/{name}"]) == digest


def test_weights_outside_the_file_go_along(tmp_path: Path) -> None:
    from tests.networks import external

    of = models.manifest("audio-labels", models.sounds(4, batch=None), ["a", "b", "c", "d"], name="audio-labels")
    files = triton_repository(models.bundle(of, external(tmp_path / "model.onnx")))
    assert files["tested/1/weights.bin"] == (tmp_path / "weights.bin").read_bytes()


def with_factor(path: Path, shape: list[int], ir: int) -> Path:
    """y = x times k, which is an input too."""
    given = [tensor("x", ["n", 4]), tensor("k", shape)]
    return write(path, [helper.make_node("Mul", ["x", "k"], ["y"])], given, [tensor("y", ["n", 4])], ir=ir)


@pytest.mark.parametrize("ir", [3, 8])
@pytest.mark.parametrize("shape", [[], [1]], ids=["scalar", "one value"])
def test_constants_are_written_into_the_network(shape: list[int], ir: int, config_type: Any, tmp_path: Path) -> None:
    spec = models.sounds(4, batch=None, constants={"k": 3})
    of = models.manifest("audio-labels", spec, ["a", "b", "c", "d"], name="audio-labels")
    files = triton_repository(models.bundle(of, with_factor(tmp_path / "factor.onnx", shape, ir)))
    config = text_format.Parse(files["tested/config.pbtxt"], config_type())
    assert [(each.name, list(each.dims)) for each in config.input] == [("x", [4])]
    path = tmp_path / "exported.onnx"
    path.write_bytes(files["tested/1/model.onnx"])
    x = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32)
    with OnnxEngine(path) as engine:
        np.testing.assert_array_equal(engine.run({"x": x})["y"], 3 * x)
    told = parse_manifest(files["tested/bundle.json"], "bundle.json")
    assert told.stages[0].digest == of_file(path)
    assert isinstance(told.input, AudioInput)
    assert not told.input.constants


def test_a_real_listener_with_a_constant_is_exported_and_answers_alike(
    config_type: Any, data: Path, tmp_path: Path
) -> None:
    bundle = Library(tmp_path / "library").find(data / "models" / "silero_vad_16k_op15.onnx")
    files = triton_repository(bundle)
    name = bundle.manifest.name
    config = text_format.Parse(files[f"{name}/config.pbtxt"], config_type())
    assert {each.name for each in config.input} == {"input", "state"}
    assert all(each.dims for each in (*config.input, *config.output))
    path = tmp_path / "exported.onnx"
    path.write_bytes(files[f"{name}/1/model.onnx"])
    [given] = inputs_of_stages(bundle, noise(bundle.manifest.input, 1))[0]
    with OnnxEngine(bundle.stage_path("main")) as whole, OnnxEngine(path) as exported:
        rest = {key: array for key, array in given.items() if key != "sr"}
        assert largest_difference(whole.run(given), exported.run(rest)) <= 1e-6


def test_an_input_without_axes_and_without_a_value_is_a_sentence(tmp_path: Path) -> None:
    of = models.manifest("audio-labels", models.sounds(4, batch=None), ["a", "b", "c", "d"], name="audio-labels")
    bundle = models.bundle(of, with_factor(tmp_path / "factor.onnx", [], 8))
    with pytest.raises(WorkbenchError, match=r"the input k has no axes, .* name its value in input\.constants"):
        triton_repository(bundle)
