"""What works on this machine, what does not, and the exact fix for each."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from appliance import installed
from appliance.assembly import state_folder
from appliance.broker_doctor import broker_findings
from appliance.catalogue import Catalogue
from appliance.config import Config
from appliance.config_doctor import configuration
from appliance.finding import Finding
from appliance.gpu_doctor import gpu_findings
from appliance.machine_doctor import machine_findings
from appliance.microphone_doctor import STOP_IT, is_held, level_findings
from appliance.pipeline import fit
from appliance.reach import Reach
from appliance.reach_doctor import reach_findings
from appliance.secret_doctor import secret_findings
from capture.camera import CameraDevice, cameras
from capture.formats import formats, only_raw
from capture.source import CaptureError
from engines.engine import EngineError

LEAST_FREE_MB = 512
SEES_THE_SYSTEMS = "use a virtual environment with --system-site-packages"


def examine(path: Path | None) -> list[Finding]:
    """Every finding, in the order a person would look; `path` is a configuration, if there is one;
    where another one came from afar, that one is judged."""
    findings: list[Finding] = []
    config: Config | None = None
    if path is not None:
        config, found = configuration(path)
        findings += found
    known = config or Config()
    findings += [
        *_opencv(),
        *_engines(),
        *gpu_findings(known),
        *camera_findings(known),
        *_microphones(known),
        *machine_findings(),
        *_disk(known),
    ]
    if config is not None and path is not None:
        findings += [
            *level_findings(config),
            *secret_findings(config, path),
            *_models(config),
            *broker_findings(config),
            *reach_findings(config, Reach.of_the_unit()),
        ]
    return findings


def _opencv() -> Iterator[Finding]:
    try:
        import cv2
    except ImportError as error:
        fix = installed.environment("pip install opencv-python; on a Jetson apt-get install python3-opencv")
        yield Finding("OpenCV", "problem", f"cannot be imported: {error}", fix)
        return
    streamer = next((line for line in cv2.getBuildInformation().splitlines() if "GStreamer" in line), "")
    if "YES" in streamer:
        yield Finding("OpenCV", "ok", f"{cv2.__version__} with GStreamer")
    else:
        yield Finding(
            "OpenCV",
            "note",
            f"{cv2.__version__} without GStreamer: no CSI cameras",
            f"on a Jetson: apt-get install python3-opencv, then {installed.environment(SEES_THE_SYSTEMS)}",
        )


def _engines() -> Iterator[Finding]:
    yield _package("ONNX Runtime", "onnxruntime", "no model can run")


def _package(subject: str, module: str, without: str) -> Finding:
    """Whether it can be imported: what is installed may lack a library, or be for another processor."""
    try:
        __import__(module)
        return Finding(subject, "ok", version(module))
    except PackageNotFoundError:
        return Finding(subject, "ok", "of the system")
    except (ImportError, OSError) as error:
        fix = installed.environment(f"pip install --force-reinstall {module}")
        return Finding(subject, "problem", f"{without}: it cannot be loaded: {error}", fix)


def camera_findings(config: Config) -> Iterator[Finding]:
    devices = sorted(Path("/dev").glob("video*"))
    if not devices:
        wanted = [camera.name for camera in config.camera if camera.enabled and camera.uri.startswith("camera:")]
        yield Finding(
            "cameras",
            "problem" if wanted else "note",
            "no local camera (/dev/video*)" + (f", which {', '.join(wanted)} needs" if wanted else ""),
            "plug one in, or use rtsp://, file: or scene:",
        )
    for camera in cameras():
        if os.access(camera.path, os.R_OK | os.W_OK):
            yield _camera(camera, config)
        else:
            yield Finding("camera", "problem", f"{camera}: no permission", _join_group("video"))


def _camera(camera: CameraDevice, config: Config) -> Finding:
    try:
        offered = formats(camera.path)
    except CaptureError as error:
        return Finding("camera", "problem", f"{camera}: {error}", "unplug it and plug it in again; see `dmesg`")
    if not offered:
        return Finding("camera", "note", f"{camera}: its driver offers no pictures", "use another of its devices")
    listed = "; ".join(map(str, offered))
    if only_raw(offered):
        text = f'{camera.path} ({camera.label}): a CSI camera, on a Jetson uri = "csi:0": {listed}'
        if any(each.enabled and each.uri.startswith("csi:") for each in config.camera):
            return Finding("camera", "ok", text)
        return Finding("camera", "note", text, 'write uri = "csi:0" under [[camera]], a second one is csi:1')
    return Finding("camera", "ok", f"{camera}: {listed}")


def _join_group(group: str) -> str:
    known = group in {entry.gr_name for entry in grp.getgrall()}
    user = pwd.getpwuid(os.getuid()).pw_name  # setpriv leaves $USER as it was
    return f"usermod -aG {group} {user}, then log in again" if known else "run as root"


def _microphones(config: Config) -> Iterator[Finding]:
    from capture.microphones import input_devices

    yield _package("sound files", "soundfile", "no wav: source and no sound in predict")
    wanted = [mic.name for mic in config.microphone if mic.enabled and mic.uri.startswith("mic:")]
    state: Literal["note", "problem"] = "problem" if wanted else "note"
    needed = f", which {', '.join(wanted)} needs" if wanted else ""
    try:
        names = input_devices()
    except CaptureError as error:
        yield Finding("microphones", state, f"{error}{needed}", "apt-get install libportaudio2 libasound2-plugins")
        return
    if not names and wanted and is_held(config):
        held = ", ".join(wanted)
        yield Finding("microphones", "note", f"none is free; the running appliance may hold {held}", STOP_IT)
    elif not names:
        where_it_runs = f"where the appliance runs, {STOP_IT}; else " if wanted else ""
        yield Finding("microphones", state, f"no input device{needed}", f"{where_it_runs}plug one in, or use wav:")
    for name in names:
        yield Finding("microphone", "ok", name)


def _disk(config: Config) -> Iterator[Finding]:
    folder = state_folder(config, dict(os.environ))
    present = next(parent for parent in (folder, *folder.parents) if os.path.exists(parent))  # noqa: PTH110  # False for what may not be seen
    if not present.is_dir() or not os.access(present, os.W_OK | os.X_OK):
        yield Finding("disk", "problem", f"{folder}: cannot be written", "set state_dir under [device], or its owner")
        return
    free_mb = shutil.disk_usage(present).free // 1_000_000
    need_mb = config.outbox.max_mb + LEAST_FREE_MB
    state: Literal["ok", "problem"] = "ok" if free_mb >= need_mb else "problem"
    fix = "" if state == "ok" else f"free {need_mb - free_mb} MB, or lower max_mb under [outbox]"
    yield Finding("disk", state, f"{folder}: {free_mb} MB free, {need_mb} MB wanted", fix)


def _models(config: Config) -> Iterator[Finding]:
    catalogue = Catalogue.default(state_folder(config, dict(os.environ)))
    for pipeline in config.pipeline:
        try:
            manifest = catalogue.find(pipeline.model).manifest
        except EngineError as error:
            fix = installed.command("models add FILE.onnx")
            yield Finding("model", "problem", f"{pipeline.name}: {error}", fix)
            continue
        hears = pipeline.source in {microphone.name for microphone in config.microphone}
        wrong = fit.misfit(pipeline, hears, manifest) or fit.unknown_labels(pipeline, manifest)
        if wrong:
            yield Finding("model", "problem", f"{pipeline.name}: {wrong}", "change source, model or labels there")
        else:
            yield Finding("model", "ok", f"{pipeline.name}: {manifest.name} {manifest.version}, {manifest.task}")
