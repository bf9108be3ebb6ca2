"""The configuration's `[remote]` and `[pipeline.remote]`: what a model service may be asked, and when."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field, model_validator

from appliance.config_values import Name, Seconds, Share, Table, Text

Offload: TypeAlias = Literal["never", "crops", "features", "frames"]
"""What of a sample may leave the device, least first."""

Side: TypeAlias = Literal["local", "remote"]

BUDGET_SHARE = 0.5
"""Of the deadline: what the local engine may take before the service is asked, unless `budget_s` says otherwise."""


class Remote(Table):
    """What all pipelines together may ask of the model services."""

    max_per_s: float = Field(30.0, ge=0.001, le=10_000, description="most questions per second", examples=[30.0])
    max_kb_per_s: float = Field(
        4000.0, ge=0.1, le=10_000_000, description="most kilobytes of questions per second", examples=[4000.0]
    )


class PipelineRemote(Table):
    """A model service that answers when the local engine cannot, is late, or is not sure."""

    offload: Offload = Field(
        description="what of a picture may leave the device: never; crops, around what moves or was found; "
        "features, what a stage of the model made of it; frames, the whole picture. Masked pixels never leave",
        examples=["frames"],
    )
    model: Name | None = Field(
        None, description="the model's name at the service; left out: the pipeline's own", examples=["people-large"]
    )
    deadline_s: Seconds = Field(
        1.0,
        description="seconds from the grab of a sample to its result, or to the word that it failed",
        examples=[1.0],
    )
    budget_s: Seconds | None = Field(
        None,
        description="seconds that the local engine may take for a sample before the service is asked; left out: half "
        "of deadline_s",
        examples=[0.2],
    )
    prefer: Side = Field("local", description="who is asked first: local or remote", examples=["local"])
    unsure_between: tuple[Share, Share] | None = Field(
        None,
        description="a local answer whose best score lies between these two is unsure: the service is asked for a "
        "second opinion",
        examples=[[0.3, 0.6]],
    )
    hottest_c: float | None = Field(
        None, ge=20, le=150, description="degrees Celsius from which the local engine is spared", examples=[85.0]
    )
    max_per_s: float | None = Field(
        None, ge=0.001, le=10_000, description="most questions of this pipeline per second", examples=[5.0]
    )
    keep: int = Field(
        0,
        ge=0,
        le=1000,
        description="so many samples that nobody could answer are kept in memory, as JPEG, and answered once the "
        "service is back; their results are marked as late",
        examples=[100],
    )
    place: Literal["auto"] | dict[Text, Side] = Field(
        {},
        description="where stages of the model run, by name; auto chooses by measured cost; left out: on the device",
        examples=[{"recogniser": "remote"}],
    )

    @property
    def asks(self) -> bool:
        """Whether anything may be asked of a service at all."""
        return self.offload != "never"

    @property
    def local_budget_s(self) -> float:
        """What the local engine may take for a sample."""
        return self.deadline_s * BUDGET_SHARE if self.budget_s is None else self.budget_s

    @model_validator(mode="after")
    def _agrees(self) -> PipelineRemote:
        if self.budget_s is not None and self.budget_s >= self.deadline_s:
            raise ValueError(
                f"remote: budget_s = {self.budget_s:g} leaves no time to ask: it must be below deadline_s = "
                f"{self.deadline_s:g}"
            )
        if self.unsure_between is not None and self.unsure_between[0] > self.unsure_between[1]:
            raise ValueError("remote: unsure_between: give the lower score first")
        if self.offload == "never":
            for key in ("prefer", "unsure_between", "hottest_c", "keep", "place"):
                if key in self.model_fields_set and getattr(self, key) not in ("local", {}, 0, None):
                    raise ValueError(
                        f'remote: {key} has no effect with offload = "never": leave it out, or say what may leave'
                    )
        return self
