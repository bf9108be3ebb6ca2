"""A routed pipeline through what can happen to it, on a clock of the test's own."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.harvest.basket import Basket
from appliance.harvest.settings import Harvest
from appliance.questions.question import Refused
from appliance.remote.lane import ModelReady
from appliance.remote.local_side import EngineStanding
from engines.engine import EngineError
from engines.manifest import Decoder, ImageInput, Manifest, Stage
from tests.appliance.remote.world import LARGE, SMALL, World

FRAME_S = 1 / 15
MANIFEST = Manifest(
    name="people",
    version="1",
    task="detect",
    labels=("person",),
    input=ImageInput(tensor="images", width=64, height=48, fit="stretch"),
    stages=(Stage(name="main", file="model.onnx", digest="sha256:" + "0" * 64),),
    decoder=Decoder(name="yolo-v8", threshold=0.5),
)


def check_the_law(world: World) -> None:
    """What holds whatever happens: one result for a sample at most, in order, in time, and never an empty success."""
    numbers = [result.seq for _, result in world.results if not result.late]
    assert len(numbers) == len(set(numbers)), "a sample was answered twice"
    assert numbers == sorted(numbers), "an older sample came after a younger one"
    for at_s, result in world.results:
        assert result.latency_ms is None or result.late or result.latency_ms.total <= 501
        assert (result.status == "failed") == (result.detections is None)
        assert result.reason
        assert at_s >= 0


def test_a_healthy_engine_answers_alone() -> None:
    world = World()
    world.run(5)
    check_the_law(world)
    assert world.sides() == ["local"]
    assert world.inquiries == []
    assert len(world.results) >= 70


@pytest.mark.parametrize("every", [False, True])
def test_a_stall_of_three_seconds_is_bridged_and_the_engine_is_trusted_again_after_a_while(every: bool) -> None:
    world = World(every=every)
    world.run(2)
    world.local = lambda: None
    world.run(3)
    world.local = lambda: 20.0
    world.run(5)
    check_the_law(world)
    assert world.sides() == ["local", "remote", "local"]
    assert world.longest_gap_s() <= 0.5
    back_s = next(at for at, result in reversed(world.results) if result.answered_by != "local")
    assert 5.5 <= back_s <= 7.5
    figures = world.routed.figures
    assert figures.late >= 1
    assert figures.failed == 0


@pytest.mark.parametrize("every", [False, True])
def test_with_both_sides_dead_every_deadline_brings_a_failure_and_nothing_else(every: bool) -> None:
    world = World(every=every)
    world.run(1)
    world.local = lambda: None
    world.service = lambda: None
    world.run(4)
    world.local = lambda: 20.0
    world.run(6)
    check_the_law(world)
    assert world.sides() == ["local", "failed", "local"]
    assert world.longest_gap_s() <= 0.5 + FRAME_S, "the deadline counts from the grab of the next picture"


def test_a_failure_names_both_sides() -> None:
    world = World()
    world.local = lambda: None
    world.services = ()
    world.run(2)
    reason = world.results[-1][1].reason
    assert "the local engine took more than 0.25 s" in reason
    assert "no model service is online" in reason


def test_while_both_sides_are_dead_few_pictures_are_held() -> None:
    world = World(fps=60, deadline_s=2.0)
    world.local = lambda: None
    world.services = ()
    world.run(10)
    assert len(world.routed._order) <= 3
    assert world.routed.figures.decisions.keys() <= {"local: healthy", "local: over budget"}
    assert world.routed.figures.dropped > 500


ENGINES: dict[str, EngineStanding] = {
    "missing": EngineStanding("missing", "onnxruntime is not installed"),
    "building": EngineStanding("building", "no plan"),
    "loading": EngineStanding("loading", "its model is being loaded"),
    "broken": EngineStanding("broken", "out of memory"),
}


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES.keys())
def test_without_an_engine_the_service_answers_and_the_reason_says_why(engine: EngineStanding) -> None:
    world = World()
    world.engine = engine
    world.run(2)
    world.engine = EngineStanding("ready", "")
    world.run(1)
    check_the_law(world)
    assert world.sides() == ["remote", "local"]
    first = world.results[0][1]
    assert first.answered_by == "remote:cellar"
    assert first.model.version == "2"
    assert first.latency_ms is not None
    assert first.latency_ms.travel is not None
    assert engine.words in first.reason or engine.state in ("building", "loading")
    assert world.longest_gap_s() < 0.2
    decisions = world.routed.figures.decisions
    assert decisions.keys() == {f"remote: {engine.state}", "local: healthy"}
    assert sum(decisions.values()) >= len(world.results)


def test_a_sample_on_which_the_engine_fails_is_asked_about_at_once() -> None:
    world = World()
    world.local = lambda: EngineError("NaN in the scores")
    world.run(0.5)
    world.local = lambda: 20.0
    world.run(4)
    check_the_law(world)
    assert world.sides() == ["remote", "local"]
    assert "NaN in the scores" in world.results[0][1].reason
    assert world.routed.figures.failed == 0


def test_an_engine_that_fails_on_every_sample_while_nobody_else_is_there_is_said_to_fail() -> None:
    world = World()
    world.local = lambda: EngineError("NaN in the scores")
    world.services = ()
    world.run(3)
    check_the_law(world)
    assert world.sides() == ["failed"]
    assert "NaN in the scores" in world.results[0][1].reason


def test_a_slow_service_is_left_alone_and_answers_again_when_it_is_quick() -> None:
    world = World(prefer="remote")
    world.run(2)
    world.service = lambda: 2000.0
    world.run(3)
    asked = len(world.inquiries)
    world.service = lambda: 40.0
    world.run(4)
    check_the_law(world)
    assert world.sides() == ["remote", "local", "remote"]
    assert world.longest_gap_s() <= 0.5
    assert asked < 30 + 15, "it was hardly asked while it was slow"


def test_a_service_that_comes_back_is_tried_at_once() -> None:
    world = World(prefer="remote")
    world.service = lambda: None
    world.run(20)
    world.services = ()
    world.run(1)
    world.services, world.service = ("attic",), lambda: 40.0
    back_s = world.now_s
    world.run(1)
    first_s = next(at for at, result in world.results if at > back_s and result.answered_by == "remote:attic")
    assert first_s - back_s < 2 * FRAME_S + 0.05


def test_the_service_the_owner_prefers_is_asked_first_and_the_engine_helps_out() -> None:
    world = World(prefer="remote", model="people-large")
    world.run(1)
    world.services = ()
    world.run(1)
    check_the_law(world)
    assert world.sides() == ["remote", "local"]
    assert {result.status for _, result in world.results if result.answered_by == "local"} == {"degraded"}


def test_an_unsure_answer_gets_a_second_opinion() -> None:
    world = World(unsure_between=(0.3, 0.6), fps=10)
    world.run(1)
    world.local_score = 0.45
    world.run(1)
    world.local_score = 0.8
    world.run(1)
    check_the_law(world)
    assert world.sides() == ["local", "remote", "local"]
    second = next(result for _, result in world.results if result.answered_by != "local")
    assert "unsure (0.45)" in second.reason
    assert second.detections is not None
    assert second.detections[0].score == 0.95


def test_a_second_opinion_that_differs_is_worth_keeping_with_both_answers() -> None:
    basket = Basket(Harvest(unsure_between=(0.3, 0.6), disagreed=True))
    world = World(unsure_between=(0.3, 0.6), fps=10, basket=basket)
    world.local_score = 0.45
    world.run(1)
    doubt, _ = basket.take()
    assert doubt is not None
    assert (doubt.reason, doubt.said.by, doubt.said.model) == ("unsure", "local", SMALL)
    assert doubt.other is not None
    assert (doubt.other.by, doubt.other.model) == ("remote:cellar", LARGE)
    world.finds = "a cat"
    world.run(1)
    difference, _ = basket.take()
    assert difference is not None
    assert difference.reason == "disagreed"


def test_what_only_the_service_has_answered_is_not_kept() -> None:
    basket = Basket(Harvest(unsure_between=(0.0, 1.0)))
    world = World(prefer="remote", basket=basket)
    world.engine = EngineStanding("missing", "no model")
    world.run(1)
    assert world.sides() == ["remote"]
    assert basket.take() == (None, 0)


def test_an_unsure_answer_nobody_has_a_second_opinion_of_is_degraded() -> None:
    world = World(unsure_between=(0.3, 0.6), fps=10)
    world.local_score = 0.45
    world.service = lambda: None
    world.run(3)
    check_the_law(world)
    assert world.sides() == ["local"]
    assert {result.status for _, result in world.results} == {"degraded"}
    assert world.routed.figures.failed == 0


def test_a_sure_answer_does_not_overtake_the_second_opinion_before_it() -> None:
    world = World(unsure_between=(0.3, 0.6), fps=10)
    world.filming = False
    world.service = lambda: 200.0
    world.local_score = 0.45
    world.film()
    world.run(0.05)
    world.local_score = 0.9
    world.film()
    world.run(1)
    assert [(result.seq, result.answered_by) for _, result in world.results] == [(0, "remote:cellar"), (1, "local")]


def test_a_hot_device_spares_its_engine_until_it_is_clearly_cooler() -> None:
    world = World(hottest_c=85.0)
    seen = []
    for celsius in (70.0, 86.0, 84.0, 81.0, 79.0):
        world.celsius = celsius
        world.run(1)
        seen.append(world.results[-1][1].answered_by)
    check_the_law(world)
    assert seen == ["local", "remote:cellar", "remote:cellar", "remote:cellar", "local"]
    assert any("too hot (86 °C)" in result.reason for _, result in world.results)


def test_a_question_that_takes_long_is_hedged_with_the_engine() -> None:
    world = World(prefer="remote")
    world.run(2)
    world.service = lambda: 450.0
    world.run(0.2)
    check_the_law(world)
    assert world.routed.figures.hedged >= 1
    assert world.lane.mailbox.dropped == 0


def test_a_question_that_takes_long_is_hedged_at_another_service_when_there_is_no_engine() -> None:
    world = World()
    world.engine = ENGINES["missing"]
    world.services = ("cellar", "attic")
    world.run(2)
    takes = iter([450.0])
    world.service = lambda: next(takes, 40.0)
    world.run(2)
    check_the_law(world)
    assert world.routed.figures.hedged == 1
    assert world.longest_gap_s() < 0.25, "the second service answered long before the first"
    assert world.routed.figures.failed == 0


def test_a_service_that_dies_with_a_question_costs_no_deadline_while_the_engine_can_help() -> None:
    world = World(prefer="remote")
    world.run(2)
    world.service = lambda: None
    world.run(FRAME_S)
    world.services = ()
    world.run(1)
    check_the_law(world)
    assert world.longest_gap_s() < 0.25


@pytest.mark.parametrize("every", [False, True])
def test_questions_on_their_way_are_bounded(every: bool) -> None:
    world = World(fps=60, every=every, limits={"max_per_s": 1000})
    world.engine = ENGINES["missing"]
    world.service = lambda: 400.0
    world.run(3)
    check_the_law(world)
    assert world.most_asked <= (16 if every else 4)


LIMITS: dict[str, tuple[dict[str, Any], dict[str, Any], float]] = {
    "of the pipeline": ({"max_per_s": 2.0}, {}, 2.0),
    "of the device": ({}, {"max_per_s": 3.0}, 3.0),
    "of the device, in bytes": ({}, {"max_kb_per_s": 100.0}, 5.0),
}


@pytest.mark.parametrize(("pipeline", "device", "per_s"), LIMITS.values(), ids=LIMITS.keys())
def test_budgets_hold(pipeline: dict[str, Any], device: dict[str, Any], per_s: float) -> None:
    world = World(prefer="remote", limits=device, **pipeline)
    world.run(20)
    check_the_law(world)
    assert len(world.inquiries) <= per_s * 20 + max(per_s, 1) + 4
    assert len(world.inquiries) >= per_s * 20 * 0.8
    assert set(world.sides()) == {"local", "remote"}
    assert any("second" in result.reason for _, result in world.results)


def test_late_answers_of_the_engine_are_counted_and_not_published() -> None:
    world = World()
    world.services = ()
    world.local = lambda: 700.0
    world.run(5)
    check_the_law(world)
    assert world.sides() == ["failed"]
    assert world.routed.figures.late >= 4


def test_failed_samples_are_kept_and_answered_late() -> None:
    world = World(keep=3, fps=2)
    world.engine = ENGINES["missing"]
    world.services = ()
    world.run(5)
    assert world.sides() == ["failed"]
    failed = [result.seq for _, result in world.results]
    assert world.routed.figures.kept == 3
    world.filming = False
    world.services = ("cellar",)
    world.run(3)
    check_the_law(world)
    late = [result for _, result in world.results if result.late]
    assert [result.seq for result in late] == failed[-3:]
    assert {(result.status, result.answered_by) for result in late} == {("ok", "remote:cellar")}
    figures = world.routed.figures
    assert (figures.kept, figures.answered_late, figures.given_up) == (0, 3, len(failed) - 3)


def test_a_late_answer_starts_no_event_and_changes_no_count() -> None:
    world = World(keep=50, fps=5)
    posted: list[str] = []
    world.pipeline._post = lambda document: posted.append(document.topic.rpartition("/")[2])
    world.engine = ENGINES["missing"]
    world.services = ()
    world.run(5)
    world.filming = False
    world.services = ("cellar",)
    world.run(5)
    assert set(posted) == {"result"}
    assert world.routed.figures.answered_late > 3


def test_a_kept_sample_the_service_refuses_for_good_is_given_up() -> None:
    world = World(keep=5, fps=2)
    world.engine = ENGINES["missing"]
    world.services = ()
    world.run(2)
    kept = world.routed.figures.kept
    world.filming = False
    world.services, world.service = ("cellar",), lambda: Refused("too-large", "4 MB at most")
    world.run(3)
    figures = world.routed.figures
    assert kept > 0
    assert (figures.kept, figures.given_up) == (0, figures.failed)


@pytest.mark.system
def test_an_engine_at_the_edge_of_its_budget_does_not_make_the_sides_flutter() -> None:
    world = World()
    takes = iter(range(10_000))
    world.local = lambda: 300.0 if next(takes) % 4 == 0 else 100.0
    world.run(60)
    check_the_law(world)
    assert len(world.sides()) <= 12


def test_crops_show_the_service_only_what_moved_or_was_found() -> None:
    world = World(offload="crops", unsure_between=(0.3, 0.6))
    world.local_score = 0.45
    world.run(1)
    check_the_law(world)
    assert world.sides() == ["remote"]
    for inquiry in world.inquiries:
        assert len(inquiry.jpeg()) > 0


def test_with_crops_a_picture_in_which_nothing_was_found_stays_here() -> None:
    world = World(offload="crops")
    world.engine = ENGINES["missing"]
    world.run(2)
    assert world.inquiries == []
    assert world.sides() == ["failed"]
    assert "no part of the picture" in world.results[0][1].reason
    assert world.routed.figures.decisions == {"none: missing": len(world.results)}


def test_the_service_is_asked_for_the_name_that_the_bundle_has_whatever_the_configuration_calls_it() -> None:
    world = World(prefer="remote")
    world.routed.hear(ModelReady(MANIFEST.model_copy(update={"name": "folk"})), world.now_ns)
    world.run(0.2)
    assert {inquiry.model for inquiry in world.inquiries} == {"folk"}
    named = World(prefer="remote", model="people-large")
    named.routed.hear(ModelReady(MANIFEST), named.now_ns)
    named.run(0.2)
    assert {inquiry.model for inquiry in named.inquiries} == {"people-large"}
