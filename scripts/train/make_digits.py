#!/usr/bin/env python3
"""Makes the model `digits`, which finds and reads digits in pictures, from nothing but free fonts and our own renderer.

    apt-get install --no-install-recommends $(python3 scripts/train/make_digits.py --packages)
    pip install numpy==2.4.6 torch==2.13.0 opencv-python-headless pillow onnx onnxruntime pydantic
    python scripts/train/make_digits.py                   writes appliance/bundles/digits/1, which must be gone
    python scripts/train/make_digits.py --into FOLDER     writes FOLDER/digits/1

Scenes are rendered by worker processes, the detector is trained on the CPU, exported, and judged through the
appliance's own engine and decoder on scenes with fonts that neither training nor any decision has seen. The model card
in the bundle is written from what was measured. Two processor cores need about forty minutes. The first
line needs nothing but a bare python3; the others want Python 3.11 or newer, as this NumPy does.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

logger = logging.getLogger("make_digits")

SCENES, STEPS, CHOOSING, JUDGED = 28_000, 16_000, 1_000, 1_500
"""Scenes to train on, steps of the training, scenes to choose the threshold on, and to judge with."""


def main() -> None:
    options = _options()
    if options.packages:
        from digits.packages import CHOOSING, TESTING, TRAINING

        print(*(f"fonts-{package}" for package in sorted({*TRAINING, *CHOOSING, *TESTING})))
        return
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    folder = options.into / "digits" / "1"
    if folder.exists():
        raise SystemExit(f"{folder}: there is something already; remove it first, or choose another place with --into")
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        _make(folder, options, Path(scratch))


def _make(folder: Path, options: argparse.Namespace, scratch: Path) -> None:
    import numpy as np
    from digits import card, export
    from digits.dataset import rendered
    from digits.evaluate import best_threshold, looked, scored
    from digits.training import Recipe, train

    started = time.monotonic()
    data = rendered("training", options.scenes, options.seed, scratch, options.workers)
    logger.info("%d scenes rendered after %.1f minutes", options.scenes, (time.monotonic() - started) / 60)
    recipe = Recipe(options.steps)
    network = export.network(train(data, recipe, options.seed, scratch))
    choosing = rendered("choosing", options.choosing, options.seed, scratch, options.workers)
    judged = rendered("testing", options.judged, options.seed, scratch, options.workers)
    golden = np.array(judged.pixels[0])
    draft = export.bundle(scratch / "draft", network, golden, threshold=0.4, card="A draft.\n", about={})
    threshold = best_threshold(looked(draft, choosing), choosing)
    seen = looked(draft, judged)
    scores = scored(seen, judged, threshold)
    others = {each: scored(seen, judged, each) for each in card.OTHER_THRESHOLDS}
    story = card.Story(
        scenes=options.scenes,
        recipe=recipe,
        seed=options.seed,
        minutes=(time.monotonic() - started) / 60,
        processor_minutes=sum(os.times()[:4]) / 60,
        machine=f"two processes on {platform.machine()}",
        network_bytes=len(network),
        threshold=threshold,
        judged=options.judged,
    )
    text = card.written(story, scores, others)
    made = export.bundle(folder, network, golden, threshold=threshold, card=text, about=card.ABOUT)
    logger.info("%s in %s", made.manifest.digest, made.folder)
    print(text)


def _options() -> argparse.Namespace:
    cores = len(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description="Trains the model `digits`.")
    parser.add_argument("--packages", action="store_true", help="print the Debian packages of the fonts, and end")
    parser.add_argument("--into", type=Path, default=ROOT / "appliance" / "bundles")
    parser.add_argument("--scratch", type=Path, help="where some gigabytes of scenes may lie (default: as TMPDIR says)")
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--choosing", type=int, default=CHOOSING)
    parser.add_argument("--judged", type=int, default=JUDGED)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=cores, help="processes that render (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
