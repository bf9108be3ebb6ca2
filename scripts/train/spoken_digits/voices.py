"""Every free speech synthesiser that Debian packages, behind one face: a text, a voice, a file.

    apt-get install espeak-ng flite festival festvox-kallpc16k festvox-kdlpc16k festvox-us-slt-hts festvox-italp16k \\
        festvox-itapc16k festvox-suopuhe-lj festvox-suopuhe-mv
    apt-get install libttspico-utils rhvoice rhvoice-english        (section non-free)

What is not installed is left out, and said so.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

WORKERS = 4
TIMEOUT_S = 300
_AT_ONCE = 20
"""Utterances of one run of Festival; a text that one of its voices dies of takes no more than these with it."""


@dataclass(frozen=True, slots=True)
class Voice:
    """One speaker of one synthesiser."""

    synthesiser: str
    name: str
    language: str = "en"
    """Of its spelling rules; see words.ACCENTS for what it is given to read."""

    def __str__(self) -> str:
        return f"{self.synthesiser}:{self.name}"


@dataclass(frozen=True, slots=True)
class Utterance:
    """Something to be said."""

    text: str
    voice: Voice
    tempo: float
    """1 is the voice's own; 1.5 is half as fast again."""
    pitch: float
    """1 is the voice's own."""


_ESPEAK_ENGLISH = (
    "en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-us-nyc",
)  # fmt: skip
_ESPEAK_ACCENTS = ("de", "fr", "es", "it", "fi", "hi", "ru", "el", "pl", "pt-br", "tr")
_ESPEAK_VARIANTS = """
    Alex Alicia Andrea Andy Annie AnxiousAndy Denis Diogo Gene Gene2 Henrique Hugo Jacky Lee Marco Mario Michael Mike
    Nguyen Storm Tweaky adam anika announcer antonio aunty belinda benjamin boris caleb david ed edward edward2 f1 f2 f3
    f4 f5 grandma grandpa gustave iven iven2 iven3 iven4 john kaukovalta klatt klatt2 klatt3 klatt4 linda m1 m2 m3 m4 m5
    m6 m7 m8 marcelo max michel miguel norbert pablo paul pedro quincy rob robert sandro shelby steph steph2 steph3
    travis victor zac
"""

_OTHERS = (
    *(Voice("flite", name) for name in ("kal", "awb", "rms", "slt")),
    *(Voice("festival", name) for name in ("kal_diphone", "ked_diphone", "cmu_us_slt_arctic_hts")),
    *(Voice("festival", name, "it") for name in ("lp_diphone", "pc_diphone")),
    *(Voice("festival", name, "fi") for name in ("suo_fi_lj_diphone", "hy_fi_mv_diphone")),
    *(Voice("pico2wave", name) for name in ("en-US", "en-GB")),
    *(Voice("pico2wave", name, name[:2]) for name in ("de-DE", "fr-FR", "es-ES", "it-IT")),
    *(Voice("RHVoice-test", name) for name in ("alan", "bdl", "clb", "slt")),
)
_PROGRAMS = {"espeak-ng", *(voice.synthesiser for voice in _OTHERS)}


def missing() -> list[str]:
    """Programs that are not installed here."""
    return sorted(program for program in _PROGRAMS if shutil.which(program) is None)


def voices(dice: random.Random) -> Iterator[Voice]:
    """Without end: half of them one of eSpeak NG's many, half recorded ones, an eighth with a foreign accent."""
    absent = set(missing())
    recorded = [voice for voice in _OTHERS if voice.synthesiser not in absent]
    while recorded or "espeak-ng" not in absent:
        if "espeak-ng" in absent or (recorded and dice.random() < 0.55):
            yield dice.choice(recorded)
            continue
        language = dice.choice(_ESPEAK_ACCENTS) if dice.random() < 0.25 else "en"
        accent = dice.choice(_ESPEAK_ENGLISH) if language == "en" else language
        yield Voice("espeak-ng", f"{accent}+{dice.choice(_ESPEAK_VARIANTS.split())}", language)
    raise SystemExit("no speech synthesiser is installed: see the top of voices.py for the packages")


def say_all(utterances: Sequence[Utterance], folder: Path) -> list[Path | None]:
    """A WAV file for each utterance, of any rate; None where the synthesiser made none."""
    paths = [folder / f"{number:06d}.wav" for number in range(len(utterances))]
    with ThreadPoolExecutor(WORKERS) as pool:
        alone = [(u, p) for u, p in zip(utterances, paths, strict=True) if u.voice.synthesiser != "festival"]
        list(pool.map(lambda job: _PROGRAM[job[0].voice.synthesiser](*job), alone))
    together = sorted(
        ((u, p) for u, p in zip(utterances, paths, strict=True) if u.voice.synthesiser == "festival"),
        key=lambda job: job[0].voice.name,
    )
    for first in range(0, len(together), _AT_ONCE):
        _festival(together[first : first + _AT_ONCE])
    return [path if path.is_file() and path.stat().st_size > 1000 else None for path in paths]


def _run(*command: str, said: str = "") -> None:
    """A synthesiser that stumbles over one text leaves no file, which `say_all` tells."""
    subprocess.run(command, input=said.encode(), capture_output=True, timeout=TIMEOUT_S, check=False)


def _espeak(u: Utterance, path: Path) -> None:
    pitch = max(0, min(99, round(50 + 100 * (u.pitch - 1))))
    _run("espeak-ng", "-v", u.voice.name, "-s", f"{160 * u.tempo:.0f}", "-p", str(pitch), "-w", str(path), u.text)


def _flite(u: Utterance, path: Path) -> None:
    hertz = {"slt": 170.0}.get(u.voice.name, 110.0) * u.pitch
    _run(
        "flite", "-voice", u.voice.name, "--setf", f"duration_stretch={1 / u.tempo:.3f}",
        "--setf", f"int_f0_target_mean={hertz:.0f}", "-t", u.text, "-o", str(path),
    )  # fmt: skip


def _pico(u: Utterance, path: Path) -> None:
    marked = f'<speed level="{100 * u.tempo:.0f}"><pitch level="{100 * u.pitch:.0f}">{escape(u.text)}</pitch></speed>'
    _run("pico2wave", "-l", u.voice.name, "-w", str(path), marked)


def _rhvoice(u: Utterance, path: Path) -> None:
    _run(
        "RHVoice-test", "-p", u.voice.name, "-r", f"{100 * u.tempo:.0f}", "-t", f"{100 * u.pitch:.0f}",
        "-o", str(path), said=u.text,
    )  # fmt: skip


def _festival(jobs: Sequence[tuple[Utterance, Path]]) -> None:
    """One run for several of them: starting it costs more than speaking. It has no pitch to turn."""
    lines = ["(define (say voice text stretch file) (voice) (Parameter.set 'Duration_Stretch stretch)"]
    lines += ["  (let ((u (eval (list 'Utterance 'Text text)))) (utt.synth u) (utt.save.wave u file 'riff)))"]
    for u, path in jobs:
        lines += [f'(unwind-protect (say voice_{u.voice.name} "{u.text}" {1 / u.tempo:.3f} "{path}"))']
    with tempfile.NamedTemporaryFile("w", suffix=".scm", encoding="latin-1") as script:
        script.write("\n".join(lines))
        script.flush()
        _run("festival", "-b", script.name)


_PROGRAM: dict[str, Callable[[Utterance, Path], None]] = {
    "espeak-ng": _espeak,
    "flite": _flite,
    "pico2wave": _pico,
    "RHVoice-test": _rhvoice,
}
