"""A real RTSP camera on loopback for tests: H.264 whose every picture carries its number and the time as blocks.

Run by the system's Python, which has the GObject bindings that no virtual environment has:

    /usr/bin/python3 tests/rtsp_server.py --port 8554 [--size 640x360] [--fps 30] [--user NAME --password SECRET]

Debian: python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-{base,good,ugly}. It prints one line when it serves.
"""

from __future__ import annotations

import argparse
import time
from typing import Any, NamedTuple

CELLS = 40
"""Blocks across the picture; each of the two rows of marks uses 32 of them, one per bit, lowest bit first."""
BITS = 32
FIRST_CELL = 4
GREY, BLACK, WHITE = 0x60, 0x10, 0xEB


class Marks(NamedTuple):
    """What is written in a picture."""

    number: int
    """Counts the pictures the server made, from 0."""
    made_ms: int
    """CLOCK_MONOTONIC in milliseconds, its lowest 32 bits."""

    def age_s(self) -> float:
        """Seconds since the picture was made."""
        return ((int(time.monotonic() * 1000) - self.made_ms) & 0xFFFFFFFF) / 1000


def read_marks(pixels: Any) -> Marks:
    """The marks in a decoded picture, an array of (height, width, 3)."""
    cell = pixels.shape[1] // CELLS
    rows = [
        sum(1 << bit for bit in range(BITS) if pixels[int((row + 0.5) * cell), _middle(bit, cell), 1] > 128)
        for row in (0, 1)
    ]
    return Marks(number=rows[0], made_ms=rows[1])


def _middle(bit: int, cell: int) -> int:
    return int((FIRST_CELL + bit + 0.5) * cell)


def i420(number: int, width: int, height: int) -> bytes:
    """Picture `number`, planar YUV 4:2:0: marks on top, a bright block that moves below."""
    cell = width // CELLS
    picture = bytearray(bytes([GREY]) * (width * height) + b"\x80" * (width * height // 2))
    for row, value in enumerate((number, int(time.monotonic() * 1000))):
        line = bytearray(bytes([GREY]) * width)
        for bit in range(BITS):
            left = (FIRST_CELL + bit) * cell
            line[left : left + cell] = bytes([WHITE if value >> bit & 1 else BLACK]) * cell
        for y in range(row * cell, (row + 1) * cell):
            picture[y * width : (y + 1) * width] = line
    x = number * 7 % (width - 64)
    for y in range(height // 2, height // 2 + 64):
        picture[y * width + x : y * width + x + 64] = bytes([WHITE]) * 64
    return bytes(picture)


def serve(port: int, width: int, height: int, fps: int, user: str, password: str) -> None:
    """Serve rtsp://127.0.0.1:<port>/cam until killed."""
    import gi  # type: ignore[import-not-found]  # the system's Python has it, our virtual environment has not

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer  # type: ignore[import-not-found]

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(port))
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        "( appsrc name=pictures is-live=true do-timestamp=true format=time "
        f"caps=video/x-raw,format=I420,width={width},height={height},framerate={fps}/1 "
        "! queue max-size-buffers=1 leaky=downstream "
        "! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30 bitrate=1500 "
        "! rtph264pay name=pay0 pt=96 config-interval=1 )"
    )
    factory.set_shared(True)

    def on_configure(_factory: Any, media: Any) -> None:
        source = media.get_element().get_by_name("pictures")
        state = {"number": 0, "on": True}

        def push() -> bool:
            if not state["on"]:
                return False
            picture = Gst.Buffer.new_wrapped(i420(state["number"], width, height))
            state["number"] += 1
            return bool(source.emit("push-buffer", picture) == Gst.FlowReturn.OK)

        media.connect("unprepared", lambda _media: state.update(on=False))
        GLib.timeout_add(1000 // fps, push)

    factory.connect("media-configure", on_configure)
    if user:
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
        server.set_auth(auth)
        factory.add_role_from_structure(
            Gst.Structure.new_from_string("viewer,media.factory.access=true,media.factory.construct=true")
        )
    server.get_mount_points().add_factory("/cam", factory)
    if server.attach(None) == 0:
        raise SystemExit(f"cannot listen at port {port}")
    print(f"serving rtsp://127.0.0.1:{port}/cam", flush=True)
    GLib.MainLoop().run()


def main() -> None:
    parser = argparse.ArgumentParser(description="A test camera")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    asked = parser.parse_args()
    width, height = (int(part) for part in asked.size.split("x"))
    serve(asked.port, width, height, asked.fps, asked.user, asked.password)


if __name__ == "__main__":
    main()
