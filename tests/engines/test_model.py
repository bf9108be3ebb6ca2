"""A model: what is asked, what the networks get, and what becomes of what they return."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.engine import Array, EngineError, EngineUnavailable, Tensors
from engines.manifest import Manifest
from engines.model import Model
from engines.predictions import Answer, Label
from tests import networks
from tests.arrays import picture
from tests.engines.models import Scripted, bundle, manifest, model, only, pictures, sounds
from tests.waiting import until

LABELS = ("dark", "bright")


def brightness(inputs: Tensors) -> dict[str, Array]:
    """Two scores for every picture: how dark, how bright."""
    mean = inputs["x"].mean(axis=(1, 2, 3))
    return {"out": np.stack((1 - mean, mean), axis=1).astype(np.float32)}


def tells_brightness(batch: int | None = 1, **settings: Any) -> Manifest:
    return manifest("classify", pictures(8, 8, fit="stretch", batch=batch), LABELS, name="classify", **settings)


def engine(batch: int | None = 1, answer: Callable[[Tensors], Mapping[str, Array]] = brightness) -> Scripted:
    return Scripted({"x": (batch, 3, 8, 8)}, {"out": (batch, 2)}, answer)


GREYS = [0, 51, 102, 204, 255]
SAMPLES = [picture(20, 10, grey) for grey in GREYS]


def bright_scores(answers: list[Answer | EngineError]) -> list[float]:
    found = []
    for answer in answers:
        assert isinstance(answer, Answer)
        found.append(next(each.score for each in answer.predictions if isinstance(each, Label) and each.class_id == 1))
    return found


# -- batches ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("batch", "runs"), [(1, [1] * 5), (2, [2, 2, 2]), (None, [5]), (8, [8])])
def test_every_sample_gets_its_own_answer_in_as_few_runs_as_the_network_allows(
    batch: int | None, runs: list[int]
) -> None:
    sees = engine(batch)
    with model(tells_brightness(batch, threshold=0), sees) as seer:
        assert seer.batch_limit == batch
        assert bright_scores(seer.predict(SAMPLES)) == [0.0, 0.2, 0.4, 0.8, 1.0]
    assert [len(given["x"]) for given in sees.given] == runs


def test_no_samples_are_no_answers() -> None:
    sees = engine()
    with model(tells_brightness(), sees) as seer:
        assert seer.predict([]) == []
    assert sees.given == []


@pytest.mark.parametrize("batch", [1, 2, None])
def test_a_sample_that_cannot_be_read_fails_alone(batch: int | None) -> None:
    samples = [SAMPLES[1], np.zeros((4, 4), np.uint8), SAMPLES[3]]
    with model(tells_brightness(batch, threshold=0), engine(batch)) as seer:
        first, wrong, last = seer.predict(samples)
    assert bright_scores([first, last]) == [0.2, 0.8]
    assert isinstance(wrong, EngineError)
    assert "a picture must be uint8" in str(wrong)


def test_when_no_sample_can_be_read_the_networks_are_left_alone() -> None:
    sees = engine(None)
    with model(tells_brightness(None), sees) as seer:
        answers = seer.predict([np.zeros((4, 4), np.uint8)] * 2)
    assert all("a picture must be uint8" in str(each) for each in answers)
    assert sees.given == []


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_row_with_nan_fails_alone(bad: float) -> None:
    def spoiled(inputs: Tensors) -> dict[str, Array]:
        outputs = brightness(inputs)
        outputs["out"][1, 0] = bad
        return outputs

    with model(tells_brightness(None, threshold=0), engine(None, spoiled)) as seer:
        first, wrong, last = seer.predict(SAMPLES[1:4])
    assert bright_scores([first, last]) == [0.2, 0.8]
    assert isinstance(wrong, EngineError)
    assert str(wrong).startswith("output out holds NaN or infinity")


def test_nan_in_a_row_that_only_fills_a_fixed_batch_is_nobodys_business() -> None:
    def spoiled(inputs: Tensors) -> dict[str, Array]:
        outputs = brightness(inputs)
        outputs["out"][1:] = np.nan
        return outputs

    with model(tells_brightness(4, threshold=0), engine(4, spoiled)) as seer:
        assert bright_scores(seer.predict(SAMPLES[1:2])) == [0.2]


def test_an_engine_that_fails_fails_the_samples_of_that_run_only() -> None:
    runs = []

    def second_fails(inputs: Tensors) -> dict[str, Array]:
        runs.append(1)
        if len(runs) == 2:
            raise EngineError("out of memory")
        return brightness(inputs)

    with model(tells_brightness(2, threshold=0), engine(2, second_fails)) as seer:
        answers = seer.predict(SAMPLES)
    assert [str(each) if isinstance(each, EngineError) else "ok" for each in answers] == [
        "ok", "ok", "out of memory", "out of memory", "ok"
    ]  # fmt: skip


# -- what is asked ----------------------------------------------------------------------------------------------------


def test_every_sample_has_its_own_threshold() -> None:
    with model(tells_brightness(None), engine(None)) as seer:
        answers = [only([each]) for each in seer.predict([SAMPLES[3]] * 4, thresholds=[None, 0.1, 0.81, 0.8])]
    assert [[each.label for each in answer.predictions] for answer in answers] == [
        ["bright"], ["bright", "dark"], [], ["bright"]
    ]  # fmt: skip


def test_the_models_own_threshold_can_be_replaced_for_all() -> None:
    with model(tells_brightness(), engine(), threshold=0.9) as seer:
        assert only(seer.predict([SAMPLES[3]])).predictions == ()


def test_every_sample_has_its_own_labels() -> None:
    with model(tells_brightness(None, threshold=0), engine(None)) as seer:
        answers = [only([each]) for each in seer.predict([SAMPLES[3]] * 3, labels=[None, ["dark"], {"bright", "x"}])]
    assert [[each.label for each in answer.predictions] for answer in answers] == [
        ["bright", "dark"], ["dark"], ["bright"]
    ]  # fmt: skip


def test_an_answer_tells_its_task_and_how_long_each_stage_took() -> None:
    with model(tells_brightness(None), engine(None)) as seer:
        answers = [only([each]) for each in seer.predict(SAMPLES[:2])]
    assert answers[0].task == "classify"
    assert answers[0].times == answers[1].times  # shared out evenly
    times = answers[0].times
    assert min(times.prepare_ms, times.infer_ms, times.decode_ms) > 0


def test_an_answer_does_not_change_when_the_engine_uses_its_memory_again() -> None:
    memory = np.zeros((1, 2), np.float32)

    def reuses(inputs: Tensors) -> dict[str, Array]:
        memory[:] = brightness(inputs)["out"]
        return {"out": memory}

    with model(tells_brightness(threshold=0), engine(1, reuses)) as seer:
        answers = [seer.predict([sample])[0] for sample in SAMPLES]
        assert bright_scores(answers) == [0.0, 0.2, 0.4, 0.8, 1.0]


def test_half_precision_outputs_are_read_as_they_are_meant() -> None:
    def half(inputs: Tensors) -> dict[str, Array]:
        return {"out": brightness(inputs)["out"].astype(np.float16)}

    with model(tells_brightness(threshold=0), engine(1, half)) as seer:
        assert bright_scores(seer.predict(SAMPLES)) == pytest.approx([0, 0.2, 0.4, 0.8, 1.0], abs=1e-3)


# -- outputs that cannot be believed ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ({"out": np.zeros((1, 3), np.float32)}, r"output out has shape \(1, 3\), expected \(1, 2\)"),
        ({"out": np.zeros((2, 2), np.float32)}, r"output out has shape \(2, 2\), expected \(1, 2\)"),
        ({"out": np.zeros((1, 2, 1), np.float32)}, r"output out has shape \(1, 2, 1\)"),
        ({"other": np.zeros((1, 2), np.float32)}, "stage only returned other, expected out"),
        ({"out": np.zeros((1, 2), np.float32), "more": np.zeros(1)}, "stage only returned out, more, expected out"),
        ({}, "stage only returned nothing, expected out"),
    ],
    ids=["size", "rows", "rank", "name", "number", "none"],
)
def test_outputs_of_the_wrong_number_name_or_shape_are_errors(returned: dict[str, Array], words: str) -> None:
    with model(tells_brightness(), engine(1, lambda _: returned)) as seer:
        [answer] = seer.predict(SAMPLES[:1])
    assert isinstance(answer, EngineError)
    with pytest.raises(EngineError, match=words):
        raise answer


def test_a_network_for_single_samples_need_not_count_them() -> None:
    flat = Scripted({"x": (1, 3, 8, 8)}, {"out": (2,)}, lambda inputs: {"out": brightness(inputs)["out"][0]})
    with model(tells_brightness(threshold=0), flat) as seer:
        assert bright_scores(seer.predict(SAMPLES)) == [0.0, 0.2, 0.4, 0.8, 1.0]


def test_a_network_that_answers_nan_does_not_pass_the_warm_up(tmp_path: Path) -> None:
    nan = {"out": np.full((1, 2), np.nan, np.float32)}
    with (
        model(tells_brightness(), engine(1, lambda _: nan)) as seer,
        pytest.raises(EngineError, match="holds NaN or infinity"),
    ):
        seer.warm_up()


# -- several stages ---------------------------------------------------------------------------------------------------


def test_the_outputs_of_a_stage_are_the_inputs_of_the_next_by_name() -> None:
    first = Scripted(
        {"x": (1, 4)}, {"low": (1,), "high": (1,)}, lambda given: {"low": given["x"].min(1), "high": given["x"].max(1)}
    )
    second = Scripted(
        {"high": (1,), "x": (1, 4)},
        {"out": (1, 2)},
        lambda given: {"out": np.stack((given["high"], given["x"].mean(1)), axis=1)},
    )
    of = manifest("audio-labels", sounds(4), ["top", "mean"], ["first", "second"], name="audio-labels", threshold=0)
    with model(of, first, second) as chain:
        answer = only(chain.predict([np.array([0.1, 0.2, 0.3, 0.8], np.float32)]))
    assert [(each.label, each.score) for each in answer.predictions] == [("top", 0.8), ("mean", 0.35)]


def test_a_stage_whose_input_nobody_makes_is_refused_when_the_model_is_opened() -> None:
    stages = (
        Scripted({"x": (1, 4)}, {"low": (1,)}, lambda _: {}),
        Scripted({"mel": (1, 4)}, {"out": (1, 2)}, lambda _: {}),
    )
    of = manifest("audio-labels", sounds(4), LABELS, ["first", "second"], name="audio-labels")
    with pytest.raises(
        EngineError, match="stage second needs input mel, which nothing before it makes; there are low, x"
    ):
        model(of, *stages).__enter__()
    assert not any(stage.open for stage in stages)


def test_an_input_that_no_network_takes_is_refused_when_the_model_is_opened() -> None:
    other = Scripted({}, {"out": (1, 2)}, brightness)
    with pytest.raises(EngineError, match="no network has an input x"):
        model(tells_brightness(), other).__enter__()


# -- state ------------------------------------------------------------------------------------------------------------


def adds_up() -> tuple[Manifest, Scripted]:
    """A network that remembers the sum of all it heard."""

    def answer(given: Tensors) -> dict[str, Array]:
        following = given["sum"] + given["x"].sum()
        return {"out": np.array([[following[0, 0], 0]], np.float32), "next": following}

    spec = sounds(2, batch=None, state={"next": "sum"}, state_shapes={"sum": (1, 1)}, constants={"k": 3})
    of = manifest("audio-labels", spec, ["sum", "nothing"], name="audio-labels", threshold=0, options={"output": "out"})
    inputs = {"x": (None, 2), "sum": (1, 1), "k": ()}
    return of, Scripted(inputs, {"out": (1, 2), "next": (1, 1)}, answer)


def window(value: float) -> Array:
    return np.array([value, 0], np.float32)


def sums(answers: list[Answer | EngineError]) -> list[float | None]:
    return [None if isinstance(each, EngineError) else dict_of(each)["sum"] for each in answers]


def dict_of(answer: Answer) -> dict[str, float]:
    return {each.label: each.score for each in answer.predictions if isinstance(each, Label)}


def test_the_state_of_a_network_goes_from_window_to_window_of_one_stream() -> None:
    of, remembers = adds_up()
    with model(of, remembers) as listener:
        assert listener.batch_limit == 1  # the rows of a state cannot be mixed
        one, two = listener.new_stream(), listener.new_stream()
        answers = listener.predict([window(0.1), window(0.2), window(0.3)], [one, two, one])
        assert sums(answers) == pytest.approx([0.1, 0.2, 0.4])
        assert sums(listener.predict([window(0.1)], [two])) == pytest.approx([0.3])
        assert sums(listener.predict([window(0.1)])) == pytest.approx([0.1])  # without a stream: nothing before it
    assert remembers.given[0]["k"] == 3


def test_a_state_with_nan_fails_its_window_and_is_forgotten() -> None:
    of, remembers = adds_up()
    with model(of, remembers) as listener:
        stream = listener.new_stream()
        answers = [listener.predict([window(value)], [stream])[0] for value in (0.1, np.nan, 0.2)]
    assert sums(answers) == [pytest.approx(0.1), None, pytest.approx(0.3)]


def test_after_lost_sound_the_state_begins_anew() -> None:
    of, remembers = adds_up()
    with model(of, remembers) as listener:
        stream = listener.new_stream()
        listener.predict([window(0.1)], [stream])
        stream.seek(1000)
        assert sums(listener.predict([window(0.2)], [stream])) == pytest.approx([0.2])


# -- opening, cancelling, closing -------------------------------------------------------------------------------------


def test_an_open_model_names_its_engine_and_a_closed_one_has_let_it_go() -> None:
    sees = engine()
    seer = model(tells_brightness(), sees)
    assert seer.engine_name == "none"
    with seer:
        assert seer.engine_name == "scripted"
        assert sees.open
    assert not sees.open


def test_when_the_second_engine_cannot_be_opened_the_first_is_closed() -> None:
    first = Scripted({"x": (1, 4)}, {"y": (1, 4)}, lambda _: {})
    of = manifest("audio-labels", sounds(4), LABELS, ["first", "second"], name="audio-labels")
    makers = [lambda: first]

    def make(path: Path) -> Scripted:
        if not makers:
            raise EngineUnavailable(f"{path}: not here")
        return makers.pop()()

    with pytest.raises(EngineUnavailable, match="not here"):
        Model(bundle(of), open_engine=make).__enter__()
    assert not first.open


def test_refusals_of_better_back_ends_are_kept(tmp_path: Path) -> None:
    of = manifest("audio-labels", sounds(4), tuple("abcd"), name="audio-labels", threshold=0)
    with Model(bundle(of, networks.double(tmp_path / "double.onnx"))) as seer:
        assert seer.engine_name == "onnxruntime"
        assert [refusal.engine for refusal in seer.refusals] == ["tensorrt"]
        assert only(seer.predict([np.array([0.1, 0, 0, 0.3], np.float32)])).predictions[0] == Label("d", 3, 0.6)


def test_cancelling_makes_the_answer_in_progress_an_error(tmp_path: Path) -> None:
    of = manifest("audio-labels", sounds(4, batch=None), tuple("abcd"), name="audio-labels")
    with Model(bundle(of, networks.endless(tmp_path / "endless.onnx")), engine="onnxruntime") as seer:
        answers: list[Answer | EngineError] = []
        asking = threading.Thread(target=lambda: answers.extend(seer.predict([np.zeros(4, np.float32)])))
        asking.start()

        def cancelled() -> bool:
            seer.cancel()
            return not asking.is_alive()

        until(cancelled, within_s=10)
        asking.join()
    assert isinstance(answers[0], EngineError)


def test_cancelling_a_closed_or_idle_model_does_nothing() -> None:
    seer = model(tells_brightness(threshold=0), engine())
    seer.cancel()
    with seer:
        seer.cancel()
        assert bright_scores(seer.predict(SAMPLES[:1])) == [0.0]
    seer.cancel()


def test_the_bare_run_gets_the_input_of_the_last_answer() -> None:
    sees = engine()
    with model(tells_brightness(), sees) as seer:
        seer.predict(SAMPLES[3:4])
        seer.run_bare()
    np.testing.assert_array_equal(sees.given[0]["x"], sees.given[1]["x"])
