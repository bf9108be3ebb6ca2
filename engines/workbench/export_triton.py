"""`export`: a bundle as a Triton model repository, for a server that is run by others.

The layout and the text format of `config.pbtxt` are those of Triton Inference Server ("Model Repository" and "Model
Configuration" in its documentation): a folder for each network with `config.pbtxt` and `1/model.onnx`; where there are
several stages, an ensemble with the model's own name that runs them in a row. Preparing samples and decoding outputs
stays with the client, who finds what to do in `bundle.json` beside it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from engines.bundle import LABELS_FILE, MANIFEST_FILE, Bundle, labels_text
from engines.digest import of_bytes
from engines.engine import TensorSpec
from engines.external import external_files
from engines.manifest import AudioInput, Manifest, Stage
from engines.onnxrt import OnnxEngine
from engines.workbench.work import WorkbenchError

TYPES = {
    "float32": "TYPE_FP32",
    "float16": "TYPE_FP16",
    "float64": "TYPE_FP64",
    "uint8": "TYPE_UINT8",
    "int8": "TYPE_INT8",
    "uint16": "TYPE_UINT16",
    "int16": "TYPE_INT16",
    "uint32": "TYPE_UINT32",
    "int32": "TYPE_INT32",
    "uint64": "TYPE_UINT64",
    "int64": "TYPE_INT64",
    "bool": "TYPE_BOOL",
}
MOST_IN_A_BATCH = 8
TEXTS = ("NOTICE", "LICEN", "MODEL_CARD.")
"""Begin the names of the files that come along: what whoever passes a model on must say, and what it is good for. The
golden answers are those of the bundle and stay there."""

Specs: TypeAlias = tuple[TensorSpec, ...]


def triton_repository(bundle: Bundle) -> dict[str, bytes]:
    """File name to content of everything in the repository.

    Constants of the manifest, such as Silero's `sr`, are written into the networks: nobody has to send them. Raises
    EngineError when a network cannot be loaded, WorkbenchError when Triton has no way to say what it takes or makes.
    """
    manifest, files = bundle.manifest, dict[str, bytes]()
    constants = manifest.input.constants if isinstance(manifest.input, AudioInput) else {}
    looked = [_look(bundle.stage_path(stage.name)) for stage in manifest.stages]
    given = [(tuple(spec for spec in inputs if spec.name not in constants), outputs) for inputs, outputs in looked]
    single = len(manifest.stages) == 1
    batched = all(_is_batched(inputs, outputs) for inputs, outputs in given)
    stages, kept = list[Stage](), {name for name in manifest.files if name.upper().startswith(TEXTS)}
    files |= {f"{manifest.name}/{name}": bundle.file_path(name).read_bytes() for name in kept}
    for stage, (inputs, outputs), (all_inputs, _) in zip(manifest.stages, given, looked, strict=True):
        name = manifest.name if single else f"{manifest.name}-{stage.name}"
        path = bundle.stage_path(stage.name)
        network = _with_constants(path, [spec for spec in all_inputs if spec.name in constants], constants)
        stages.append(stage.model_copy(update={"digest": of_bytes(network), "variants": ()}))
        files[f"{name}/config.pbtxt"] = _network(name, inputs, outputs, batched).encode()
        files[f"{name}/1/model.onnx"] = network
        outside = external_files(path)
        files |= {f"{name}/1/{weights}": (path.parent / weights).read_bytes() for weights in outside}
        kept |= set(outside)
    if not single:
        files[f"{manifest.name}/config.pbtxt"] = _ensemble(manifest, given, batched).encode()
        files[f"{manifest.name}/1/.keep"] = b""  # Triton wants a version of it, with nothing inside
    document = _told(manifest, stages, kept).model_dump(mode="json", by_alias=True)
    files[f"{manifest.name}/{MANIFEST_FILE}"] = (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
    files[f"{manifest.name}/{LABELS_FILE}"] = labels_text(manifest)
    return files


def _look(path: Path) -> tuple[Specs, Specs]:
    with OnnxEngine(path, optimise=False) as engine:
        return engine.inputs, engine.outputs


def _with_constants(path: Path, specs: Sequence[TensorSpec], values: Mapping[str, int | float]) -> bytes:
    """The network with these inputs fixed inside; as it is where there is none."""
    if not specs:
        return path.read_bytes()
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    for spec in specs:
        value = np.full([size or 1 for size in spec.shape], values[spec.name], spec.dtype)
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, spec.name))
    left = [each for each in model.graph.input if each.name not in {spec.name for spec in specs}]
    del model.graph.input[:]
    model.graph.input.extend(left)
    content: bytes = model.SerializeToString()
    return content


def _told(manifest: Manifest, stages: Sequence[Stage], kept: Collection[str]) -> Manifest:
    """The manifest for the client: of the networks as they are in the repository, and of the files that it has."""
    spec = manifest.input
    if isinstance(spec, AudioInput):
        spec = spec.model_copy(update={"constants": {}})
    kept_files = {name: digest for name, digest in manifest.files.items() if name in kept}
    return manifest.model_copy(update={"input": spec, "stages": tuple(stages), "files": kept_files})


def _is_batched(inputs: Iterable[TensorSpec], outputs: Iterable[TensorSpec]) -> bool:
    """Triton may put requests together where every tensor begins with an axis of any size."""
    return all(len(spec.shape) > 1 and spec.shape[0] is None for spec in (*inputs, *outputs))


def _network(name: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], batched: bool) -> str:
    parts = [
        f"name: {_quoted(name)}",
        'backend: "onnxruntime"',
        f"max_batch_size: {MOST_IN_A_BATCH if batched else 0}",
        *(_tensor("input", spec, batched) for spec in inputs),
        *(_tensor("output", spec, batched) for spec in outputs),
    ]
    if batched:
        parts.append("dynamic_batching { }")
    return "\n".join(parts) + "\n"


def _ensemble(
    manifest: Manifest, looked: Sequence[tuple[Sequence[TensorSpec], Sequence[TensorSpec]]], batched: bool
) -> str:
    """What goes in from outside, and what the last stage and nobody else makes of it."""
    made = {spec.name for _, outputs in looked for spec in outputs}
    given = {spec.name: spec for inputs, _ in looked for spec in inputs if spec.name not in made}
    used = {spec.name for inputs, _ in looked for spec in inputs}
    told = {spec.name: spec for _, outputs in looked for spec in outputs if spec.name not in used}
    steps = [
        _step(f"{manifest.name}-{stage.name}", *tensors) for stage, tensors in zip(manifest.stages, looked, strict=True)
    ]
    parts = [
        f"name: {_quoted(manifest.name)}",
        'platform: "ensemble"',
        f"max_batch_size: {MOST_IN_A_BATCH if batched else 0}",
        *(_tensor("input", spec, batched) for spec in given.values()),
        *(_tensor("output", spec, batched) for spec in told.values()),
        "ensemble_scheduling {\n" + "\n".join(steps) + "\n}",
    ]
    return "\n".join(parts) + "\n"


def _step(name: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> str:
    def pairs(kind: str, specs: Sequence[TensorSpec]) -> str:
        return "\n".join(f"    {kind} {{ key: {_quoted(s.name)} value: {_quoted(s.name)} }}" for s in specs)

    return (
        f"  step {{\n    model_name: {_quoted(name)}\n    model_version: -1\n"
        f"{pairs('input_map', inputs)}\n{pairs('output_map', outputs)}\n  }}"
    )


def _tensor(kind: str, spec: TensorSpec, batched: bool) -> str:
    if spec.dtype.name not in TYPES:
        raise WorkbenchError(f"{spec.name} is {spec.dtype}, which Triton has no type for")
    sizes = spec.shape[1:] if batched else spec.shape
    if not sizes:
        raise WorkbenchError(
            f"the {kind} {spec.name} has no axes, which Triton cannot take: export the network with one of size 1, or, "
            "for an input that never changes, name its value in input.constants of bundle.json"
        )
    dims = ", ".join("-1" if size is None else str(size) for size in sizes)
    return f"{kind} {{\n  name: {_quoted(spec.name)}\n  data_type: {TYPES[spec.dtype.name]}\n  dims: [ {dims} ]\n}}"


def _quoted(text: str) -> str:
    """A string of the text format."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
