"""Where a model is cut, by what it was measured to cost; on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from appliance.remote.cuts import FIRST_REST_S, HOPELESS_STALE_S, LONGEST_REST_S, STALE_S, STAY_S, Cuts

PERIOD_S = 0.1


class World:
    """Two stages, and what they cost on either side at the moment."""

    def __init__(self, here: tuple[float, float], there: tuple[float, float], cuts: Cuts | None = None) -> None:
        self.here, self.there = here, there
        self.cuts = cuts or Cuts(2)
        self.askable = True
        self.now_s = 100.0
        self.chosen: list[int] = []

    def sample(self) -> int:
        cut = self.cuts.choose(self.now_s, self.askable)
        for stage in range(cut):
            self.cuts.ran_here(stage, self.here[stage], self.now_s)
        if cut < 2:
            self.cuts.ran_there(cut, self.there[cut], self.now_s)
        self.chosen.append(cut)
        self.now_s += PERIOD_S
        return cut

    def run(self, seconds: float) -> list[int]:
        return [self.sample() for _ in range(round(seconds / PERIOD_S))]


def mostly(chosen: list[int]) -> int:
    return max(set(chosen), key=chosen.count)


@pytest.mark.parametrize(
    ("here", "there", "best"),
    [
        ((1.0, 2.0), (9.0, 9.0), 2),  # a quick device: all here
        ((1.0, 50.0), (40.0, 6.0), 1),  # a heavy second stage: features to the service
        ((30.0, 50.0), (8.0, 40.0), 0),  # a slow device: all there
    ],
)
def test_the_cheapest_cut_is_found_and_kept(here: tuple[float, float], there: tuple[float, float], best: int) -> None:
    world = World(here, there)
    world.run(15)
    settled = world.run(60)
    assert mostly(settled) == best
    assert settled.count(best) > 0.95 * len(settled)  # the others are measured again now and then


def test_it_begins_on_the_device() -> None:
    assert Cuts(2).choose(0.0, askable=False) == 2


def test_a_small_difference_is_no_reason_to_change() -> None:
    world = World((10.0, 10.0), (100.0, 100.0))
    world.run(20)
    world.there = (100.0, 8.5)  # 18.5 instead of 20 ms
    world.run(STALE_S + 10)
    assert mostly(world.run(20)) == 2


def test_costs_that_waver_do_not_make_the_place_waver() -> None:
    world = World((10.0, 10.0), (100.0, 10.0))
    for turn in range(300):
        world.there = (100.0, 7.0 if turn % 2 else 13.0)
        world.run(0.5)
    moves = sum(before != after for before, after in zip(world.chosen, world.chosen[1:], strict=False))
    assert moves <= 20  # 1500 samples; a place that followed every turn would move 300 times


def test_a_move_is_followed_by_a_stay() -> None:
    cuts = Cuts(1)
    for _ in range(2):
        cuts.ran_here(0, 50.0, 0.0)
        cuts.ran_there(0, 5.0, 0.0)
    assert cuts.choose(10.0, True) == 0
    for _ in range(20):
        cuts.ran_there(0, 500.0, 10.1)
    assert cuts.choose(10.0 + STAY_S - 0.1, True) == 0
    assert cuts.choose(10.0 + STAY_S, True) == 1


def test_without_a_service_everything_runs_here_at_once() -> None:
    world = World((30.0, 50.0), (8.0, 40.0))
    world.run(20)
    world.askable = False
    assert set(world.run(5)) == {2}
    world.askable = True
    assert mostly(world.run(10)) == 0


def test_a_service_that_failed_is_left_alone_ever_longer() -> None:
    cuts = Cuts(1)
    now_s, rests = 0.0, []
    for _ in range(10):
        cuts.failed_there(now_s)
        rest_s = _until(lambda s, since=now_s: cuts._possible(since + s, True) != [1])  # type: ignore[misc]
        rests.append(rest_s)
        now_s += rest_s
    assert rests[0] == pytest.approx(FIRST_REST_S, abs=0.02)
    assert rests[3] == pytest.approx(8 * FIRST_REST_S, abs=0.02)
    assert max(rests) == pytest.approx(LONGEST_REST_S, abs=0.02)


def _until(true_after: Callable[[float], bool]) -> float:
    return next(n / 100 for n in range(10_000) if true_after(n / 100))


def test_a_stage_that_cannot_run_here_is_asked_for_whatever_happens() -> None:
    cuts = Cuts(2, most=1)
    assert cuts.choose(0.0, askable=False) in (0, 1)
    cuts.failed_there(0.0)
    assert cuts.choose(0.1, askable=True) in (0, 1)


def test_with_no_engine_at_all_the_cut_is_in_front_of_everything() -> None:
    cuts = Cuts(2, most=0)
    assert {cuts.choose(n / 10, askable=True) for n in range(100)} == {0}


def test_a_cut_that_was_hopeless_is_tried_again_much_later() -> None:
    world = World((10.0, 10.0), (500.0, 11.0))
    world.run(20)
    later = world.run(HOPELESS_STALE_S - 50)
    assert 0 not in later
    assert 1 in later
    assert 0 in world.run(100)


def test_the_first_measurement_is_of_something_cold_and_does_not_count() -> None:
    cuts = Cuts(1)
    cuts.ran_there(0, 900.0, 0.0)
    assert cuts.cost_ms(0) == 900.0
    cuts.ran_there(0, 5.0, 1.0)
    assert cuts.cost_ms(0) == 5.0
    cuts.ran_there(0, 10.0, 2.0)
    assert cuts.cost_ms(0) == 6.0
