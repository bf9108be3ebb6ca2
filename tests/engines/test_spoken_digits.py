"""The model that comes with the appliance and hears digits: what its card says is true."""

from __future__ import annotations

import ast
import multiprocessing
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]  # it ships no types
import soxr  # type: ignore[import-untyped]  # nor does it

from appliance.config_pipeline import Pipeline as PipelineConfig
from appliance.mqtt.topics import Topics
from appliance.pipeline.compose import Served
from appliance.pipeline.pipeline import Pipeline
from appliance.result import Event, ModelId
from appliance.uplink.outgoing import Outgoing, Spool
from capture.samples import AudioWindow, Stamp
from engines.bundle import Bundle
from engines.digest import of_file
from engines.engine import Array, EngineError
from engines.manifest import AudioInput
from engines.model import Model
from engines.onnxrt import OnnxEngine

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "appliance" / "bundles" / "spoken-digits" / "1"
HELD_OUT = "jackson"
"""Nothing of this speaker was trained on."""
RATE_HZ = 16_000


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open(FOLDER)


@pytest.fixture(scope="module")
def words(data: Path) -> list[tuple[int, Array]]:
    """The held-out speaker's 500 recordings: the digit, and its sound at 16 kHz, half of full scale."""
    return [
        (int(path.stem.split("_")[0]), sound(path))
        for path in sorted((data / "speech_digits").glob(f"*_{HELD_OUT}_*.wav"))
    ]


def sound(path: Path) -> Array:
    samples, rate_hz = soundfile.read(path, dtype="float32")
    at_rate = soxr.resample(samples, rate_hz, RATE_HZ)
    return np.asarray(0.5 * at_rate / np.abs(at_rate).max(), np.float32)


def scores(bundle: Bundle, windows: Sequence[Array]) -> Array:
    """(windows, labels), the two stages run by two engines that share nothing but the tensor between them."""
    first, second = (bundle.stage_path(stage.name) for stage in bundle.manifest.stages)
    with OnnxEngine(first) as spectrogram, OnnxEngine(second) as recogniser:
        bands = [spectrogram.run({"sound": window[np.newaxis]})["bands"].copy() for window in windows]
        return np.concatenate([recogniser.run({"bands": each})["scores"].copy() for each in bands])


def test_it_is_small_and_its_stages_are_two_graphs(bundle: Bundle) -> None:
    assert [stage.name for stage in bundle.manifest.stages] == ["spectrogram", "recogniser"]
    assert sum(bundle.stage_path(stage.name).stat().st_size for stage in bundle.manifest.stages) < 2_000_000
    assert bundle.file_path("MODEL_CARD.md").read_text().startswith("# spoken-digits")


def test_its_notice_is_what_the_script_writes(bundle: Bundle) -> None:
    script = ast.parse((ROOT / "scripts" / "train" / "spoken_digits" / "export.py").read_text())
    [written] = [
        ast.literal_eval(each.value)
        for each in script.body
        if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "ATTRIBUTION"
    ]
    assert bundle.file_path("NOTICE").read_text() == written


@pytest.mark.data
def test_its_card_says_which_speech_the_false_words_were_counted_in(bundle: Bundle, data: Path) -> None:
    card = bundle.file_path("MODEL_CARD.md").read_text()
    [row] = [line for line in card.splitlines() if line.startswith("| false words in")]
    assert row.endswith("| 0 in 60 s |")
    assert of_file(data / "speech.wav") in row


def test_the_golden_outputs_are_reproduced(bundle: Bundle) -> None:
    given = np.load(bundle.file_path("golden/input.npz"), allow_pickle=False)
    expected = np.load(bundle.file_path("golden/output.npz"), allow_pickle=False)
    with OnnxEngine(bundle.stage_path("spectrogram")) as spectrogram:
        bands = spectrogram.run(dict(given))["bands"].copy()
    with OnnxEngine(bundle.stage_path("recogniser")) as recogniser:
        found = recogniser.run({"bands": bands})["scores"]
        np.testing.assert_allclose(bands, expected["bands"], atol=1e-2)
        np.testing.assert_allclose(found, expected["scores"], atol=1e-3)
        assert bundle.manifest.labels[int(found.argmax())] == "five"


def bands_of(stage: Path, window: Array) -> Array:
    """The first stage alone: what a process of its own does."""
    with OnnxEngine(stage) as spectrogram:
        return np.array(spectrogram.run({"sound": window})["bands"])


@pytest.mark.system
def test_the_stages_run_in_different_processes(bundle: Bundle) -> None:
    given = np.load(bundle.file_path("golden/input.npz"), allow_pickle=False)["sound"]
    expected = np.load(bundle.file_path("golden/output.npz"), allow_pickle=False)["scores"]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as elsewhere:
        bands = elsewhere.submit(bands_of, bundle.stage_path("spectrogram"), given).result(timeout=60)
    with OnnxEngine(bundle.stage_path("recogniser")) as recogniser:
        np.testing.assert_allclose(recogniser.run({"bands": bands})["scores"], expected, atol=1e-4)


