"""What a pipeline keeps of what it saw or heard: the table `recorder` of a pipeline."""

from __future__ import annotations

from pydantic import Field

from appliance.config_values import Seconds, Table, Text


class Recorder(Table):
    """Keep clips around events on this device. Without this table nothing is kept."""

    labels: list[Text] | None = Field(
        None, description="only events of these labels begin a clip; left out: all", examples=[["person"]]
    )
    before_s: float = Field(5.0, ge=0, le=60, description="seconds kept from before the event", examples=[5.0])
    after_s: Seconds = Field(5.0, description="seconds kept after the last event", examples=[5.0])
    longest_s: float = Field(60.0, ge=1, le=3600, description="longest clip in seconds", examples=[60.0])
    max_per_s: float = Field(15.0, ge=0.1, le=120, description="most pictures kept per second", examples=[10.0])
    max_mb: int = Field(
        512, ge=1, le=10_000_000, description="most MB on disk; the oldest clips go first", examples=[512]
    )
    keep_days: float = Field(14.0, ge=0.001, le=36_500, description="days until a clip is deleted", examples=[14.0])
    leave_free_mb: int = Field(
        256, ge=0, le=10_000_000, description="MB of the disk that recording leaves free", examples=[256]
    )
    exact: bool = Field(
        False,
        description="keep the pictures without loss as well, ten times the size, for `appliance replay` to the last "
        "digit; sound is always kept so",
        examples=[True],
    )
