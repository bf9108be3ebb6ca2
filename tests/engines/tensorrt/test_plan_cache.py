"""Plans on the disk: what is ours is told from what is not, and nothing half-written is ever seen."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from engines.tensorrt.options import GpuOptions, Target, default_folder
from engines.tensorrt.plan_cache import Description, Plan, PlanCache, PlanMissing, PlanRefused
from engines.tensorrt.recipe import Recipe
from tests import networks
from tests.chaos.telling import tell
from tests.waiting import until

KEY = "a" * 64
PLAN = Plan(bytes(range(256)) * 40, Description("fp16", "numbers within 0.1%", 12.5, "tensorrt 10.3.0", "Orin"))
ORIN = Target("tensorrt 10.3.0", "Orin (nvgpu)", (8, 7))


@pytest.fixture
def cache(tmp_path: Path) -> PlanCache:
    return PlanCache(tmp_path / "plans")


def test_a_plan_comes_back_as_it_was_stored(cache: PlanCache) -> None:
    cache.store(KEY, PLAN)
    assert cache.load(KEY) == PLAN
    assert PlanCache(cache.folder).load(KEY) == PLAN


def test_nobody_else_can_read_or_write_the_plans(cache: PlanCache) -> None:
    cache.store(KEY, PLAN)
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert (cache.folder / "seal.key").stat().st_mode & 0o777 == 0o600


def test_what_was_never_built_is_missing(cache: PlanCache) -> None:
    with pytest.raises(PlanMissing, match="no plan has been built"):
        cache.load(KEY)
    cache.store(KEY, PLAN)
    with pytest.raises(PlanMissing):
        cache.load("b" * 64)


@pytest.mark.parametrize("kept", [0, 5, 16, 40, 60, 200, 5000, 10_000])
def test_a_plan_that_was_cut_off_is_refused_and_gone(cache: PlanCache, kept: int) -> None:
    cache.store(KEY, PLAN)
    path = cache.path(KEY)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(PlanRefused, match="it was removed and is built again"):
        cache.load(KEY)
    assert not cache.has(KEY)


def test_not_one_bit_of_a_plan_can_be_changed(cache: PlanCache) -> None:
    cache.store(KEY, PLAN)
    content = cache.path(KEY).read_bytes()
    places = range(0, len(content), 97)
    for position in places:
        changed = bytearray(content)
        changed[position] ^= 0x10
        cache.path(KEY).write_bytes(changed)
        with pytest.raises(PlanRefused):
            cache.load(KEY)
    tell("G19 changed plan", tampered=len(places), loaded=0)


def test_a_plan_under_another_name_is_refused(cache: PlanCache) -> None:
    cache.store(KEY, PLAN)
    cache.path(KEY).rename(cache.path("b" * 64))
    with pytest.raises(PlanRefused, match="was cut off, changed, or made on another machine"):
        cache.load("b" * 64)


def test_a_plan_of_another_machine_is_refused(cache: PlanCache, tmp_path: Path) -> None:
    other = PlanCache(tmp_path / "other")
    other.store(KEY, PLAN)
    cache.store("c" * 64, PLAN)
    cache.path(KEY).write_bytes(other.path(KEY).read_bytes())
    with pytest.raises(PlanRefused, match="made on another machine"):
        cache.load(KEY)


@pytest.mark.parametrize("key", [b"", b"short", b"x" * 33])
def test_with_a_damaged_key_of_the_seal_everything_is_built_again(cache: PlanCache, key: bytes) -> None:
    cache.store(KEY, PLAN)
    (cache.folder / "seal.key").write_bytes(key)
    with pytest.raises(PlanMissing):
        cache.load(KEY)
    cache.store(KEY, PLAN)
    assert cache.load(KEY) == PLAN


def test_two_that_store_at_the_same_moment_agree_on_one_key(cache: PlanCache) -> None:
    start = threading.Barrier(8)

    def body(number: int) -> None:
        start.wait()
        cache.store(f"{number:064d}", PLAN)

    threads = [threading.Thread(target=body, args=(number,), name=f"store {number}") for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [cache.load(f"{number:064d}") for number in range(8)] == [PLAN] * 8


def test_the_plans_used_longest_ago_go_first(cache: PlanCache) -> None:
    for number in range(40):
        cache.store(f"{number:064d}", PLAN)
        os.utime(cache.path(f"{number:064d}"), (number, number))
        if number == 20:
            cache.load(f"{0:064d}")
    kept = {int(path.stem) for path in cache.folder.glob("*.plan")}
    assert len(kept) <= 33
    assert 39 in kept
    assert 1 not in kept
    assert 0 in kept


def test_timings_are_kept_for_each_machine(cache: PlanCache) -> None:
    assert cache.timings(ORIN) == b""
    cache.keep_timings(ORIN, b"measured")
    assert cache.timings(ORIN) == b"measured"
    assert cache.timings(replace(ORIN, tensorrt="tensorrt 10.13.3.9")) == b""


def test_what_a_killed_build_left_behind_is_cleared_away_by_the_next(cache: PlanCache) -> None:
    cache.store(KEY, PLAN)
    (cache.folder / ".new-rubbish").write_bytes(b"half a plan")
    (cache.folder / ".new-build-x").mkdir()
    (cache.folder / ".new-build-x" / "half.onnx").write_bytes(b"a network")
    with cache.building():
        assert sorted(path.name for path in cache.folder.iterdir()) == [".lock", f"{KEY}.plan", "seal.key"]


def _store_for_ever(folder: Path, go: object) -> None:
    cache = PlanCache(folder)
    large = replace(PLAN, content=PLAN.content * 200)
    with cache.building():
        while True:
            cache.store(KEY, large)


@pytest.mark.faults
def test_killed_at_any_moment_the_cache_holds_the_old_plan_or_the_new(cache: PlanCache, long_run: bool) -> None:
    cache.store(KEY, PLAN)
    large = replace(PLAN, content=PLAN.content * 200)
    context = multiprocessing.get_context("fork")
    for turn in range(100 if long_run else 25):
        writer = context.Process(target=_store_for_ever, args=(cache.folder, None))
        writer.start()
        until(lambda: list(cache.folder.glob(".new-*")) or cache.load(KEY) == large, within_s=10)
        threading.Event().wait(0.003 * (turn % 7))
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        assert cache.load(KEY) in (PLAN, large)
        with cache.building():
            assert list(cache.folder.glob(".new-*")) == []


# -- names ------------------------------------------------------------------------------------------------------------


def test_everything_that_would_make_another_plan_makes_another_name(tmp_path: Path) -> None:
    options = GpuOptions()
    double = Recipe(networks.double(tmp_path / "double.onnx"), options)
    external = Recipe(networks.external(tmp_path / "external.onnx"), options)
    keys = [
        double.key(ORIN),
        external.key(ORIN),
        double.key(replace(ORIN, tensorrt="tensorrt 10.13.3.9")),
        double.key(replace(ORIN, tensorrt="tensorrt_rtx 10.3.0")),
        double.key(replace(ORIN, gpu="Thor")),
        double.key(replace(ORIN, compute_capability=(11, 0))),
        replace(double, sizes={"x": (4,)}).key(ORIN),
        replace(double, int8=external.network).key(ORIN),
        *(
            replace(double, options=replace(options, **change)).key(ORIN)
            for change in (
                {"precision": "fp16"},
                {"most_rows": 4},
                {"dla_core": 0},
                {"workspace_mb": 64},
                {"effort": 5},
            )
        ),
    ]
    (tmp_path / "weights.bin").write_bytes(bytes(16))
    keys.append(external.key(ORIN))
    assert len(set(keys)) == len(keys)
    tell("G19 key", changes=len(keys) - 1, alike=len(keys) - len(set(keys)))


def test_where_plans_are_kept_and_how_they_are_started_makes_no_other_name(tmp_path: Path) -> None:
    double = Recipe(networks.double(tmp_path / "double.onnx"), GpuOptions())
    elsewhere = replace(double, options=GpuOptions(plans=tmp_path, graph=False))
    assert elsewhere.key(ORIN) == double.key(ORIN)
    copied = Recipe(networks.double(tmp_path / "copy.onnx"), GpuOptions())
    assert copied.key(ORIN) == double.key(ORIN)


def test_the_cache_is_systemds_or_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("APPLIANCE_PLANS", "CACHE_DIRECTORY", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert default_folder() == Path("/home/somebody/.cache/appliance/plans")
    monkeypatch.setenv("CACHE_DIRECTORY", "/var/cache/appliance")
    assert default_folder() == Path("/var/cache/appliance/plans")
    monkeypatch.setenv("APPLIANCE_PLANS", "/tmp/plans")
    assert default_folder() == Path("/tmp/plans")
