"""The trained network as a bundle: two graphs, a golden window, a model card."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from spoken_digits.bank import RATE_HZ, Sound
from spoken_digits.graphs import recogniser_graph, spectrogram_graph
from spoken_digits.network import Recogniser
from spoken_digits.scenes import LABELS, WINDOW

from engines.bundle import Bundle, write_bundle
from engines.digest import of_bytes
from engines.engine import Array
from engines.manifest import AudioInput, Decoder, Manifest, Stage
from engines.onnxrt import OnnxEngine

NAME, VERSION = "spoken-digits", "1"
HOP = RATE_HZ // 10
CARD, NOTICE = "MODEL_CARD.md", "NOTICE"
SMOOTH_MS, LOWER_BY, REST_MS = 600, 0.4, 200
"""Of the decoder. A word that is said on its own is heard in about eight windows one after the other, all of them about
as sure; what running speech has in common with a digit comes and goes. So six of them must be sure, each for itself."""
PAUSE_MS, FAINT_DB = 200, 25
"""Of the decoder. A syllable of running speech that is as good as a digit has no such pause around it, and a breath is
fainter; of people's words none was lost, up to 20 dB apart in level and in noise down to 5 dB below them."""

ATTRIBUTION = """\
spoken-digits, a model that hears the English digits. Licence: CC BY-SA 4.0,
https://creativecommons.org/licenses/by-sa/4.0/

Its weights were learned from, and are an adaptation of:

- Free Spoken Digit Dataset, (c) Zohar Jackson and contributors, CC BY-SA 4.0,
  https://github.com/Jakobovski/free-spoken-digit-dataset
- Asterisk core sounds, CC BY-SA 3.0: English and Spanish (c) 2003-2010 Allison Smith, French (c) 2006-2008 June
  Wallack; CC BY 3.0: Italian (c) 2012 Carlo Flora; https://downloads.asterisk.org/pub/telephony/sounds/

None of the recordings is part of it. Changed: cut into windows, varied in pitch, tempo, level and band, mixed with
noise and synthetic speech, and learned from. Nothing was learned from the Russian prompts of Asterisk, (c) 2010 Maxim
Topal, CC BY 3.0: only the threshold was chosen with them.
"""


def write(folder: Path, network: Recogniser, golden: Sound, threshold: float, card: str) -> Bundle:
    """The bundle under `folder`/spoken-digits/1, which must not be there. `golden`: (WINDOW,), with a word in it."""
    files = {"spectrogram.onnx": spectrogram_graph(), "recogniser.onnx": recogniser_graph(network)}
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        for name, content in files.items():
            (place / name).write_bytes(content)
        given = {"sound": golden[np.newaxis]}
        with OnnxEngine(place / "spectrogram.onnx") as first, OnnxEngine(place / "recogniser.onnx") as second:
            bands = {name: np.array(value) for name, value in first.run(given).items()}
            scores = {name: np.array(value) for name, value in second.run(bands).items()}
        further = {"golden/input.npz": _packed(given), "golden/output.npz": _packed(bands | scores)}
        further |= {CARD: card.encode(), NOTICE: ATTRIBUTION.encode()}
        sources = {}
        for number, (name, content) in enumerate((files | further).items()):
            sources[name] = place / f"source{number}"
            sources[name].write_bytes(content)
        made = _manifest(
            [Stage(name=Path(name).stem, file=name, digest=of_bytes(content)) for name, content in files.items()],
            {name: of_bytes(content) for name, content in further.items()},
            threshold,
        )
        return write_bundle(folder / NAME / VERSION, made, sources)


def _manifest(stages: list[Stage], files: Mapping[str, str], threshold: float) -> Manifest:
    options = {
        "background": "silence,unknown",
        "smooth_ms": SMOOTH_MS,
        "smooth_by": "least",
        "lower_by": LOWER_BY,
        "rest_ms": REST_MS,
        "pause_ms": PAUSE_MS,
        "faint_db": FAINT_DB,
    }
    return Manifest.model_validate(
        {
            "name": NAME,
            "version": VERSION,
            "task": "audio-labels",
            "labels": LABELS,
            "input": AudioInput(tensor="sound", rate_hz=RATE_HZ, samples=WINDOW, hop=HOP),
            "stages": tuple(stages),
            "decoder": Decoder(name="keywords", threshold=threshold, options=options),
            "files": dict(files),
            "about": {
                "what": "hears the English words zero to nine, each once; silence and unknown are everything else",
                "author": "the appliance's own script scripts/train/make_spoken_digits.py",
                "licence": f"CC BY-SA 4.0, as the recordings it learned from; see {NOTICE}",
                "data": "recordings of github.com/Jakobovski/free-spoken-digit-dataset (CC BY-SA 4.0), prompts of "
                f"Asterisk (CC BY-SA 3.0, CC BY 3.0) and synthetic speech; see {CARD}",
            },
        }
    )


def _packed(arrays: Mapping[str, Array]) -> bytes:
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]  # names of arrays, not options
    return packed.getvalue()
