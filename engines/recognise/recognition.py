"""From a bare ONNX file to the manifest of a bundle."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from engines import digest
from engines.external import external_files
from engines.manifest import DECODERS_OF_TASK, Manifest, Stage
from engines.recognise.classifiers import classifier
from engines.recognise.detectors import detector
from engines.recognise.draft import Draft
from engines.recognise.hints import Hints, Unrecognised
from engines.recognise.network import Network, look
from engines.recognise.pictures import picture_of, takes_pictures
from engines.recognise.sounds import listener

STAGE, STAGE_FILE = "main", "model.onnx"
_NOTHING = Hints()


@dataclass(frozen=True, slots=True)
class Recognition:
    """A bare ONNX file, understood."""

    manifest: Manifest
    files: Mapping[str, Path]
    """Where each file of the manifest is."""
    warnings: tuple[str, ...]
    """Sentences for the person who adds the model: what was assumed."""


def recognise(path: Path, *, name: str | None = None, version: str = "1", hints: Hints = _NOTHING) -> Manifest:
    """The manifest of a bare ONNX file, from its metadata, names and shapes. See `examine`."""
    return examine(path, name=name, version=version, hints=hints).manifest


def examine(path: Path, *, name: str | None = None, version: str = "1", hints: Hints = _NOTHING) -> Recognition:
    """Look at an ONNX file and tell what it is for.

    `name`: None takes it from the file's name. Raises Unrecognised, whose message names what is missing and the
    option that gives it, and EngineError when ONNX Runtime cannot load the file.
    """
    network = look(path)
    draft = _draft(network, hints)
    files = {STAGE_FILE: path} | _weights(network)
    try:
        digests = {file: digest.of_file(place) for file, place in files.items()}
        manifest = Manifest(
            name=name or name_from(path),
            version=version,
            task=draft.task,
            labels=draft.labels,
            input=draft.input,
            stages=(Stage(name=STAGE, file=STAGE_FILE, digest=digests.pop(STAGE_FILE)),),
            decoder=draft.decoder,
            files=digests,
            about=dict(network.exported.about),
        )
    except OSError as error:
        raise network.unrecognised(f"cannot be read: {error.strerror}") from error
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(map(str, fault["loc"]))
        raise network.unrecognised(f"cannot be described: {place}: {fault['msg']}") from error
    return Recognition(manifest, files, draft.warnings)


def name_from(path: Path) -> str:
    """A name for a model from that of its file: `YOLO11n (1).onnx` gives `yolo11n-1`."""
    return re.sub(r"[^a-z0-9._]+", "-", path.stem.lower()).strip("-._")[:64] or "model"


def _draft(network: Network, hints: Hints) -> Draft:
    try:
        draft = _picture_draft(network, hints) if takes_pictures(network) else listener(network, hints)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise network.unrecognised(f"cannot be described: {fault['loc'][-1]}: {fault['msg']}") from error
    if draft is None:
        raise network.unrecognised(
            f"not a kind of model that is known here: {network.signature()}; supported are detectors, image "
            "classifiers, sound classifiers and Silero VAD"
        )
    if hints.task is not None and hints.task != draft.task:
        raise network.unrecognised(f"it looks like a model for {draft.task}, not {hints.task}: leave --task out")
    if hints.decoder is not None and hints.decoder != draft.decoder.name:
        words = " or ".join(DECODERS_OF_TASK[draft.task])
        raise network.unrecognised(f"decoder {hints.decoder} does not fit {network.signature()}: expected {words}")
    return draft


def _picture_draft(network: Network, hints: Hints) -> Draft | None:
    picture = picture_of(network, hints)
    if hints.task == "classify":
        return classifier(network, picture, hints)
    return detector(network, picture, hints) or classifier(network, picture, hints)


def _weights(network: Network) -> dict[str, Path]:
    """Files beside the network that hold its weights; they become files of the bundle under their own names."""
    names = external_files(network.path)
    for name in names:
        if "/" in name or name in (STAGE_FILE, network.path.name):
            raise Unrecognised(
                f"{network.path}: its weights are in {name}: put them into the ONNX file itself, or into a file of "
                "another name beside it (onnx.save with save_as_external_data)"
            )
    return {name: network.path.parent / name for name in names}
