"""C9: what listening costs.

The goals compare a step of the model - spectrogram, network, answer - with a loop that recomputes its spectrogram with
librosa; neither hands anything to another thread or writes a document. What the whole appliance takes stands beside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from capture.samples import AudioWindow, Stamp
from engines.bundle import Bundle, write_bundle
from engines.digest import of_file
from engines.engine import EngineError
from engines.manifest import AudioInput, Decoder, Manifest, Stage
from engines.model import Model
from scripts.benchmarks import keywords
from scripts.benchmarks.bench import Bench
from scripts.benchmarks.goals import Figure, missing
from scripts.benchmarks.lockstep import Lockstep
from scripts.benchmarks.material import Unavailable
from scripts.benchmarks.subject import bare_session
from scripts.benchmarks.timing import Timed, Turn, take_turns, turn

GOALS = ("C9",)
OF_LIBROSA, REAL_TIME, SAME = 0.45, 0.005, 1e-4
STEP_MS = 100.0
SECONDS = 5

Sound = npt.NDArray[np.float32]


def measure(bench: Bench) -> list[Figure]:
    bench.say("  sound")
    folder = bench.room("sound")
    bundle = _bundle(folder)
    sound = _sound()
    what = "a 100 ms step over recomputing with librosa"
    with ExitStack() as stack:
        lockstep = stack.enter_context(Lockstep(bundle, lambda: Listening(sound), 1, sensor=False))
        model = stack.enter_context(Model(bundle, threads=1))
        hear = _hearing(model, sound)
        plain = _plain(keywords.write_network(folder / "network.onnx"), sound)
        alternatives: dict[str, Callable[[int], Turn]] = {
            "bare engine": lambda count: turn(model.run_bare, count),
            "model": lambda count: turn(hear, count),
            "appliance": lockstep.turn,
            "plain loop": lambda count: turn(plain, count),
        }
        reason = bench.no_peer
        if bench.peer is not None:
            try:
                alternatives["librosa"] = _librosa(bench, stack, folder, sound)
            except Unavailable as error:
                reason = str(error)
        timed = take_turns(alternatives, rounds=bench.extent.rounds, count=bench.extent.sound_steps)
    return [*_costs(timed), *_against_librosa(timed, what, reason), _same(bundle, sound)]


def _sound() -> Sound:
    """Tones that come and go in noise, float32."""
    seconds = np.arange(SECONDS * keywords.RATE_HZ) / keywords.RATE_HZ
    noise = np.random.default_rng(0).normal(0, 0.05, len(seconds))
    return (0.3 * np.sin(2 * np.pi * (300 + 200 * seconds) * seconds) * np.sin(3 * seconds) + noise).astype(np.float32)


def _bundle(folder: Path) -> Bundle:
    network = keywords.write_stream(folder / "keywords.onnx")
    history = (1, keywords.FRAMES - keywords.NEW, keywords.BANDS)
    manifest = Manifest(
        name="keywords",
        version="1",
        task="audio-labels",
        labels=keywords.LABELS,
        input=AudioInput(
            tensor="sound",
            rate_hz=keywords.RATE_HZ,
            samples=keywords.STEP,
            hop=keywords.STEP,
            context=keywords.CONTEXT,
            state={"kept": "history"},
            state_shapes={"history": history},
        ),
        stages=(Stage(name="network", file="network.onnx", digest=of_file(network)),),
        decoder=Decoder(name="audio-labels", threshold=0.3, options={"output": "scores"}),
    )
    return write_bundle(folder / "bundle", manifest, {"network.onnx": network})


class Listening:
    """A source of sound that is in memory already, 100 ms at a time, again and again."""

    live = True
    description = "sound in memory"
    name = "camera"

    def __init__(self, sound: Sound) -> None:
        self._sound = sound
        self._closed = False

    def __enter__(self) -> Listening:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __iter__(self) -> Iterator[AudioWindow]:
        seq = 0
        while not self._closed:
            at = seq * keywords.STEP
            start = at % (len(self._sound) - keywords.STEP)
            stamp = Stamp.now()
            samples = self._sound[start : start + keywords.STEP].copy()
            yield AudioWindow(self.name, seq, stamp, samples, keywords.RATE_HZ, 0, stamp.mono_ns, start=at)
            seq += 1

    def close(self) -> None:
        self._closed = True


def _hearing(model: Model, sound: Sound) -> Callable[[], object]:
    """The next 100 ms of one stream."""
    stream = model.new_stream()
    blocks = iter(Listening(sound))

    def step() -> object:
        answer = model.predict([next(blocks).samples], streams=[stream])[0]
        if isinstance(answer, EngineError):
            raise answer
        return answer

    step()  # before the engine is run alone: it takes what is there then
    return step


def _plain(network: Path, sound: Sound) -> Callable[[], object]:
    """A second of spectrogram anew for every 100 ms, with NumPy."""
    session = bare_session(str(network), threads=1)
    ends = iter(range(keywords.RATE_HZ, 1 << 62, keywords.STEP))

    def step() -> object:
        last = keywords.RATE_HZ + next(ends) % (len(sound) - keywords.RATE_HZ)
        mel = keywords.log_mel(sound[last - keywords.RATE_HZ : last])
        return session.run(None, {"mel": mel[np.newaxis, np.newaxis]})

    return step


def _librosa(bench: Bench, stack: ExitStack, folder: Path, sound: Sound) -> Callable[[int], Turn]:
    assert bench.peer is not None
    np.save(folder / "sound.npy", sound)
    serving = stack.enter_context(bench.peer.serve())
    serving.ask(
        "sound",
        network=str(folder / "network.onnx"),
        rate_hz=keywords.RATE_HZ,
        window=keywords.WINDOW,
        hop=keywords.HOP,
        bins=keywords.BINS,
        bands=keywords.BANDS,
        pcm=str(folder / "sound.npy"),
    )
    return lambda count: serving.turn("listen", count)


def _costs(timed: dict[str, Timed]) -> list[Figure]:
    figures = []
    for name, each in timed.items():
        what = f"{name}: CPU time over the time that is heard"
        details = {"cpu_ms": each.cpu_ms, "wall_p50_ms": each.wall_ms}
        most = REAL_TIME if name == "model" else None
        figures.append(Figure("C9", what, each.cpu_ms / STEP_MS, "", most=most, details=details))
    return figures


def _against_librosa(timed: dict[str, Timed], what: str, reason: str) -> list[Figure]:
    if "librosa" not in timed:
        return [missing("C9", what, reason)]
    return [Figure("C9", what, timed["model"].ratio(timed["librosa"]), "x", most=OF_LIBROSA)]


def _same(bundle: Bundle, sound: Sound) -> Figure:
    """The spectrogram that the stream has gathered, against that of the whole sound at once."""
    with Model(bundle, threads=1) as model:
        stream = model.new_stream()
        steps = len(sound) // keywords.STEP
        for number in range(steps):
            answer: Any = model.predict(
                [sound[number * keywords.STEP : (number + 1) * keywords.STEP]], streams=[stream]
            )[0]
            if isinstance(answer, EngineError):
                raise answer
        gathered = stream.state["history"][0]
    whole = keywords.log_mel(np.concatenate([np.zeros(keywords.CONTEXT, np.float32), sound]))[-len(gathered) :]
    distance = float(np.abs(gathered - whole).max())
    return Figure("C9", "streaming log-mel against all at once: largest difference", distance, "", most=SAME)
