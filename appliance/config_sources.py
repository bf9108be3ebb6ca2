"""The configuration's `[[camera]]` and `[[microphone]]`: what the device sees and hears with."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from appliance.config_values import File, Name, Polygon, Seconds, Table, Text


class Source(Table):
    """What cameras and microphones share."""

    name: Name = Field(description="name of the source in pipelines, topics and results (letters, digits, . _ -)")
    enabled: bool = Field(True, description="false leaves the device closed", examples=[True])
    loop: bool = Field(False, description="start a file again at its end", examples=[True])
    realtime: bool = Field(True, description="false reads a file as fast as possible", examples=[False])
    stale_after_s: Seconds = Field(
        3.0, description="seconds without new content until the source counts as stale", examples=[3.0]
    )


ONE_READER = ("camera:", "csi:")
"""Devices that one reader at a time can open."""


class Camera(Source):
    """A source of pictures."""

    uri: Text = Field(
        description="camera:0, camera:/dev/v4l/by-id/…, csi:0, rtsp://…, file:…, images:…, scene:digits, scene:shapes",
        examples=["rtsp://192.168.1.20/stream1"],
    )
    username: Text | None = Field(None, description="user name on an RTSP camera", examples=["viewer"])
    password_file: File | None = Field(
        None, description="file that holds the RTSP password; credential:NAME reads a systemd credential"
    )
    width: int | None = Field(None, ge=16, le=16384, description="width to ask for, in pixels", examples=[1280])
    height: int | None = Field(None, ge=16, le=16384, description="height to ask for, in pixels", examples=[720])
    fps: float | None = Field(
        None, ge=0.001, le=1000, description="a number of pictures per second to ask for", examples=[15]
    )
    pixel_format: str | None = Field(
        None, pattern=r"^[A-Z0-9 ]{4}$", description="four letters, such as YUYV or MJPG", examples=["MJPG"]
    )
    rotate: Literal[0, 90, 180, 270] = Field(0, description="degrees clockwise: 0, 90, 180 or 270", examples=[90])
    flip: Literal["none", "horizontal", "vertical", "both"] = Field(
        "none", description="mirror after turning: none, horizontal, vertical or both", examples=["horizontal"]
    )
    crop: tuple[int, int, int, int] | None = Field(
        None, description="the part to keep after turning: [x, y, width, height] in pixels", examples=[[0, 0, 640, 480]]
    )
    masks: list[Polygon] = Field(
        [],
        description="privacy masks, painted black before anything else sees the picture: lists of points "
        "[x, y] in pixels of the final picture",
        examples=[[[[0, 0], [200, 0], [200, 150]]]],
    )
    seed: int = Field(0, ge=0, le=2**63 - 1, description="seed of a synthetic scene", examples=[0])

    @model_validator(mode="after")
    def _login(self) -> Camera:
        if self.username is not None and not self.uri.startswith(("rtsp://", "rtsps://")):
            raise ValueError("username is for rtsp:// cameras: leave it out")
        if self.password_file is not None and self.username is None:
            raise ValueError("password_file is of no use without username: give both")
        return self


class Microphone(Source):
    """A source of sound. Its rate is the one its models need."""

    uri: Text = Field(description="mic: (the default), mic:name, or wav:file", examples=["mic:USB"])
    zeros_after_s: Seconds | None = Field(
        2.0,
        description="seconds of exact silence after which the microphone counts as unplugged; a microphone with a "
        "digital mute needs a longer time",
        examples=[2.0],
    )
