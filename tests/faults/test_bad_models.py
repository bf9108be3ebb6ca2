"""Whatever its owner signs: a bad model is returned by itself, without a network, and the one before answers on."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from engines.bundle import Bundle, write_bundle
from engines.manifest import Manifest
from tests import bad_models
from tests.appliance.sync import test_live
from tests.appliance.sync.test_live import Site
from tests.appliance.sync.world import Hands
from tests.appliance_process import ApplianceProcess, Ear
from tests.bad_models import Spoil, spoiled
from tests.chaos.telling import tell
from tests.registries import Owner
from tests.waiting import until

site, ear, url = test_live.site, test_live.ear, test_live.url

pytestmark = [pytest.mark.faults, pytest.mark.broker, pytest.mark.system, pytest.mark.timeout(2400)]

WITHIN_S = 60.0
"""From the moment that all of it is here."""
RESULT = "pipeline/shapes/result"


@dataclass(frozen=True)
class Bad:
    spoil: Spoil
    reason: str
    about: dict[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()


MODELS = {
    "says NaN": Bad(bad_models.nan, "NaN"),
    "has another shape": Bad(bad_models.wrong_shape, "rows of scores"),
    "is off its golden outputs": Bad(bad_models.wrong_numbers, "off the golden ones"),
    "is too slow": Bad(bad_models.slow, "too slow"),
    "needs too much memory": Bad(bad_models.memory_bomb, "memory|alloc"),
    "keeps more and more memory": Bad(bad_models.leak, "it keeps memory"),
    "never answers": Bad(bad_models.endless, "no answer within|processor time", {"operators": "Loop"}),
    "hangs at frame 50": Bad(bad_models.hang_at_frame_50, "no answer within|processor time", {"operators": "Loop"}),
    "crashes the process at frame 50": Bad(bad_models.crash_at_frame_50, "ended by signal 8"),
    "lies about its labels": Bad(bad_models.as_it_is, "it says something else", labels=("cat", "dog", "cow")),
}

SHORT = ("says NaN", "keeps more and more memory", "crashes the process at frame 50", "lies about its labels")
"""Without --long."""


def made(folder: Path, bad: Bad, version: str) -> Bundle:
    bundle = spoiled(folder, bad.spoil, version, **bad.about)
    if not bad.labels:
        return bundle
    document = json.loads(bundle.manifest.canonical()) | {"labels": list(bad.labels)}
    return write_bundle(folder / "lies", Manifest.model_validate_json(json.dumps(document)), dict(bundle.files))


@pytest.fixture
def owner(tmp_path: Path) -> Owner:
    return Owner(tmp_path / "registry")


@pytest.fixture
def hands(owner: Owner) -> Hands:
    return Hands(owner.folder)


def reported(ear: Ear) -> dict[str, Any]:
    reports = ear.documents("box/models/reported")
    found: dict[str, Any] = reports[-1]["models"].get("shapes", {}) if reports else {}
    return found


def test_every_bad_model_is_returned_without_a_network_and_the_one_before_answers(
    site: Site,
    ear: Ear,
    owner: Owner,
    hands: Hands,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    long_run: bool,
) -> None:
    """The time counts where the machine is not overloaded: then the process that tries models has less than a core."""
    versions = {str(2 + number): name for number, name in enumerate(MODELS if long_run else SHORT)}
    for version, name in versions.items():
        owner.publish(made(tmp_path / "bad" / version, MODELS[name], version))
    config = (
        site.config(shadow_s=5.0).replace("slower = 500", "slower = 5").replace("timeout_s = 30.0", "timeout_s = 5.0")
    )
    late = []
    with ApplianceProcess(site.folder, config) as appliance:
        ear.await_document(RESULT, within_s=60, status="ok")
        for version, name in versions.items():
            hands.silent = False
            document = {"n": int(version), "models": {"shapes": {"version": version}}}
            ear.forge("appliance/box/models/desired", json.dumps(document).encode(), retain=True)
            until(lambda v=version: reported(ear).get("version") == v and reported(ear)["state"] != "fetch", 120)  # type: ignore[misc]
            hands.silent, here_s = True, time.monotonic()
            until(lambda v=version: (reported(ear)["version"], reported(ear)["state"]) == (v, "returned"), 400)  # type: ignore[misc]
            took_s = time.monotonic() - here_s
            report, load = reported(ear), os.getloadavg()[0]
            with capsys.disabled():
                told = {"model": name, "reason": report["reason"], "load": round(load, 1)}
                tell("G18 bad model", returned=1, returned_after_s=round(took_s, 1), told=told)
            assert report["active"] == "1"
            assert any(words in report["reason"] for words in MODELS[name].reason.split("|")), name
            if took_s > WITHIN_S and load <= 2 * (os.cpu_count() or 1):
                late.append(name)
        since_s = time.monotonic()
        until(lambda: len(ear.documents(RESULT, since_s)) > 5, 30)
        assert {result["model"]["version"] for result in ear.documents(RESULT)} == {"1"}
        assert appliance.running
        assert reported(ear)["state"] == "returned", "not tried again"
    assert late == []
