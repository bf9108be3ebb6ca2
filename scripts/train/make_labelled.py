#!/usr/bin/env python3
"""Makes labelled folders for `appliance models evaluate` and `quantize --labelled`, of what the models have not seen:
scenes with the fonts that `digits` is tested on, or the words of a speaker whom `spoken-digits` never heard.

    python scripts/train/make_labelled.py digits FOLDER --scenes 600
    python scripts/train/make_labelled.py spoken-digits FOLDER --recordings free-spoken-digit-dataset/recordings

The first writes YOLO's text files beside the pictures and needs what make_digits.py needs, but PyTorch; the second
copies recordings into a folder for each word.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def main() -> None:
    given = _options()
    if given.folder.exists():
        sys.exit(f"{given.folder}: there is something already; name a new folder")
    if given.model == "digits":
        count = _scenes(given.folder, given.scenes, given.seed, given.workers)
    elif given.recordings is None:
        sys.exit("spoken-digits: name the folder of <digit>_<speaker>_<number>.wav with --recordings")
    else:
        count = _words(given.folder, given.recordings, given.speaker)
    print(f"{count} files in {given.folder}")


def _scenes(folder: Path, many: int, seed: int, workers: int) -> int:
    """Scenes of the share `testing`, as PNG, with their digits in text files beside them."""
    import cv2
    import numpy as np
    from digits.dataset import rendered
    from digits.scene import NARROWEST, SIDE, wide

    with tempfile.TemporaryDirectory() as scratch:
        data = rendered("testing", many, seed, Path(scratch), workers)
        folder.mkdir(parents=True)
        for number in range(many):
            cv2.imwrite(str(folder / f"{number:05d}.png"), np.array(data.pixels[number]))
            digits, inked = data.digits(number)
            boxes = wide(inked, NARROWEST)
            middles, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2 / SIDE, (boxes[:, 2:] - boxes[:, :2]) / SIDE
            lines = [
                f"{digit} {x:.6f} {y:.6f} {width:.6f} {height:.6f}\n"
                for digit, (x, y), (width, height) in zip(digits, middles, sizes, strict=True)
            ]
            (folder / f"{number:05d}.txt").write_text("".join(lines), encoding="utf-8")
    return many


def _words(folder: Path, recordings: Path, speaker: str) -> int:
    """What one speaker said, a folder for each word."""
    files = sorted(recordings.glob(f"[0-9]_{speaker}_*.wav"))
    if not files:
        sys.exit(f"{recordings}: nothing that {speaker} said in it")
    for file in files:
        into = folder / WORDS[int(file.name[0])]
        into.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, into / file.name)
    return len(files)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Makes labelled folders for `appliance models evaluate`.")
    parser.add_argument("model", choices=("digits", "spoken-digits"))
    parser.add_argument("folder", type=Path, help="a new folder")
    parser.add_argument("--scenes", type=int, default=600, help="of digits (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="processes that render")
    parser.add_argument("--recordings", type=Path, help="folder of the Free Spoken Digit Dataset")
    parser.add_argument("--speaker", default="jackson", help="the one who was held out (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
