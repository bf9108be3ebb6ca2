"""Which microphones there are, and whether sound comes from one.

Asked in processes of their own: PortAudio freezes its list where it is first loaded.
"""

from __future__ import annotations

import json
import subprocess
import sys

from capture.microphone import Microphone
from capture.options import AudioOptions
from capture.source import CaptureError

ANSWER_WITHIN_S = 15.0
SOUND_WITHIN_S = 1.5
"""A sound card of this machine sends at once, or never."""

_ASK = """
import json
import sounddevice
print(json.dumps([d["name"] for d in sounddevice.query_devices() if d["max_input_channels"] > 0]))
"""


def input_devices() -> list[str]:
    """PortAudio's names of the input devices, in its order; raises CaptureError when it cannot be asked."""
    try:
        asked = subprocess.run(
            [sys.executable, "-c", _ASK], capture_output=True, text=True, timeout=ANSWER_WITHIN_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise CaptureError(f"the sound devices cannot be listed: no answer within {ANSWER_WITHIN_S:.0f} s") from error
    if asked.returncode != 0:
        last = asked.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise CaptureError(f"the sound devices cannot be listed: {last[0]}")
    names: list[str] = json.loads(asked.stdout.splitlines()[-1])
    return names


def await_sound(name: str) -> None:
    """Open the input of this name until its first sound comes, be it silence; raises CaptureError where none does."""
    with Microphone(name, name, AudioOptions(zeros_after_s=None), first_sound_s=SOUND_WITHIN_S) as microphone:
        next(iter(microphone))
