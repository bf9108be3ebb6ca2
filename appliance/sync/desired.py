"""What an operator wants a device to run, and what the device says to that: two retained documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from typing_extensions import TypedDict

from appliance.commands import BadCommand, strict_json

MOST_MODELS = 100
ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Wanted(_Strict):
    """Of one model."""

    version: ModelName


class Desired(_Strict):
    """Payload of `models/desired`: all models that come from a registry. What is left out is no longer wanted, and
    stays as it is."""

    n: int = Field(ge=1, lt=1 << 53)
    """Counts the documents; a device takes no lower one again."""
    models: dict[ModelName, Wanted] = Field(max_length=MOST_MODELS)


class ReportedModel(TypedDict):
    """How far a device is with one model: each that a pipeline runs, that is desired, or that came from a registry."""

    active: str | None
    """Version that answers; None: there is no such model."""
    version: str | None
    """The newest one that came from a registry, or is on its way."""
    state: str | None
    reason: str
    percent: int | None
    """Of its bytes that are here, while it is being fetched."""
    offered: str | None
    """Version that may be, or is being, put in the place of the active one: the one on its way, else the one that is
    desired, else the newest that the registry had at the last look."""
    notes: str
    """What its maker says of `version` (`notes` under `about` in its manifest), once that is here."""


class Reported(TypedDict):
    """Payload of `models/reported`."""

    type: Literal["models"]
    n: int
    """Of the last desired document that was taken; 0: none was."""
    models: dict[str, ReportedModel]
    errors: dict[str, str]
    """What of the desired document cannot be done, by model; "" is the document itself."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A desired document, as far as it is valid: every model is judged alone."""

    n: int
    models: Mapping[str, str]
    """Version that is wanted."""
    errors: Mapping[str, str]


def read(payload: bytes) -> Heard:
    """Raises BadCommand when it is no such document at all."""
    document = strict_json(payload)
    if not isinstance(document, dict):
        raise BadCommand("expected a JSON object with the fields n and models")
    models = document.get("models")
    try:
        n = Desired.model_validate(document | {"models": {}}).n
    except ValidationError as error:
        raise BadCommand(_words(error)) from error
    if not isinstance(models, dict) or len(models) > MOST_MODELS:
        raise BadCommand(f"models: expected an object of at most {MOST_MODELS} models")
    good: dict[str, str] = {}
    errors: dict[str, str] = {}
    for name, wanted in models.items():
        try:
            found = Desired.model_validate({"n": n, "models": {name: wanted}})
            good[name] = found.models[name].version
        except ValidationError as error:
            errors[str(name)[:64]] = _words(error)
    return Heard(n, good, errors)


def _words(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    where = ".".join(str(step)[:64] for step in fault["loc"])
    return f"{where}: {fault['msg']}" if where else str(fault["msg"])


def kept(note: Any) -> dict[str, str]:
    """The last good document, as the ledger has it."""
    return dict(note["models"]) if isinstance(note, dict) else {}
