"""The inference of REST: from the body of a request to what is asked, and from its answer to the body of a response."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from appliance.oip.inquiry import Answered, Asked
from appliance.questions.question import Refused
from appliance.questions.tensors import BadTensor, Limits, joined, read, split, written

HEADER_LENGTH = "Inference-Header-Content-Length"
MOST_TIMEOUT_US = 1 << 53
"""A number has as many digits as a caller likes."""


@dataclass(frozen=True, slots=True, eq=False)
class Wish:
    """What is asked, and how the answer is to be written."""

    asked: Asked
    binary: Mapping[str, bool]
    """By output, where the caller says so."""
    binary_by_default: bool


def asked(model: str, version: str, body: bytes, header_length: str | None, limits: Limits) -> Wish:
    """The request in a body; raises BadTensor or Refused."""
    document, binary = split(body, json_bytes(header_length), limits)
    parameters = _parameters(document)
    outputs = _outputs(document.get("outputs"), limits)
    return Wish(
        Asked(
            model=model,
            version=version,
            id=_id(document),
            inputs=read(document.get("inputs"), binary, limits),
            outputs=tuple(outputs),
            within_s=within_s(parameters),
        ),
        {name: wanted for name, wanted in outputs.items() if wanted is not None},
        parameters.get("binary_data_output") is True,
    )


def json_bytes(header_length: str | None) -> int | None:
    """How long the JSON of a body is, from the header; None: all of it. Raises BadTensor."""
    if header_length is not None and not re.fullmatch(r"[0-9]{1,12}", header_length):
        raise BadTensor(f"{HEADER_LENGTH}: {header_length[:40]} is no length")
    return None if header_length is None else int(header_length)


def within_s(parameters: Mapping[str, Any]) -> float | None:
    """The deadline in Triton's parameter `timeout`, which counts microseconds; 0 is none."""
    timeout_us = parameters.get("timeout")
    if timeout_us is None or timeout_us == 0:
        return None
    if type(timeout_us) is not int or timeout_us < 0:
        raise BadTensor("parameters: timeout must be a whole number of microseconds")
    return min(timeout_us, MOST_TIMEOUT_US) / 1e6


def refuse_sequences(parameters: Mapping[str, Any]) -> None:
    """A stream with a memory would need one caller after the other; raises Refused."""
    if parameters.get("sequence_id"):
        raise Refused("malformed", "sequences are not kept here: send each sample by itself")


def _parameters(document: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters = document.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise BadTensor("parameters must be an object")
    refuse_sequences(parameters)
    return parameters


def _id(document: Mapping[str, Any]) -> str:
    given = document.get("id", "")
    if not isinstance(given, str) or len(given) > 256:
        raise BadTensor("id must be a text of at most 256 characters")
    return given


def _outputs(entries: object, limits: Limits) -> dict[str, bool | None]:
    """Names of the wanted outputs, and whether their values are wanted binary; None: as the others."""
    if entries is None:
        return {}
    if not isinstance(entries, list) or len(entries) > limits.tensors:
        raise BadTensor(f"outputs must be a list of at most {limits.tensors}")
    wanted: dict[str, bool | None] = {}
    for entry in entries:
        name = entry.get("name") if isinstance(entry, dict) else None
        parameters = entry.get("parameters") or {} if isinstance(entry, dict) else None
        if not isinstance(name, str) or not isinstance(parameters, dict):
            raise BadTensor("each of outputs must be an object with a name, and parameters if any")
        if parameters.get("classification"):
            raise BadTensor(f"{name}: classification is not offered; ask for the tensor")
        binary = parameters.get("binary_data")
        wanted[name] = binary if isinstance(binary, bool) else None
    return wanted


def answered(answer: Answered, wish: Wish) -> tuple[bytes, dict[str, str]]:
    """Body and headers; raises BadTensor when a value cannot be JSON."""
    entries, raws = [], []
    for tensor in answer.outputs:
        entry, raw = written(tensor, binary=wish.binary.get(tensor.name, wish.binary_by_default))
        entries.append(entry)
        raws.append(raw)
    document: dict[str, Any] = {"model_name": answer.model, "model_version": answer.version, "outputs": entries}
    if answer.id:
        document["id"] = answer.id
    body, length = joined(document, raws)
    if length == len(body):
        return body, {"content-type": "application/json"}
    return body, {"content-type": "application/octet-stream", HEADER_LENGTH: str(length)}
