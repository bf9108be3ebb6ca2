"""From a wish to an active model, and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from appliance.registry.publish import revoke
from appliance.sync.http_carrier import HttpCarrier
from appliance.sync.inspection import Unfit
from appliance.sync.ledger import Job
from appliance.sync.machine import Machine, Tools
from appliance.sync.published import Reference
from appliance.sync.states import State
from engines.bundle import Bundle
from tests import bad_models
from tests.appliance.sync.machines import catalogue, machine, tools, tried
from tests.appliance.sync.world import Hands, served_http
from tests.bad_models import spoiled
from tests.registries import Owner, as_version, noise, shipped

pytestmark = pytest.mark.system


@pytest.fixture
def made(owner: Owner, hands: Hands, tmp_path: Path) -> Iterator[Tools]:
    """Tools for a registry with shapes@2 and shapes@3."""
    for version in ("2", "3"):
        owner.publish(as_version(shipped("shapes"), version, tmp_path / "bundles", noise(3000, int(version))))
    root = tmp_path / "root.json"
    root.write_bytes(owner.anchor)
    with ExitStack() as stack:
        carrier = stack.enter_context(served_http(hands))
        made = carrier()
        assert isinstance(made, HttpCarrier)
        yield tools(made.url, root)


@pytest.fixture
def at_work(made: Tools, tmp_path: Path) -> Iterator[Machine]:
    with machine(tmp_path / "device", made) as opened:
        yield opened


def active(tmp_path: Path) -> str:
    """Whoever starts now gets this version, checked."""
    return catalogue(tmp_path / "device").find("shapes").manifest.version


def activated(at_work: Machine, reference: str) -> Job:
    job = tried(at_work, reference, activate=True)
    assert job.state is State.READY, job.reason
    return at_work.activation.activate(job)


def events(at_work: Machine) -> list[str]:
    return [line.event.split(":")[0] for line in reversed(at_work.ledger.history("shapes"))]


def test_a_version_is_fetched_tried_activated_and_kept_and_the_one_before_stays(
    at_work: Machine, tmp_path: Path
) -> None:
    job = tried(at_work, "shapes@2", activate=True)
    assert (job.state, active(tmp_path)) == (State.READY, "1")
    job = at_work.activation.activate(job)
    assert (job.state, job.previous, active(tmp_path)) == (State.PROBATION, "1", "2")
    at_work.activation.keep(job)
    assert active(tmp_path) == "2"
    assert catalogue(tmp_path / "device").find("shapes@1").manifest.version == "1"
    assert events(at_work) == [
        "wanted", "fetched", "verified", "inspected", "built", "tried", "activated", "kept"
    ]  # fmt: skip
    assert not (at_work.slots.folder / "staged/shapes/2").exists()
    assert list((at_work.slots.folder / "parts").iterdir()) == []


def kept(at_work: Machine, bundle: Bundle) -> Job:
    """Neither fetched nor tried."""
    name, version = bundle.manifest.name, bundle.manifest.version
    job = at_work.want(Reference(name, version), activate=True, now_s=0.0)
    at_work.slots.stage(job, bundle.manifest, dict(bundle.files))
    return at_work.activation.keep(at_work.activation.activate(job))


def test_of_what_was_fetched_only_the_active_version_and_the_one_before_stay(at_work: Machine, tmp_path: Path) -> None:
    made = {each: as_version(shipped("shapes"), each, tmp_path / "more") for each in ("2", "3", "4", "5", "by-hand")}
    library = catalogue(tmp_path / "device").library
    library.add(made["by-hand"].folder)
    for version in ("2", "3", "4", "5"):
        job = kept(at_work, made[version])
        at_work.activation.tidy(job, ["shapes@2", "tones"])
    assert set(library.list()[0].versions) == {"by-hand", "2", "4", "5"}
    assert events(at_work).count("removed") == 1
    at_work.activation.tidy(job, ["shapes"])
    assert set(library.list()[0].versions) == {"by-hand", "4", "5"}
    assert at_work.activation.give_back(job, "asked for", deny=False).state is State.RETURNED
    assert active(tmp_path) == "4"


def test_a_new_wish_begins_without_the_progress_of_the_one_before(at_work: Machine) -> None:
    at_work.activation.keep(activated(at_work, "shapes@2"))
    assert at_work.ledger.note("progress shapes") == 100
    at_work.want(Reference("shapes", "3"), activate=True, now_s=0.0)
    assert at_work.ledger.note("progress shapes") is None


def test_a_candidate_is_no_version_that_a_restart_would_take(at_work: Machine, tmp_path: Path) -> None:
    tried(at_work, "shapes@2")
    assert [each.versions for each in catalogue(tmp_path / "device").library.list()] == []
    assert active(tmp_path) == "1"


def test_a_version_that_is_returned_leaves_the_one_before_and_is_not_tried_again(
    at_work: Machine, tmp_path: Path
) -> None:
    job = at_work.activation.give_back(activated(at_work, "shapes@2"), "it was bad", deny=True)
    assert (job.state, active(tmp_path)) == (State.RETURNED, "1")
    again = tried(at_work, "shapes@2")
    assert again.state is State.RETURNED
    assert "this very content was returned before: it was bad" in again.reason
    assert at_work.ledger.forgive("shapes", "2") == 1
    assert tried(at_work, "shapes@2").state is State.READY


def test_the_third_start_without_being_kept_goes_back_without_a_network(
    at_work: Machine, hands: Hands, tmp_path: Path
) -> None:
    activated(at_work, "shapes@2")
    hands.silent = True
    for _ in range(2):
        at_work.activation.recover()
        assert active(tmp_path) == "2"
    at_work.activation.recover()
    assert active(tmp_path) == "1"
    job = at_work.ledger.job("shapes")
    assert job is not None
    assert "3 starts without being kept" in job.reason
    assert at_work.ledger.denied(job.digest)


def test_the_third_start_in_shadow_gives_it_up(at_work: Machine, tmp_path: Path) -> None:
    job = at_work.ledger.move(tried(at_work, "shapes@2", activate=True), State.SHADOW)
    states = []
    for _ in range(3):
        at_work.activation.recover()
        states.append((at_work.ledger.job("shapes") or job).state)
        assert active(tmp_path) == "1"
    assert states == [State.SHADOW, State.SHADOW, State.RETURNED]
    assert at_work.ledger.denied(job.digest)


def test_starts_in_shadow_do_not_count_in_probation(at_work: Machine, tmp_path: Path) -> None:
    at_work.ledger.move(tried(at_work, "shapes@2", activate=True), State.SHADOW)
    for _ in range(2):
        at_work.activation.recover()
    job = at_work.ledger.job("shapes")
    assert job is not None
    at_work.activation.activate(job)
    at_work.activation.recover()
    assert active(tmp_path) == "2"


def test_a_person_may_choose_a_returned_version_again(at_work: Machine, tmp_path: Path) -> None:
    at_work.activation.give_back(activated(at_work, "shapes@2"), "asked for", deny=False)
    at_work.slots.point("shapes", "2")
    at_work.activation.recover()
    assert active(tmp_path) == "2"


def test_what_was_published_before_what_the_device_has_had_is_refused_until_it_is_published_again(
    at_work: Machine, owner: Owner, tmp_path: Path
) -> None:
    at_work.activation.keep(activated(at_work, "shapes@3"))
    job = tried(at_work, "shapes@2")
    assert "published before what this device has had (number 1, after 2)" in job.reason
    owner.publish(Bundle.open(tmp_path / "bundles/shapes/2"), again=True)
    assert tried(at_work, "shapes@2").state is State.READY


def test_a_revoked_version_returns_by_itself_at_the_next_look(at_work: Machine, owner: Owner, tmp_path: Path) -> None:
    at_work.activation.keep(activated(at_work, "shapes@2"))
    revoke(owner.repository, owner.keyring, Reference("shapes", "2"))
    at_work.ask_registry()
    job = at_work.ledger.job("shapes")
    assert job is not None
    assert (job.state, job.reason, active(tmp_path)) == (State.RETURNED, "its owner has revoked it", "1")


def test_a_look_at_the_registry_finds_what_was_published_last_of_each_model(
    at_work: Machine, owner: Owner, tmp_path: Path
) -> None:
    owner.publish(as_version(shipped("shapes"), "1", tmp_path / "new", name="forms"))
    owner.publish(Bundle.open(tmp_path / "bundles/shapes/2"), again=True)
    at_work.ask_registry(["shapes", "forms", "nothing"])
    assert at_work.ledger.notes("newest ") == {"shapes": "2", "forms": "1"}
    revoke(owner.repository, owner.keyring, Reference("shapes", "2"))
    at_work.ask_registry(["shapes"])
    assert at_work.ledger.note("newest shapes") == "3"


def test_a_model_that_was_not_there_before_is_not_there_after_its_return(
    at_work: Machine, owner: Owner, tmp_path: Path
) -> None:
    owner.publish(as_version(shipped("shapes"), "1", tmp_path / "new", name="forms"))
    job = at_work.activation.activate(tried(at_work, "forms@1", activate=True))
    assert [each.name for each in catalogue(tmp_path / "device").library.list()] == ["forms"]
    at_work.activation.give_back(job, "it was bad", deny=True)
    assert catalogue(tmp_path / "device").library.list() == ()


def test_what_is_pinned_stays(at_work: Machine) -> None:
    at_work.ledger.put_note("pin shapes", "1")
    with pytest.raises(Unfit, match="pinned to 1"):
        tried(at_work, "shapes@2")


def test_what_is_active_is_not_wanted_again(at_work: Machine) -> None:
    with pytest.raises(Unfit, match="it is the active version already"):
        tried(at_work, "shapes@1")


def test_a_slow_version_is_returned_before_it_answers_anybody(at_work: Machine, owner: Owner, tmp_path: Path) -> None:
    owner.publish(spoiled(tmp_path / "slow", bad_models.slow, "4"))
    job = tried(at_work, "shapes@4")
    assert job.state is State.RETURNED
    assert "too slow" in job.reason


def test_progress_is_told_while_it_is_fetched(made: Tools, owner: Owner, tmp_path: Path) -> None:
    from dataclasses import replace

    owner.publish(as_version(shipped("shapes"), "5", tmp_path / "bundles", noise(3_000_000)))
    shares: list[float] = []
    telling = replace(made, tell=lambda _job, progress: shares.append(progress.done_bytes / progress.total_bytes))
    with machine(tmp_path / "device", telling) as at_work:
        tried(at_work, "shapes@5")
    assert len(shares) > 10
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
