"""What the world may ask: `…/<thing>/<name>/set` and `…/request/<name>`. Deny by default; nothing is evaluated."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

MOST_BYTES = 64 * 1024
MOST_DEPTH = 16


LONGEST_WORDS = 500
"""Characters of a refusal, which may repeat parts of what was sent."""


class BadCommand(Exception):
    """A message that is not a command; the text says what was wrong, for the one who sent it."""

    def __init__(self, words: str) -> None:
        super().__init__(words if len(words) <= LONGEST_WORDS else words[: LONGEST_WORDS - 1] + "…")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


_Model = TypeVar("_Model", bound=_Strict)


class SetSource(_Strict):
    """Payload of `source/<name>/set`."""

    enabled: bool


class SetPipeline(_Strict):
    """Payload of `pipeline/<name>/set`: only what is given changes."""

    enabled: bool | None = None
    threshold: float | None = Field(None, ge=0, le=1)
    """null: the model's own."""
    snapshot: bool | None = None

    @model_validator(mode="after")
    def _null_is_for_the_threshold(self) -> SetPipeline:
        for key in self.model_fields_set - {"threshold"}:
            if getattr(self, key) is None:
                raise ValueError(f"{key} is true or false; only threshold takes null, which means the model's own")
        return self


class Ask(_Strict):
    """Payload of `request/<name>`; an empty payload is an empty request."""

    data: dict[str, Any] = {}
    transaction: str | int | None = None


class SnapshotData(_Strict):
    """`data` of `request/snapshot`."""

    pipeline: str


class InstallData(_Strict):
    """`data` of `request/install`."""

    model: str


@dataclass(frozen=True, slots=True)
class Setting:
    """Change what runs."""

    thing: Literal["source", "pipeline"]
    name: str
    change: SetSource | SetPipeline


@dataclass(frozen=True, slots=True)
class Request:
    """A question that gets one response."""

    name: str
    data: dict[str, Any]
    transaction: str | int | None


Command: TypeAlias = Setting | Request


def read(topic: str, payload: bytes, root: str) -> Command:
    """The command in a message under `root`; raises BadCommand."""
    match topic.removeprefix(root + "/").split("/"):
        case ["source", name, "set"]:
            return Setting("source", name, _model(SetSource, strict_json(payload)))
        case ["pipeline", name, "set"]:
            return Setting("pipeline", name, _model(SetPipeline, strict_json(payload)))
        case ["request", name]:
            ask = _model(Ask, strict_json(payload) if payload else {})
            return Request(name, ask.data, ask.transaction)
    raise BadCommand(f"{topic}: nothing can be set or asked there")


def snapshot_data(data: dict[str, Any]) -> SnapshotData:
    """`data` of a snapshot request; raises BadCommand."""
    return _model(SnapshotData, data)


def install_data(data: dict[str, Any]) -> InstallData:
    """`data` of a request to install; raises BadCommand."""
    return _model(InstallData, data)


def _model(kind: type[_Model], document: Any) -> _Model:
    if not isinstance(document, dict):
        raise BadCommand(f"expected a JSON object with the fields {', '.join(kind.model_fields)}")
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(step) for step in fault["loc"]) or "the payload"
        known = ", ".join(kind.model_fields)
        words = fault["msg"].removeprefix("Value error, ")
        raise BadCommand(f"{where}: {words}; known fields: {known}") from error


def strict_json(payload: bytes) -> Any:
    """Strict JSON: bounded, UTF-8 also where it is escaped, no duplicate keys, finite numbers, shallow.

    Raises BadCommand.
    """
    if len(payload) > MOST_BYTES:
        raise BadCommand(f"{len(payload)} bytes are too many; at most {MOST_BYTES}")
    try:
        document = json.loads(
            payload.decode("utf-8"), object_pairs_hook=_no_twins, parse_constant=_no_constant, parse_float=_finite
        )
        json.dumps(document, ensure_ascii=False).encode(
            "utf-8"
        )  # refuses half a surrogate pair, which no answer can hold
    except RecursionError:
        raise BadCommand(f"nested deeper than {MOST_DEPTH}") from None
    except ValueError as error:
        raise BadCommand(f"not valid JSON: {error}") from error
    if _depth(document) > MOST_DEPTH:
        raise BadCommand(f"nested deeper than {MOST_DEPTH}")
    return document


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key appears twice")
    return document


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not a number that JSON knows")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text} is too large a number")
    return value


def _depth(document: Any) -> int:
    """Levels of nesting, without recursion."""
    deepest, waiting = 0, [(document, 1)]
    while waiting:
        item, level = waiting.pop()
        deepest = max(deepest, level)
        children = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        waiting.extend((child, level + 1) for child in children)
    return deepest
