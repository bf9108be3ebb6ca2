"""Where traces go: the table `[traces]`."""

from __future__ import annotations

from pydantic import Field

from appliance.config_values import File, Share, Table


class Traces(Table):
    """Traces for an OpenTelemetry collector (OTLP over HTTP). Without this table none are made; they need the extra
    `otel`."""

    endpoint: str = Field(
        pattern=r"^https?://[^/@\s\x00]+/[^\s\x00]*$",
        max_length=1024,
        description="address of the collector, with its path",
        examples=["http://127.0.0.1:4318/v1/traces"],
    )
    share: Share = Field(1.0, description="share of the samples that are traced, from 0 to 1", examples=[0.05])
    ca_file: File | None = Field(
        None, description="authority of the collector's certificate; left out: the system's", examples=["ca.crt"]
    )
    token_file: File | None = Field(
        None,
        description="file whose first line is sent as `Authorization: Bearer …`",
        examples=["credential:traces-token"],
    )
