"""Clips of the recorder: listed, and given out in ranges of bytes, so that a browser can play and skip."""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from dataclasses import fields
from heapq import nlargest
from pathlib import Path

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from appliance.recorder.clip import ANSWERS, PICTURE, Clip
from appliance.recorder.shelf import clips, find

MOST = 100
"""That are listed, the newest of all pipelines."""
SHOWN = tuple(field.name for field in fields(Clip) if field.name not in ("settings", "events"))
KINDS: Mapping[str, str] = {
    "webm": "video/webm",
    "wav": "audio/wav",
    PICTURE: "image/jpeg",
    ANSWERS: "application/x-ndjson",
}

Folders = Callable[[], Mapping[str, Path]]
"""Where the clips of each pipeline are that keeps some."""


def listed(folders: Mapping[str, Path]) -> list[dict[str, object]]:
    """The newest first."""
    found = [clip for folder in folders.values() for clip in clips(folder, MOST)]
    newest = nlargest(MOST, found, key=lambda clip: clip.began_at)
    return [{name: getattr(clip, name) for name in SHOWN} | {"file": clip.file} for clip in newest]


class Clips:
    """The routes. Nothing of a path is used before it is known to name a clip."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders

    async def list(self, _request: Request) -> Response:
        return Response(to_json({"clips": listed(self._folders())}), media_type="application/json")

    async def file(self, request: Request) -> Response:
        folder = self._folders().get(request.path_params["pipeline"])
        name, _, ending = request.path_params["file"].partition(".")
        clip = None if folder is None or ending not in KINDS else find(folder, name)
        if folder is None or clip is None:
            return _gone()
        path = folder / f"{clip.name}.{ending}"
        try:
            state = path.lstat()
        except FileNotFoundError:
            return _gone()
        if not stat.S_ISREG(state.st_mode):
            return _gone()
        return FileResponse(path, media_type=KINDS[ending], stat_result=state, headers=_KEPT)


_KEPT = {"cache-control": "private, max-age=3600, immutable"}
"""A clip never changes; its number is never used again."""


def _gone() -> Response:
    return JSONResponse({"error": "there is no such clip (any more)"}, 404)
