"""`[reconfigure]`: whether a signed configuration may come from afar, and when it is kept."""

from __future__ import annotations

from pydantic import Field

from appliance.config_values import Seconds, Table


class Reconfigure(Table):
    """The owner of the registry in [models] may give this device another configuration, signed
    (docs/models-sync.md). Without this table nobody can."""

    patience_s: Seconds = Field(
        60.0,
        description="seconds that a camera, microphone or model of a new configuration may be away before it is taken "
        "back",
        examples=[60.0],
    )
    hold_s: Seconds = Field(
        120.0, description="seconds in a row that everything must work before it is kept", examples=[120.0]
    )
