"""`[models]`: where models come from, and how they are tried."""

from __future__ import annotations

from pydantic import Field, model_validator

from appliance.config_values import File, Seconds, Share, Table


class Models(Table):
    """Models that come from a registry, signed by its owner (docs/models-sync.md)."""

    registry: str = Field(
        "mqtt",
        pattern=r"^(mqtt|https?://[^\s@?#]+)$",
        description="mqtt: through the broker of [mqtt]; or an address https://host/path",
        examples=["mqtt"],
    )
    root: File = Field(
        description="the root of the registry's owner, metadata/root.json: nobody else is believed",
        examples=["/etc/appliance/root.json"],
    )
    ca_file: File | None = Field(
        None, description="certificate authority of an https registry (PEM); left out: the system's"
    )
    bandwidth_kb_s: float | None = Field(
        None, ge=1, description="most kilobytes a second that fetching takes; left out: no limit", examples=[500]
    )
    look_s: Seconds = Field(
        21_600.0, description="seconds between two looks for what is new and what was revoked", examples=[21_600.0]
    )
    max_mb: int = Field(2048, ge=1, le=65536, description="largest model that is fetched, in MB", examples=[2048])
    shadow_s: Seconds = Field(
        60.0, description="seconds that a new version runs beside the active one before it takes over", examples=[60.0]
    )
    shadow_samples: int = Field(
        300, ge=1, le=1_000_000, description="or so many samples, whichever is first", examples=[300]
    )
    agreement: Share = Field(0.5, description="least share of what both say, over all those samples", examples=[0.5])
    slower: float = Field(
        3.0, ge=1, le=1000, description="how many times as long as the active one it may take", examples=[3.0]
    )
    probation_s: Seconds = Field(
        600.0, description="seconds that a new version must hold before it is kept", examples=[600.0]
    )

    @model_validator(mode="after")
    def _authority(self) -> Models:
        if self.ca_file is not None and not self.registry.startswith("https://"):
            raise ValueError("ca_file is for an https registry: leave it out")
        return self
