"""Numbers of states that a device is seldom in, and who may ask for them over the network."""

from __future__ import annotations

import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import pytest

from appliance.assembly import Assembly, assemble
from appliance.catalogue import Catalogue
from appliance.config import parse
from appliance.harvest.harvester import HarvestFigures
from appliance.harvest.picker import PickerFigures
from appliance.harvest.sender import SenderFigures
from appliance.health import Health, PipelineFigures, pipeline_figures
from appliance.histogram import Histogram
from appliance.metrics.exposition import exposition
from appliance.metrics.observed import Observed, cpu_s
from appliance.metrics.serving import MetricsServer
from appliance.metrics.settings import Metrics
from appliance.mqtt.topics import Topics
from appliance.power import PowerFigures
from appliance.remote.asker_figures import AskerFigures
from appliance.remote.figures import RoutedFigures
from appliance.uplink.figures import UplinkFigures
from tests.appliance.metrics.test_metrics import samples
from tests.certificates import Authority
from tests.waiting import until

CONFIG = """
[[camera]]
name = "dock"
uri = "scene:shapes"
[[pipeline]]
name = "shapes"
source = "dock"
model = "shapes"
"""
QUIET = Health(
    status="ok",
    reasons=(),
    uptime_s=12.5,
    clock="synced",
    memory_mb=100.0,
    sources={},
    pipelines={},
    uplink={},
    restart_required=(),
)


def observed(health: Health = QUIET, joules: float | None = None) -> Observed:
    return Observed(
        device="box",
        health=health,
        assembly=Assembly(),
        threads={"main": threading.main_thread()},
        ready=True,
        live_times=Histogram(),
        stored_times=Histogram(),
        joules=joules,
    )


def everything() -> Observed:
    """A device of which everything can be told."""
    config = parse(CONFIG, "x.toml")
    catalogue = Catalogue.default(None)
    made = assemble(config, catalogue, Topics("appliance", "box"), lambda _: None, lambda: "synced", lambda: None)
    now_ns = time.monotonic_ns()
    remote = RoutedFigures(decisions={f"{place}: healthy": 1 for place in ("local", "remote")})
    health = replace(
        QUIET,
        sources={name: replace(feed.figures(now_ns), age_s=0.1) for name, feed in made.feeds.items()},
        pipelines={
            name: replace(pipeline_figures(each, made.worker_of(each)), remote=remote)
            for name, each in made.pipelines.items()
        },
        uplink=asdict(UplinkFigures()),
        remote=asdict(AskerFigures()),
        power=PowerFigures("measured: VDD_IN", watts=7.25),
        temperature_c=61.5,
        harvest=HarvestFigures({"shapes": PickerFigures(0, 0, 0, 0, 0, 0, 0)}, SenderFigures()),
    )
    return replace(observed(health, joules=1.0), assembly=made, viewers=2)


def told(health: Health, joules: float | None = None) -> dict[tuple[str, frozenset[str]], float]:
    return samples(exposition(observed(health, joules)))


def test_reasons_that_nobody_knows_beforehand_add_up_under_one_name() -> None:
    uplink = UplinkFigures(
        dropped_by_reason={"disk full": 3, "the broker refused it (0x93)": 2, "the broker refused it (0x97)": 1},
        posts_dropped={"not connected": 5, "new in some later version": 7},
    )
    now = told(replace(QUIET, uplink=asdict(uplink)))
    assert now["appliance_outbox_dropped_total", frozenset(["disk full"])] == 3
    assert now["appliance_outbox_dropped_total", frozenset(["other"])] == 3
    assert now["appliance_messages_dropped_total", frozenset(["not connected"])] == 5
    assert now["appliance_messages_dropped_total", frozenset(["other"])] == 7


