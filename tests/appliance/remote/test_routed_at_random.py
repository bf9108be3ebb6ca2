"""Any sequence of troubles: what holds for every sample holds through all of them."""

from __future__ import annotations

import itertools
from random import Random

import pytest

from appliance.questions.question import Refused
from appliance.remote.local_side import EngineStanding
from engines.engine import EngineError
from tests.appliance.remote.world import World

FPS = 15.0
DEADLINE_S = 0.5
SEEDS = (*range(3), 119)
"""119: an answer that had to wait for a second opinion dropped the oldest sample: nothing was heard for 0.67 s."""
LONG_SEEDS = range(3, 200)


def shaken(seed: int) -> World:
    """Half a minute in which everything changes about once a second."""
    random = Random(seed)
    world = World(
        fps=FPS,
        every=random.random() < 0.5,
        deadline_s=DEADLINE_S,
        prefer=random.choice(["local", "local", "remote"]),
        unsure_between=random.choice([None, (0.3, 0.6)]),
        hottest_c=random.choice([None, 80.0]),
        max_per_s=random.choice([None, 5.0]),
        keep=random.choice([0, 5]),
    )
    for _ in range(30):
        local = random.choice([20.0, 20.0, 20.0, 120.0, 300.0, 700.0, None, EngineError("NaN")])
        remote = random.choice([40.0, 40.0, 40.0, 200.0, 2000.0, None, Refused("busy"), Refused("too-large")])
        world.local = lambda takes=local: takes  # type: ignore[misc]  # bound now
        world.service = lambda takes=remote: takes  # type: ignore[misc]
        world.services = random.choice([("cellar",), ("cellar",), ("cellar", "attic"), ()])
        world.engine = random.choice(
            [EngineStanding("ready", ""), EngineStanding("ready", ""), EngineStanding("broken", "x")]
        )
        world.local_score = random.choice([0.45, 0.9])
        world.celsius = random.choice([None, 60.0, 90.0])
        world.run(random.uniform(0.2, 1.8))
    world.filming = False
    world.run(1.0)
    return world


def every_sample_was_given_out_once_in_order_and_in_time(world: World) -> None:
    now = [(at_s, result) for at_s, result in world.results if not result.late]
    numbers = [result.seq for _, result in now]
    assert numbers == sorted(set(numbers))
    for at_s, result in now:
        assert at_s - world.filmed_s[result.seq] <= DEADLINE_S
        assert (result.status == "failed") == (result.detections is None)
    if world.pipeline.config.every:
        assert numbers == list(range(len(world.filmed_s)))
    last_s = world.filmed_s[-1]
    times_s = [0.0, *(at_s for at_s, _ in now if at_s <= last_s), last_s]
    gaps_s = [after - before for before, after in itertools.pairwise(times_s)]
    assert max(gaps_s) <= DEADLINE_S + 1 / FPS + 0.002


def nothing_is_held_once_all_is_said(world: World) -> None:
    world.local = lambda: 20.0
    world.service = lambda: 40.0
    world.services = ("cellar",)
    world.engine = EngineStanding("ready", "")
    world.run(20.0)
    assert len(world.routed._order) == 0
    assert world.routed._counsel.asked == 0
    assert world.routed.local.idle
    figures = world.routed.figures
    assert figures.kept == 0
    assert figures.failed + sum(figures.answered.values()) + figures.dropped + world.pipeline.mailbox.dropped == len(
        world.filmed_s
    )


def late_answers_are_to_samples_that_had_failed_and_come_once(world: World) -> None:
    failed = {result.seq for _, result in world.results if result.status == "failed"}
    late = [result.seq for _, result in world.results if result.late]
    assert len(late) == len(set(late))
    assert set(late) <= failed


def check(seed: int) -> None:
    world = shaken(seed)
    every_sample_was_given_out_once_in_order_and_in_time(world)
    nothing_is_held_once_all_is_said(world)
    late_answers_are_to_samples_that_had_failed_and_come_once(world)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_law_holds_through_any_troubles(seed: int) -> None:
    check(seed)


@pytest.mark.faults
@pytest.mark.long
@pytest.mark.timeout(1200)
def test_the_law_holds_through_many_more() -> None:
    for seed in LONG_SEEDS:
        check(seed)
