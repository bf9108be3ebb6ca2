"""The model card: what a person should know before trusting the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from digits.evaluate import BESIDE, MOST_STRAY, Scores
from digits.network import Detector
from digits.readable import LEAST_CONTRAST, LEAST_LIKENESS
from digits.scene import NARROWEST, SIDE, SMALLEST_PX
from digits.training import Recipe

ABOUT = {
    "licence": "Apache-2.0",
    "author": "the appliance's own script scripts/train/make_digits.py",
    "data": "scenes rendered by us from free fonts of Debian; no photographs",
    "what": "finds and reads the digits 0 to 9: meters, displays, counters, labels, paper",
    "limits": "upright digits of at least 12 pixels in 320; see MODEL_CARD.md",
}
OTHER_THRESHOLDS = (0.4, 0.5, 0.6, 0.7)
"""That the card tells about as well."""
WORDS = {
    "dots": "dot matrix displays",
    "drums": "mechanical counters, rolling",
    "hand": "handwriting-like fonts",
    "licence": "licence plates",
    "print": "print, labels, screens",
    "scale": "numbers on scales and dials",
    "segments": "seven segments, LCD and LED",
    "single": "one digit, cropped",
    "strip": "one display or line, cropped",
    "view": "digits somewhere in a picture",
}


@dataclass(frozen=True, slots=True)
class Story:
    """How the model came about."""

    scenes: int
    recipe: Recipe
    seed: int
    minutes: float
    processor_minutes: float
    """Of all processes together."""
    machine: str
    network_bytes: int
    threshold: float
    judged: int


def written(story: Story, scores: Scores, others: Mapping[float, Scores]) -> str:
    """The card, as Markdown. `others`: the scores at other thresholds."""
    weights = sum(parameter.numel() for parameter in Detector().parameters())
    rows = [
        f"| {WORDS[name]} | {100 * read.digits_right:.1f} % | {100 * read.strings_right:.1f} % | {read.strings} |"
        for table in (scores.by_style, scores.by_kind)
        for name, read in table.items()
    ]
    return _CARD.format(
        story=story,
        weights=weights,
        pictures=story.recipe.steps * story.recipe.batch,
        side=SIDE,
        smallest=int(SMALLEST_PX),
        contrast=LEAST_CONTRAST,
        likeness=LEAST_LIKENESS,
        digits_right=100 * scores.reading.digits_right,
        strings_right=100 * scores.reading.strings_right,
        understood=100 * scores.understood,
        scores=scores,
        narrowest=NARROWEST,
        stray=MOST_STRAY,
        beside=BESIDE,
        rows="\n".join(rows),
        others="\n".join(_at(threshold, told) for threshold, told in sorted(others.items())),
    )


def _at(threshold: float, scores: Scores) -> str:
    """A row of the table of thresholds."""
    digits, strings = 100 * scores.reading.digits_right, 100 * scores.reading.strings_right
    return f"| {threshold} | {digits:.1f} % | {strings:.1f} % | {scores.stray:.2f} | {100 * scores.understood:.1f} % |"


_CARD = """\
# digits

Finds the digits 0 to 9 in a picture: a box, a class and a score for each. Read from left to right they are the number
on a meter, a display, a counter, a label.

## Model

One-stage, anchor-free detector: plain 3 x 3 convolutions with residual blocks, features at 1/4 to 1/32 of the input,
answers on grids of 4, 8 and 16 pixels. {weights} weights, {story.network_bytes} bytes of ONNX in FP32.
Input {side} x {side}, letterboxed. Licence Apache-2.0.

## Data

Nothing but scenes rendered by `scripts/train/digits`: free fonts from Debian's packages (named in `fonts.py`), seven
segments, dot matrices and drum counters drawn by geometry; colours, textures, perspective, blur, noise, glare, shadow,
low light, JPEG; clutter without digits. No photograph was used, neither to train nor to judge.
A scene in whose shot a digit can no longer be told from its background is taken again in better light
(`readable.py`), in training as in the judgement. {story.scenes} scenes made {pictures} pictures
in {story.recipe.steps} batches: many displays on a sheet, windows of larger scenes, and at the end the scenes as they
are; other sizes and colours each time. Seed {story.seed}. Rendered, trained and judged in {story.minutes:.0f} minutes
with {story.processor_minutes:.0f} minutes of processor time ({story.machine}).

## Accuracy

On {story.judged} rendered scenes with fonts of packages of which nothing was used in training, DSEG's seven segments
among them (half of the seven-segment displays and the common 5 by 7 dot pattern are drawn by the same code as in
training, with other proportions). Every digit drawn counts: all are at least {smallest} pixels tall in the picture as
it was taken, and the shot keeps a contrast of {contrast} of 255 at them and a correlation with the drawing of
{likeness} (`readable.py`):

- reading accuracy {digits_right:.1f} % of digits (1 less the edit distance per digit),
- {strings_right:.1f} % of strings read exactly (every digit of a display, counter or line right, none too many): the
  figure that a user notices, for one wrong digit spoils a number,
- mAP50 {scores.map50:.3f} (a narrow digit's box is taken as {narrowest} of its height wide),
- {scores.stray:.2f} false digits per picture that has none,
- {understood:.1f} % of scenes with every string right and nothing else found.

All at the bundle's threshold {story.threshold}, of which {beside:.0%} is enough for a digit that stands in a line
with one that reaches it. It was chosen on other scenes with other fonts: of those with at most {stray} false digits per
picture that has none (a wall, machines, words, much of which looks like digits) the one with which most strings are
read exactly. A higher one reads less and makes up less:

| threshold | digits read right | strings read exactly | false digits per picture without | scenes without a mistake |
| --- | --- | --- | --- | --- |
{others}

| strings | digits read right | strings read exactly | of |
| --- | --- | --- | --- |
{rows}

How all this is counted stands at the head of `scripts/train/digits/evaluate.py`.

## Made again

`scripts/train/make_digits.py` makes it from nothing. Every draw is seeded, the scenes are the same however many
processes render them, and the two processes that learn exchange their gradients in a fixed order. Processors round
differently (where one multiplies bfloat16 itself, the convolutions of the training use it), so weights and figures
differ a little from machine to machine.

## Limits

- Digits less than about {smallest} pixels tall in the {side} pixels that the network sees: crop the meter, or add
  a closer camera.
- Turned by more than about 20 degrees, or upside down: rotate the camera in the configuration.
- A drum between two digits is given as the one that shows most; one that shows less than about 60 % may be missed.
- Letters that look like digits (O, I, l, S, B in some types) may be read as digits. No decimal points, no signs.
- Photographs differ from rendered scenes: measure on your own before you trust it.
"""
