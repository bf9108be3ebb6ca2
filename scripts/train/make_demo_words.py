#!/usr/bin/env python3
"""Makes the words that the demo hears when there is no microphone: "zero" to "nine", said by Flite in three voices.

    apt-get install flite
    python scripts/train/make_demo_words.py            writes appliance/demo_words/<word>-<voice>.flac

Flite's licence lets its voices, and so what they say, be used and passed on without restriction; that is why it was
taken. The same release of Flite makes the same files.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import soundfile  # type: ignore[import-untyped] # it has no types
from spoken_digits.bank import RATE_HZ, load
from spoken_digits.words import DIGITS

WORDS = Path(__file__).parent.parent.parent / "appliance" / "demo_words"
VOICES = ("slt", "rms", "awb")
"""A woman and a man from the United States, a man from Scotland; recorded by Carnegie Mellon University."""
SLOWER = 1.15
PEAK = 0.5
LICENCE = """\
The words in this folder were spoken by Flite 2.2 (Carnegie Mellon University, Language Technologies Institute) with its
voices slt, rms and awb; scripts/train/make_demo_words.py makes them again. Flite and its voices may be used, copied,
modified, published and sold without restriction as long as this notice is kept:

Copyright (c) 1999-2001 Language Technologies Institute, Carnegie Mellon University. All Rights Reserved.

Changes to what Flite wrote: silence at the ends removed, peak set to half of full scale, stored as FLAC.
The files themselves are under the licence of this project.
"""


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else WORDS
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "LICENCE").write_text(LICENCE, encoding="utf-8")
    with tempfile.TemporaryDirectory() as scratch:
        spoken = Path(scratch) / "word.wav"
        for voice in VOICES:
            for word in DIGITS:
                _say(word, voice, spoken)
                soundfile.write(folder / f"{word}-{voice}.flac", PEAK * load(spoken), RATE_HZ, subtype="PCM_16")
    total = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{len(VOICES) * len(DIGITS)} words, {total / 1000:.0f} kB in {folder}")


def _say(word: str, voice: str, path: Path) -> None:
    try:
        subprocess.run(
            ["flite", "-voice", voice, "--setf", f"duration_stretch={SLOWER}", "-t", word, "-o", str(path)], check=True
        )
    except FileNotFoundError:
        sys.exit("flite is not installed: apt-get install flite")


if __name__ == "__main__":
    main()
