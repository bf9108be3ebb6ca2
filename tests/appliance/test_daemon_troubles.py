"""A running appliance in the hands of a nervous operator: reloads, wrong models, leftovers, and what health says."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.appliance_process import ApplianceProcess, Ear
from tests.conftest import Broker
from tests.disks import fill, small_disk
from tests.waiting import until

pytestmark = [pytest.mark.broker, pytest.mark.system]

CAMERA = '[[camera]]\nname = "dock"\nuri = "scene:shapes"\nfps = 10\n'
PIPELINE = '[[pipeline]]\nname = "shapes"\nsource = "dock"\nmodel = "shapes"\n'


def mqtt(broker: Broker) -> str:
    return f'[mqtt]\nbroker = "{broker.url}"\n'


@pytest.fixture
def ear(broker: Broker) -> Iterator[Ear]:
    with Ear(broker.port) as ear:
        yield ear


def keep(ear: Ear, topic: str, payload: bytes) -> None:
    ear.forge(f"appliance/box/{topic}", payload, retain=True)


def test_a_model_of_sound_on_a_camera_fails_with_the_way_out_and_the_rest_goes_on(
    broker: Broker, ear: Ear, tmp_path: Path
) -> None:
    wrong = PIPELINE.replace('name = "shapes"', 'name = "wrong"').replace('model = "shapes"', 'model = "tones"')
    with ApplianceProcess(tmp_path, mqtt(broker) + CAMERA + PIPELINE + wrong):
        words = "tones listens to sound and dock is a camera: give it a [[microphone]], or another model"
        health = ear.await_document("box/health", within_s=15, status="degraded", reasons=[f"wrong: {words}"])
        assert health["pipelines"]["wrong"]["engine"] == "none"
        failed = ear.await_document("pipeline/wrong/result", status="failed", reason=words)
        assert "detections" not in failed
        ear.await_document("pipeline/shapes/result", time.monotonic(), status="ok")


def test_a_model_of_pictures_on_a_microphone_is_told(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    import numpy as np
    import soundfile  # type: ignore[import-untyped] # it has no types

    soundfile.write(tmp_path / "hum.wav", np.random.default_rng(0).standard_normal(160_000) * 0.1, 16_000)
    microphone = f'[[microphone]]\nname = "dock"\nuri = "wav:{tmp_path}/hum.wav"\n'
    with ApplianceProcess(tmp_path, mqtt(broker) + microphone + PIPELINE):
        health = ear.await_document("box/health", within_s=15, status="failed")
        assert health["reasons"] == [
            "shapes: shapes looks at pictures and dock is a microphone: give it a [[camera]], or another model"
        ]
        ear.await_document("pipeline/shapes/result", status="failed")


def test_a_model_whose_name_no_file_can_have_ends_nothing(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    wrong = PIPELINE.replace('name = "shapes"', 'name = "wrong"').replace('model = "shapes"', f'model = "{"x" * 300}"')
    with ApplianceProcess(tmp_path, mqtt(broker) + CAMERA + PIPELINE + wrong):
        health = ear.await_document("box/health", within_s=15, status="degraded")
        assert any("cannot be read: File name too long" in reason for reason in health["reasons"])
        ear.await_document("pipeline/shapes/result", time.monotonic(), status="ok")


def test_what_a_pipeline_asks_for_in_vain_is_a_reason_in_health(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    zone = '[[pipeline.zones]]\nname = "far"\npolygon = [[9000, 0], [9900, 0], [9900, 10]]\n'
    with ApplianceProcess(tmp_path, mqtt(broker) + CAMERA + PIPELINE + 'labels = ["purple"]\n' + zone):
        reasons = [
            'shapes: labels: shapes never says "purple"; it knows red, green, blue',
            "shapes: zones outside the picture of 640x360: far: draw them for this size",
        ]
        ear.await_document("box/health", within_s=15, status="degraded", reasons=reasons)


def test_health_tells_a_new_reason_though_the_status_is_the_same(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    video = tmp_path / "clip.mp4"
    camera = f'[[camera]]\nname = "yard"\nuri = "file:{video}"\n'
    with ApplianceProcess(tmp_path, mqtt(broker) + CAMERA + PIPELINE + camera):
        until(lambda: any("No such file" in str(h["reasons"]) for h in ear.documents("box/health")), 15)
        video.write_bytes(b"no video")
        until(lambda: any("is not a" in str(h["reasons"]) for h in ear.documents("box/health")), 15)


def test_topics_that_the_broker_forbids_stand_in_health(new_broker: type[Broker], tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic read #\ntopic write appliance/box/health\ntopic write appliance/box/available\n")
    acl.chmod(0o644)
    strict = new_broker(tmp_path, f"acl_file {acl}")
    strict.start()
    try:
        with Ear(strict.port) as ear, ApplianceProcess(tmp_path, mqtt(strict) + CAMERA + PIPELINE):
            until(lambda: any("does not allow" in str(h["reasons"]) for h in ear.documents("box/health")), 15)
            assert ear.documents("box/health")[-1]["status"] == "degraded"
    finally:
        strict.kill()


def test_a_camera_that_fails_again_and_again_is_logged_once(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    with ApplianceProcess(tmp_path, mqtt(broker) + CAMERA + "crop = [0, 0, 9000, 9000]\n" + PIPELINE) as appliance:
        ear.await_document("box/health", within_s=15, status="degraded")
        since_s = time.monotonic()
        until(lambda: time.monotonic() > since_s + 2.5)  # it is tried again meanwhile
        assert appliance.log.count("opened") == 0
        assert appliance.log.count("WARNING dock: crop") == 1


def test_a_storm_of_reloads_ends_in_the_last_configuration(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    with ApplianceProcess(tmp_path, mqtt(broker) + CAMERA + PIPELINE) as appliance:
        ear.await_document("pipeline/shapes/result", within_s=15)
        threads = len(list(Path(f"/proc/{appliance.pid}/task").iterdir()))
        for number in range(20):
            appliance.write(
                mqtt(broker) + CAMERA.replace("dock", f"dock-{number}") + PIPELINE.replace("dock", f"dock-{number}")
            )
            appliance.send(signal.SIGHUP)
        ear.await_document("pipeline/shapes/result", within_s=30, source="dock-19")
        assert len(list(Path(f"/proc/{appliance.pid}/task").iterdir())) == threads
        assert "ERROR" not in appliance.log


def test_what_needs_a_restart_is_named_until_it_is_put_back(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    with ApplianceProcess(tmp_path, mqtt(broker) + CAMERA + PIPELINE) as appliance:
        ear.await_document("pipeline/shapes/result", within_s=15)
        changed = mqtt(broker) + "[outbox]\nmax_mb = 64\n"
        for config, required in (
            (changed + CAMERA + PIPELINE, ["outbox"]),
            (changed + CAMERA + PIPELINE + "confirm = 2\n", ["outbox"]),
            (mqtt(broker) + CAMERA + PIPELINE, []),
        ):
            appliance.write(config)
            ear.say("appliance/box/request/reload", {"transaction": config})
            answer = ear.await_document("response/reload", within_s=15, transaction=config)
            assert answer["data"] == {"restart_required": required}


def test_what_an_earlier_configuration_left_behind_is_cleared(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    keep(ear, "pipeline/old/state", b'{"enabled": true}')
    keep(ear, "pipeline/old/count/red", b'{"count": 3}')
    keep(ear, "source/old/available", b"online")
    keep(ear, "pipeline/shapes/count/zebra", b'{"count": 1}')
    with ApplianceProcess(tmp_path, mqtt(broker) + CAMERA + PIPELINE):
        for topic in ("old/state", "old/count/red", "old/available", "shapes/count/zebra"):
            ear.await_payload(topic, b"", within_s=15)


def test_a_count_of_an_earlier_run_is_put_right(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    keep(ear, "pipeline/shapes/count/red", b'{"count": 77}')
    with ApplianceProcess(tmp_path, mqtt(broker) + CAMERA + PIPELINE + "threshold = 1.0\n"):
        ear.await_document("shapes/count/red", within_s=15, count=0)


def test_a_reload_clears_what_it_removes(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    with ApplianceProcess(tmp_path, mqtt(broker) + CAMERA + PIPELINE) as appliance:
        until(lambda: [count for count in ear.documents("shapes/count/red") if count["count"]], 15)
        appliance.write(mqtt(broker) + CAMERA.replace("dock", "gate"))
        appliance.send(signal.SIGHUP)
        for topic in ("shapes/count/red", "shapes/state", "dock/available", "dock/state"):
            ear.await_payload(topic, b"", within_s=10)
        ear.await_payload("gate/available", b"online", within_s=10)
        with Ear(broker.port) as newcomer:
            newcomer.await_payload("gate/available", b"online")
            assert not [topic for topic in ("shapes/state", "dock/state") if newcomer.payloads(topic)]
            assert json.loads(newcomer.payloads("gate/state")[0]) == {"enabled": True}


def test_threads_carry_their_names_for_the_system_too(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    with ApplianceProcess(tmp_path, mqtt(broker) + CAMERA + PIPELINE) as appliance:
        ear.await_document("pipeline/shapes/result", within_s=15)
        names = {task.read_text().strip() for task in Path(f"/proc/{appliance.pid}/task").glob("*/comm")}
    assert {"capture dock", "model shapes", "uplink"} <= names


def test_without_opencv_pictures_fail_with_the_way_out_and_sound_goes_on(
    broker: Broker, ear: Ear, tmp_path: Path
) -> None:
    import numpy as np
    import soundfile

    (tmp_path / "cv2.py").write_text('raise ModuleNotFoundError("No module named \'cv2\'", name="cv2")\n')
    soundfile.write(tmp_path / "hum.wav", np.random.default_rng(0).standard_normal(160_000) * 0.1, 16_000)
    microphone = f'[[microphone]]\nname = "hall"\nuri = "wav:{tmp_path}/hum.wav"\nloop = true\n'
    tones = '[[pipeline]]\nname = "tones"\nsource = "hall"\nmodel = "tones"\n'
    config = mqtt(broker) + CAMERA + PIPELINE + microphone + tones
    with ApplianceProcess(tmp_path, config, PYTHONPATH=str(tmp_path)) as appliance:
        health = ear.await_document("box/health", within_s=15, status="degraded")
        assert all("OpenCV is not installed" in reason for reason in health["reasons"]), health["reasons"]
        assert health["pipelines"]["shapes"]["engine"] == "none"
        ear.await_document("pipeline/tones/result", time.monotonic(), status="ok")
        assert "Traceback" not in appliance.log


def test_a_full_disk_stands_in_health_until_there_is_room(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        stopped = ApplianceProcess(disk, mqtt(broker) + CAMERA + PIPELINE)
        filling = fill(disk)
        with stopped:
            words = f"{disk}/outbox.db: the disk is full: free some space, or set [device] state_dir to another disk"
            ear.await_document("box/health", within_s=15, status="degraded", reasons=[words])
            filling.unlink()
            ear.await_document("box/health", time.monotonic(), within_s=40, status="ok")
