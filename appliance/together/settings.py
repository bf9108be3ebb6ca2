"""Which pictures and which sounds belong together: the table `[[together]]`."""

from __future__ import annotations

from pydantic import Field

from appliance.config_values import Name, Table, Text


class Together(Table):
    """An event that holds what a camera saw and what a microphone heard, when they meet."""

    name: Name = Field(
        description="name in topics and events (letters, digits, . _ -)", examples=["somebody-at-the-door"]
    )
    picture: Text = Field(description="name of a [[pipeline]] of a camera", examples=["dock-people"])
    picture_labels: list[Text] | None = Field(
        None, description="only objects of these labels; left out: all", examples=[["person"]]
    )
    sound: Text = Field(description="name of a [[pipeline]] of a microphone", examples=["hall-tones"])
    sound_labels: list[Text] | None = Field(
        None, description="only sounds of these labels; left out: all", examples=[["knock"]]
    )
    within_ms: int = Field(
        1000, ge=0, le=600_000, description="longest time between the two where neither is there", examples=[1000]
    )
