#!/usr/bin/env python3
"""Makes the model `spoken-digits`: speaks its own training words, trains, measures, writes the bundle.

    git clone https://github.com/Jakobovski/free-spoken-digit-dataset
    pip install -e ".[train]"                       the CPU build of torch will do
    python scripts/train/make_spoken_digits.py free-spoken-digit-dataset/recordings --output FOLDER --speech speech.wav

The Debian packages it needs stand in spoken_digits/voices.py, prompts.py and games.py. Under 45 minutes on two
cores. Everything is seeded: the same packages and the same recordings give a model of the same accuracy. One speaker of
the recordings is held out: nothing of theirs is trained on, and what is reported is how well they are understood. Any
Python from 3.10 on will do.

`speech.wav` is a minute of speech without digits, 16 kHz, from github.com/snakers4/silero-vad; its digest stands in
spoken_digits/card.py. Without `--speech` the networks are the same, and the card says that false words in it were not
measured.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from spoken_digits import card, evaluation, export
from spoken_digits.bank import SPEAKERS, Word, recorded, recordings, speaker_of, synthesised
from spoken_digits.games import HEDGEWARS, WARZONE, played
from spoken_digits.network import Recogniser
from spoken_digits.prompts import ENGLISH, FOREIGN, prompts
from spoken_digits.scenes import Scenes
from spoken_digits.surroundings import Surroundings
from spoken_digits.threshold import THRESHOLDS, choose, talk
from spoken_digits.training import Effort, train
from spoken_digits.variations import resized, varied
from spoken_digits.voices import missing

DIGITS, DECOYS, SENTENCES = 500, 3000, 800
"""So many synthesised: of each digit, of words that are none, of sentences."""
RECORDED_VARIATIONS, FEW_VARIATIONS, SPOKEN_VARIATIONS = 10, 30, 2
"""So many of each word; `few` are those of the one woman who was recorded."""
KEPT_VOICE, KEPT_SENTENCES = FOREIGN[-1], 100
"""The prompts in Russian and so many synthetic sentences: not trained on, since the threshold is chosen with them."""
STEPS = 3200
HELD_OUT = "jackson"


def main() -> None:
    given = _arguments()
    began = time.monotonic()
    torch.set_num_threads(1)  # a second thread makes the windows
    _tell_missing()
    files = recordings(given.recordings)
    spoken, sentences = synthesised(DIGITS, DECOYS, SENTENCES, given.seed)
    print(f"{len(files)} recordings, {len(spoken)} words, {len(sentences)} sentences: {_minutes(began)}", flush=True)
    prompted, prompts_read = prompts()
    known = [recorded(file) for file in files if speaker_of(file) != given.hold_out]
    effort = Effort(given.steps, given.seed)
    kept = {
        "synthetic": sentences[-KEPT_SENTENCES:],
        "Russian": [w for w in prompts_read if w.speaker == KEPT_VOICE],
        **played(),
    }
    read = [word for word in prompts_read if word.speaker != KEPT_VOICE]
    network = _trained(known + prompted, spoken, sentences[:-KEPT_SENTENCES] + read, effort)
    print(f"trained: {_minutes(began)}", flush=True)
    golden = evaluation.placed(next(word.sound for word in spoken if word.digit == 5), "middle")
    unknown = [recorded(file, whole=True) for file in files if speaker_of(file) == given.hold_out]
    with tempfile.TemporaryDirectory() as scratch:
        trial = export.write(Path(scratch) / "trial", network, golden, THRESHOLDS[0], "not written yet")
        choice = choose(trial, {name: talk(each, given.seed) for name, each in kept.items() if each})
        trial = export.write(Path(scratch), network, golden, choice.threshold, "not written yet")
        page = card.text(given.hold_out, card.measure(trial, unknown, given.speech, choice, given.seed), effort)
    bundle = export.write(given.output, network, golden, choice.threshold, page)
    print(page)
    print(f"{bundle.manifest.name} {bundle.manifest.digest} in {bundle.folder}: {_minutes(began)}")


def _tell_missing() -> None:
    if absent := missing():
        print(f"not installed, so that their voices are left out: {', '.join(absent)} (see spoken_digits/voices.py)")
    if not ENGLISH.is_dir():
        print(f"{ENGLISH} is not there: no woman's voice, no real speech without digits (see spoken_digits/prompts.py)")
    for game in (HEDGEWARS, WARZONE):
        if not game.exists():
            print(f"{game} is not there: the threshold is chosen with less English (see spoken_digits/games.py)")


def _trained(known: list[Word], spoken: list[Word], sentences: list[Word], effort: Effort) -> Recogniser:
    """`known`: of people; `spoken`: of synthesisers."""
    dice = np.random.default_rng(effort.seed)
    few = [word for word in known if word.speaker not in SPEAKERS]
    known = _with_variations(known, RECORDED_VARIATIONS, dice) + _with_variations(few, FEW_VARIATIONS, dice)
    spoken = _with_variations(spoken, SPOKEN_VARIATIONS, dice)
    sentences = sentences + [replace(word, sound=resized(word.sound, dice)) for word in sentences]
    surroundings = Surroundings(sentences, dice)
    return train(Scenes(known, spoken, sentences, dice), surroundings, effort)


def _with_variations(words: list[Word], times: int, dice: np.random.Generator) -> list[Word]:
    return words + [replace(word, sound=varied(word.sound, dice)) for word in words for _ in range(times)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Makes the model spoken-digits.")
    parser.add_argument("recordings", type=Path, help="folder of <digit>_<speaker>_<number>.wav")
    parser.add_argument("--output", type=Path, required=True, help="folder that gets spoken-digits/1; must not have it")
    parser.add_argument("--hold-out", default=HELD_OUT, choices=SPEAKERS, help=f"speaker that is tested ({HELD_OUT})")
    parser.add_argument("--speech", type=Path, help="speech without digits, for the rate of false alarms only")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"training steps ({STEPS}); fewer for a trial")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    there = given.output / export.NAME / export.VERSION
    if there.exists():
        sys.exit(f"{there} is there already: name another folder, or remove it")
    return given


def _minutes(began: float) -> str:
    return f"{(time.monotonic() - began) / 60:.1f} minutes"


if __name__ == "__main__":
    main()