def test_who_is_asked_and_why_is_counted_and_no_service_is_named() -> None:
    remote = RoutedFigures(
        decisions={"remote: over budget": 4, "local: healthy": 9, "mars: bored": 1},
        service="online: evil-service-1",
        breaker="open",
        hedged=2,
    )
    pipeline = PipelineFigures(enabled=True, engine="none", reason="", results=0, failed=0, dropped=0, remote=remote)
    asker = asdict(AskerFigures(sent=11, late=1, reasons={"busy": 2, "made up": 3}))
    health = replace(QUIET, pipelines={"people": pipeline}, remote=asker)
    now = told(health)
    assert now["appliance_decisions_total", frozenset(["people", "remote", "over budget"])] == 4
    assert now["appliance_decisions_total", frozenset(["people", "local", "healthy"])] == 9
    assert now["appliance_breaker_open", frozenset(["people"])] == 1
    assert now["appliance_questions_sent_total", frozenset()] == 11
    assert now["appliance_questions_refused_total", frozenset(["busy"])] == 2
    assert now["appliance_questions_refused_total", frozenset(["other"])] == 3
    assert now["appliance_questions_hedged_total", frozenset(["people"])] == 2
    text = exposition(observed(health)).decode()
    assert not any(word in text for word in ("evil", "mars", "made up"))


def test_heat_and_power_are_told_where_they_are_known() -> None:
    assert not any("joules" in name or "celsius" in name or "watts" in name for name, _ in told(QUIET))
    warm = replace(QUIET, temperature_c=61.5, power=PowerFigures("measured: VDD_IN", watts=7.25))
    now = told(warm, joules=1234.5)
    assert now["appliance_temperature_celsius", frozenset()] == 61.5
    assert now["appliance_power_watts", frozenset()] == 7.25
    assert now["appliance_energy_joules_total", frozenset()] == 1234.5


def test_the_harvest_is_told_with_the_budget_of_its_day() -> None:
    picked = PickerFigures(5, 2, 1, 4, 3000, spent_bytes=7000, budget_bytes=9000)
    health = replace(QUIET, harvest=HarvestFigures({"shapes": picked}, SenderFigures(sent=1, refused=0)))
    found, shapes = told(health), frozenset(["shapes"])
    counted = ("kept", "passed_over", "lost")
    assert [found[f"appliance_harvest_{name}_total", shapes] for name in counted] == [5, 2, 1]
    names = ("waiting", "bytes", "spent_bytes", "budget_bytes")
    assert [found[f"appliance_harvest_{name}", shapes] for name in names] == [4, 3000, 7000, 9000]
    assert [found[f"appliance_harvest_{name}_total", frozenset()] for name in ("sent", "refused")] == [1, 0]
    assert not any("harvest" in name for name, _ in told(QUIET))


def test_without_a_broker_nothing_is_said_of_one() -> None:
    assert not any("broker" in name or "outbox" in name for name, _ in told(QUIET))


def test_a_thread_that_has_ended_is_told_to_have() -> None:
    ended = threading.Thread(target=lambda: None)
    ended.start()
    ended.join()
    until(lambda: cpu_s(ended) is None, 5)
    now = samples(exposition(replace(observed(), threads={"uplink": ended})))
    assert now["appliance_thread_alive", frozenset(["uplink"])] == 0


@contextmanager
def offered(settings: Metrics) -> Iterator[str]:
    """Its address."""
    server = MetricsServer(settings)
    address = server.listen()
    stopping = threading.Event()
    thread = threading.Thread(target=partial(server.run, observe=observed), args=(stopping,), daemon=True)
    thread.start()
    try:
        yield address
    finally:
        stopping.set()
        thread.join(10)
        assert not thread.is_alive()


def test_over_the_network_only_the_bearer_of_the_token_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.sign("box")
    (tmp_path / "token").write_text("a long secret\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(key.parent))
    theirs = Path(f"credential:{key.name}")
    settings = Metrics(listen="0.0.0.0:0", cert_file=certificate, key_file=theirs, token_file=tmp_path / "token")
    with offered(settings) as address:
        url = address.replace("0.0.0.0", "127.0.0.1")
        trusting = ssl.create_default_context(cafile=str(authority.certificate))

        def ask(path: str, authorization: str) -> int:
            request = urllib.request.Request(url.replace("/metrics", path), headers={"Authorization": authorization})
            try:
                with urllib.request.urlopen(request, context=trusting, timeout=10) as answer:
                    status: int = answer.status
                    return status
            except urllib.error.HTTPError as error:
                error.close()
                return error.code

        assert ask("/metrics", "") == 401
        assert ask("/metrics", "Bearer wrong") == 401
        assert ask("/metrics", "Bearer a long secret") == 200
        assert ask("/secrets", "Bearer a long secret") == 404