@pytest.mark.data
@pytest.mark.parametrize(("place", "least"), [("start", 0.96), ("middle", 0.97), ("end", 0.97)])
def test_a_speaker_it_never_heard_is_understood_wherever_the_word_lies(
    bundle: Bundle, words: list[tuple[int, Array]], place: str, least: float
) -> None:
    """The goal is 0.97; where a file begins with the word it is missed by half a point, as the model card reports."""
    windows = []
    for _, said in words:
        said = said[:RATE_HZ]
        spare = RATE_HZ - len(said)
        at = {"start": 0, "middle": spare // 2, "end": spare}[place]
        windows.append(np.pad(said, (at, spare - at)))
    found = scores(bundle, windows).argmax(axis=1)
    assert (found == [digit for digit, _ in words]).mean() >= least


@pytest.mark.parametrize("level", [0.0, 1e-4, 1e-2, 0.3])
def test_noise_is_no_digit(bundle: Bundle, level: float) -> None:
    dice = np.random.default_rng(0)
    noise = [(level * dice.standard_normal(RATE_HZ)).astype(np.float32) for _ in range(50)]
    assert scores(bundle, noise)[:, :10].max() < bundle.manifest.decoder.threshold


def spoken(words: Sequence[Array], pause_s: float) -> Array:
    """Words one after the other, each followed by a pause, over a little noise."""
    pause = np.zeros(int(pause_s * RATE_HZ), np.float32)
    whole = np.concatenate([pause, pause, *(part for word in words for part in (word, pause)), pause, pause])
    noise = 0.002 * np.random.default_rng(1).standard_normal(len(whole))
    return np.asarray(whole + noise, np.float32)


def events(bundle: Bundle, samples: Array) -> list[Event]:
    """What the appliance's own pipeline publishes, when a microphone delivers these samples in blocks of 20 ms."""
    posted: list[Outgoing] = []
    table = PipelineConfig(name="digits", source="hall", model="spoken-digits")
    pipeline = Pipeline(
        table, Topics("appliance", "box"), posted.append, lambda: "synced", threading.Condition(), hears=True
    )
    with Model(bundle, engine="onnxruntime") as model:
        pipeline.serve_with(bundle.manifest)
        stream = model.new_stream()
        for start in range(0, len(samples), 320):
            stamp = Stamp(start * 1_000_000_000 // RATE_HZ, 1_700_000_000_000_000_000)
            block = samples[start : start + 320].copy()
            pipeline.offer(AudioWindow("hall", 0, stamp, block, RATE_HZ, 0, stamp.mono_ns, start))
            while (window := pipeline.mailbox.take(0)) is not None:
                assert isinstance(window, AudioWindow)
                stream.seek(window.start)
                [answer] = model.predict([window.samples], [stream])
                assert not isinstance(answer, EngineError), answer
                served = Served(stamp.mono_ns, stamp.mono_ns, "onnxruntime", ModelId("", "", ""), "asked for")
                pipeline.answered(window, answer, served)
    return [post.document for post in posted if isinstance(post, Spool) and isinstance(post.document, Event)]


@pytest.mark.data
def test_every_word_of_a_stream_is_one_event_that_begins_and_ends(
    bundle: Bundle, words: list[tuple[int, Array]]
) -> None:
    first = dict(reversed(words))
    order = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 0]
    told = events(bundle, spoken([first[digit] for digit in order], pause_s=0.6))
    assert [event.after.label for event in told if event.event == "new" and event.after is not None] == [
        bundle.manifest.labels[digit] for digit in order
    ]
    assert [event.event for event in told] == ["new", "end"] * len(order)


def begun(bundle: Bundle, samples: Array) -> list[str]:
    """The words that begin in these samples."""
    return [event.after.label for event in events(bundle, samples) if event.event == "new" and event.after is not None]


@pytest.mark.system
@pytest.mark.data
def test_a_word_that_is_understood_once_is_three_events_when_it_is_said_three_times(
    bundle: Bundle, words: list[tuple[int, Array]]
) -> None:
    for digit, label in enumerate(bundle.manifest.labels[:10]):
        spellings = [each for number, each in words if number == digit][:10]
        said = next(each for each in spellings if begun(bundle, spoken([each], pause_s=0.6)) == [label])
        assert begun(bundle, spoken([said, said, said], pause_s=0.6)) == [label] * 3


@pytest.mark.system
@pytest.mark.data
def test_speech_without_digits_raises_less_than_one_false_alarm_a_minute(bundle: Bundle, data: Path) -> None:
    speech, rate_hz = soundfile.read(data / "speech.wav", dtype="float32")
    assert rate_hz == RATE_HZ
    assert len([event for event in events(bundle, speech) if event.event == "new"]) < len(speech) / RATE_HZ / 60


def test_a_window_hop_is_a_fifth_of_a_second_at_most(bundle: Bundle) -> None:
    spec = bundle.manifest.input
    assert isinstance(spec, AudioInput)
    assert spec.hop <= RATE_HZ // 5
