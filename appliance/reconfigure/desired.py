"""Which configuration an operator wants a device to use, and what the device says to that: two retained documents."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from typing_extensions import TypedDict

from appliance.commands import BadCommand, strict_json

_NAME = r"[a-z0-9][a-z0-9._-]{0,63}"
ConfigName = Annotated[str, StringConstraints(pattern=rf"^{_NAME}@{_NAME}$")]


class DesiredConfig(BaseModel):
    """Payload of `config/desired`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    n: int = Field(ge=1, lt=1 << 53)
    """Counts the documents; a device takes no lower one again. A higher one with the same configuration tries once
    more what was returned."""
    config: ConfigName | None
    """Name and version, such as `docks@3`; null: the file on the device alone."""


class ReportedConfig(TypedDict):
    """Payload of `config/reported`."""

    type: Literal["configuration"]
    n: int
    """Of the last desired document that was taken; 0: none was."""
    wanted: str | None
    active: str | None
    """Name and version of what is used; None: the file on the device alone."""
    digest: str | None
    """SHA-256 of its text."""
    state: Literal["fetch", "trial", "kept", "returned"]
    """Of what is wanted: on its way; used, on probation; used; not used, for the reason below."""
    reason: str
    error: str
    """What was wrong with the last document, if anything was."""


def read(payload: bytes) -> DesiredConfig:
    """Raises BadCommand."""
    document = strict_json(payload)
    if not isinstance(document, dict):
        raise BadCommand("expected a JSON object with the fields n and config")
    try:
        return DesiredConfig.model_validate(document)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(str(step)[:64] for step in fault["loc"])
        raise BadCommand(f"{where}: {fault['msg']}" if where else str(fault["msg"])) from error
