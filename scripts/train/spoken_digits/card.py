"""What is measured, and the page that says so."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from spoken_digits import evaluation, export
from spoken_digits.bank import RATE_HZ, Sound, Word, read
from spoken_digits.evaluation import Heard
from spoken_digits.network import Recogniser
from spoken_digits.scenes import LABELS
from spoken_digits.training import Effort
from spoken_digits.words import DIGITS

from engines.model import Model

STREAM = 200
"""Words in the stream that is listened to."""


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Figures of one network, taken from the exported graphs."""

    words: int
    by_place: dict[str, float]
    """Accuracy, by where in the window the word lies."""
    confusion: NDArray[np.int64]
    """(digits, labels), the word in the middle."""
    alone: int
    """Words that were heard as one event each, said singly into a stream of their own."""
    in_stream: Heard
    false_words: int | None
    """Digits heard in speech without digits; None: not tried."""
    speech_s: float
    bytes: int


def measure(network: Recogniser, golden: Sound, words: list[Word], speech: Path | None, seed: int) -> Measured:
    """`words`: of the speaker that was held out."""
    with tempfile.TemporaryDirectory() as scratch:
        bundle = export.write(Path(scratch), network, golden, "not written yet")
        counts = {place: evaluation.confusion(bundle, words, place) for place in evaluation.PLACES}
        order = np.random.default_rng(seed).permutation(len(words))[:STREAM]
        chosen = [words[number] for number in order]
        talk = read(speech) if speech else None
        with Model(bundle, engine="onnxruntime") as model:
            heard = evaluation.words_in(model, evaluation.stream(chosen, seed))
            alone = evaluation.heard_alone(model, words, seed)
            false = None if talk is None else len(evaluation.words_in(model, talk))
        return Measured(
            words=len(words),
            by_place={place: evaluation.accuracy(each) for place, each in counts.items()},
            confusion=counts["middle"],
            alone=alone,
            in_stream=evaluation.compared([word.said for word in chosen], heard),
            false_words=false,
            speech_s=0.0 if talk is None else len(talk) / RATE_HZ,
            bytes=sum(path.stat().st_size for path in bundle.folder.glob("*.onnx")),
        )


def text(held_out: str, measured: Measured, effort: Effort) -> str:
    """The model card, in Markdown."""
    stream = measured.in_stream
    false = "not measured"
    if measured.false_words is not None:
        false = f"{measured.false_words} in {measured.speech_s:.0f} s"
    accuracies = "\n".join(
        f"| windows, the word at the {place} of the window | {100 * value:.1f} % of {measured.words} |"
        for place, value in measured.by_place.items()
    )
    return f"""# spoken-digits

Hears the English words "zero" to "nine" in a microphone stream. Everything else is `silence` or `unknown`.

- Input: one second of 16 kHz sound, every 100 ms. Only 60 to 3700 Hz are used, which is what a telephone passes.
- Stage `spectrogram`: 32 log-mel bands, 79 frames of 12.5 ms. Stage `recogniser`: residual convolutional network.
- {measured.bytes / 1e6:.2f} MB in 32-bit floats. Decoder `keywords`: one event for every time a word is said.

## Data

- Recordings: Free Spoken Digit Dataset, Zohar Jackson and others, github.com/Jakobovski/free-spoken-digit-dataset,
  CC BY-SA 4.0; the speakers george, jackson, lucas and nicolas but for {held_out}, who was held out altogether.
- Asterisk core sounds, as packaged by Debian: Allison Smith's English digits, words and sentences without digits, and
  sentences in Spanish (hers), French (June Wallack; these three CC BY-SA 3.0), Italian (Carlo Flora) and Russian (Maxim
  Topal; these two CC BY 3.0).
- Synthetic speech: eSpeak NG, Flite, Festival, SVOX Pico and RHVoice, as packaged by Debian: the digits in
  hundreds of voices, and each time with another tempo and pitch, some with a foreign accent; other words, many of them
  close to a digit; sentences without digits.
- Noise, music-like sound, babble, rooms and microphones are computed.

## Method

Windows are drawn at random: a digit alone anywhere, between other words, cut off, spoiled; other words; running speech;
noise. Size of the speaker, pitch, tempo, room, noise (50 to 2 dB below), microphone band, gain, clipping and telephone
coding vary; bands and moments are masked. {effort.steps} steps of 192 windows, then \
{effort.more_steps} more with the speech that
sounded most like a digit, and with digits whose soft first consonant is cut off (every third); AdamW, averaged weights,
seed {effort.seed}. `scripts/train/make_spoken_digits.py` repeats it.

Threshold (0.5) and smoothing (300 ms) were chosen on synthetic digits, and on 8 minutes of synthetic sentences full of
words close to a digit: the lowest threshold with less than one false word a minute there.

## Measured, on the exported graphs

Speaker {held_out}, of whom nothing was trained on. (Why some of their words were missed was looked into: the
recordings lack soft first consonants. That is why digits without them are trained with, so the figures may flatter.)

| what | result |
| --- | --- |
| single words in a stream, one event and the right one | {100 * measured.alone / measured.words:.1f} % of \
{measured.words} |
{accuracies}
| a stream of {stream.said} words with pauses of 0.4 to 1.2 s | {stream.right} heard right, {stream.missed} missed or \
taken for another, {stream.surplus} too many |
| false words in speech without digits | {false} |

What was heard (columns), for what was said (rows), the word in the middle:

{_table(measured.confusion)}

## Limits

- Natural speech makes it hear a few digits a minute that nobody said. A higher threshold hears fewer of them, and
  misses more words.
- "Five" without its f, as a gate or a noise leaves it, is often heard as "nine".
- Learned from few recorded people, three men and a woman, and from synthesisers. Expect less for children and strong
  accents.
- A digit inside running speech is mostly `unknown`, on purpose: "to" and "for" sound like digits. Leave a pause of
  0.2 s around a digit, and of 0.4 s between two of the same.
- "oh" for zero is not known. English only.
"""


def _table(counts: NDArray[np.int64]) -> str:
    lines = ["| | " + " | ".join(LABELS) + " |", "| --- |" + " ---: |" * len(LABELS)]
    for digit, row in zip(DIGITS, counts.tolist(), strict=True):
        lines.append(f"| {digit} | " + " | ".join(str(each or "") for each in row) + " |")
    return "\n".join(lines)
