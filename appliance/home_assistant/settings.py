"""Whether Home Assistant is told what there is: the table `[home_assistant]`."""

from __future__ import annotations

from pydantic import Field

from appliance.config_values import Table
from appliance.mqtt.topics import HOME_ASSISTANT


class HomeAssistant(Table):
    """Home Assistant finds cameras, microphones and what they see and hear. Without this table it is told nothing."""

    discovery: bool = Field(
        True, description="false takes back what an earlier run has told Home Assistant", examples=[True]
    )
    prefix: str = Field(
        HOME_ASSISTANT,
        pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$",
        max_length=128,
        description="its discovery prefix: letters, digits, _ and -, levels separated by /",
        examples=["homeassistant"],
    )
