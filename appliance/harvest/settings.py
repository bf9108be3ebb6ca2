"""Which samples of a pipeline are kept for a model to learn from: the table `harvest` of a pipeline."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field, model_validator

from appliance.config_values import Seconds, Share, Table

Carries: TypeAlias = Literal["never", "crops", "frames"]
"""What of a kept sample may leave the device, least first."""


class Harvest(Table):
    """Keep samples that a model should learn from. Without this table nothing is kept."""

    unsure_between: tuple[Share, Share] | None = Field(
        None,
        description="keep a sample whose answer has a score between these two; what is below `threshold` is not an "
        "answer; left out: none for this reason",
        examples=[[0.4, 0.6]],
    )
    disagreed: bool = Field(
        False,
        description="keep a sample about which two models do not say the same: the device's and the service's second "
        "opinion, or the active version and the new one in its shadow",
        examples=[True],
    )
    offload: Carries = Field(
        "never",
        description="what a model service is sent of a kept sample (`appliance serve --harvest`): never, it stays here "
        "until somebody fetches it; crops, kept and sent is the part in which something was found; frames, the whole. "
        "Masked pixels are not even kept",
        examples=["frames"],
    )
    apart_s: Seconds = Field(60.0, description="least seconds between two kept samples", examples=[60.0])
    per_day: int = Field(500, ge=1, le=1_000_000, description="most samples kept in a day", examples=[500])
    mb_per_day: float = Field(
        100.0, ge=0.01, le=1_000_000, description="most MB of samples kept in a day", examples=[100.0]
    )
    max_mb: float = Field(
        256.0, ge=0.01, le=1_000_000, description="most MB on disk; the oldest samples go first", examples=[256.0]
    )
    keep_days: float = Field(30.0, ge=0.001, le=36_500, description="days until a sample is deleted", examples=[30.0])
    leave_free_mb: int = Field(
        256, ge=0, le=10_000_000, description="MB of the disk that harvesting leaves free", examples=[256]
    )

    @property
    def sends(self) -> bool:
        """Whether samples leave the device by themselves."""
        return self.offload != "never"

    @model_validator(mode="after")
    def _agrees(self) -> Harvest:
        if self.unsure_between is None and not self.disagreed:
            raise ValueError("harvest: say which samples: unsure_between = [0.4, 0.6], or disagreed = true, or both")
        if self.unsure_between is not None and self.unsure_between[0] > self.unsure_between[1]:
            raise ValueError("harvest: unsure_between: give the lower score first")
        return self
