"""Which microphones there are, asked in a process of its own: PortAudio freezes its list where it is first loaded."""

from __future__ import annotations

import json
import subprocess
import sys

from capture.source import CaptureError

ANSWER_WITHIN_S = 15.0

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
