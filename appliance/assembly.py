"""From a configuration to the feeds, pipelines and workers that carry it out; nothing is opened or started here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from appliance.catalogue import Catalogue
from appliance.config import Config, load
from appliance.config_errors import ConfigError
from appliance.config_pipeline import Pipeline as PipelineConfig
from appliance.config_sources import Camera, Microphone
from appliance.gpu_options import gpu_options
from appliance.mqtt.settings import BrokerAddress
from appliance.mqtt.topics import Topics
from appliance.pipeline.feed import Feed
from appliance.pipeline.pipeline import Pipeline, Show
from appliance.pipeline.worker import Worker
from appliance.remote.figures import RoutedFigures
from appliance.result import Clock, Result
from appliance.secret import secret
from appliance.together.gathering import Gathering
from appliance.uplink.outgoing import Outgoing
from capture.geometry import Geometry
from capture.open import is_audio, is_sensor, open_source
from capture.options import AudioOptions, VideoOptions
from capture.samples import Sample
from capture.source import CaptureError, Source
from engines.bundle import Bundle
from engines.engine import EngineError
from engines.manifest import AudioInput

if TYPE_CHECKING:
    from appliance.harvest.harvester import Harvester
    from appliance.page.hub import Hub
    from appliance.recorder.recorder import Recorder
    from appliance.remote.wiring import RemoteParts
    from appliance.traces.device import DeviceTraces
    from engines.model import Model

DEFAULT_RATE_HZ = 16_000


@dataclass(frozen=True, slots=True)
class Assembly:
    """Everything that runs for one configuration."""

    feeds: dict[str, Feed] = field(default_factory=dict)
    pipelines: dict[str, Pipeline] = field(default_factory=dict)
    workers: dict[str, Worker] = field(default_factory=dict)
    remote: RemoteParts | None = None
    """What asks the model services, where a pipeline may."""
    recorder: Recorder | None = None
    """What keeps clips, where a pipeline is to."""
    harvester: Harvester | None = None
    """What keeps samples for a model to learn from, where a pipeline is to."""
    gathering: Gathering | None = None
    """What brings pictures and sounds together, where that is asked for."""

    def worker_of(self, pipeline: Pipeline) -> Worker:
        named = (
            worker for worker in self.workers.values() if any(each.name == pipeline.name for each in worker.pipelines)
        )
        return next(named)

    def routed_figures(self, pipeline: str) -> RoutedFigures | None:
        """Who answers for this pipeline, and why; None where only the device can."""
        routed = None if self.remote is None else self.remote.routing.routed.get(pipeline)
        return None if routed is None else routed.figures


def read(path: Path) -> Config:
    """The configuration in a file, as far as it can be judged without touching a device; raises ConfigError."""
    config = load(path)
    try:
        check(config)
    except ConfigError as error:
        raise ConfigError("\n".join(f"{path}: {fault}" for fault in str(error).splitlines())) from error
    return config


def check(config: Config) -> None:
    """What the file alone cannot tell: addresses that exist, sound to sound. Raises ConfigError, touches no device."""
    faults = [fault for source in config.sources for fault in _source_faults(source)]
    if config.mqtt is not None:
        try:
            BrokerAddress.parse(config.mqtt.broker)
        except ConfigError as error:
            faults.append(f"[mqtt]: broker: {error}")
    if faults:
        raise ConfigError("\n".join(faults))


def _source_faults(source: Camera | Microphone) -> Iterator[str]:
    table = "camera" if isinstance(source, Camera) else "microphone"
    where = f"[[{table}]] {source.name}"
    try:
        options = _options(source, DEFAULT_RATE_HZ)
    except ValueError as error:
        yield f"{where}: {error}"
        return
    try:
        audio = is_audio(source.uri)
        if audio != isinstance(source, Microphone):
            yield f"{where}: uri: this address belongs under [[{'microphone' if audio else 'camera'}]]"
        else:
            open_source(source.name, source.uri, options)
    except ValueError as error:
        yield f"{where}: uri: {error}"


def assemble(
    config: Config,
    catalogue: Catalogue,
    topics: Topics,
    post: Callable[[Outgoing], None],
    clock: Callable[[], Clock],
    celsius: Callable[[], float | None],
    hub: Hub | None = None,
    traces: DeviceTraces | None = None,
    state: Path | None = None,
) -> Assembly:
    """One worker for every model in use, one pipeline for every table, one feed for every source.

    `celsius`: how hot the device is, where that is known. `hub`: of the live page, where there is one.
    `traces`: where they are made. `state`: folder for recordings and kept samples; None: nothing is kept.
    """
    show = _all_of([each.shown for each in (hub, traces) if each is not None])
    trace = None if traces is None else traces.header
    recorder = _recorder(config, state, clock)
    tapes = {} if recorder is None else {deck.name: deck.tape for deck in recorder.decks}
    harvester = _harvester(config, state, clock)
    baskets = {} if harvester is None else {name: picker.basket for name, picker in harvester.pickers.items()}
    gathering = Gathering(config, topics, post) if config.together else None
    told = None if gathering is None else gathering.told
    assembly = Assembly(remote=_remote(config, topics), recorder=recorder, harvester=harvester, gathering=gathering)
    cameras = {source.name: source for source in config.camera}
    for settings in config.pipeline:
        worker = _worker(assembly, settings, config, catalogue)
        parts, camera = assembly.remote, cameras.get(settings.source)
        routed = parts is not None and camera is not None and parts.routes(settings)
        pipeline = Pipeline(
            settings,
            topics,
            post,
            clock,
            parts.routing.ready if parts is not None and routed else worker.ready,
            hears=camera is None,
            show=show,
            tape=tapes.get(settings.name),
            told=told,
            basket=baskets.get(settings.name),
        )
        if parts is not None and camera is not None and routed:
            worker.pipelines.append(parts.route(pipeline, worker, camera, celsius, trace))
        else:
            worker.pipelines.append(pipeline)
        assembly.pipelines[pipeline.name] = pipeline
    for source in config.sources:
        users = [p for p in assembly.pipelines.values() if p.config.source == source.name]
        assembly.feeds[source.name] = Feed(
            source.name,
            make=_maker(source, [pipeline.config for pipeline in users], catalogue),
            takers=users if hub is None else [*users, hub],
            stale_after_s=source.stale_after_s,
            sensor=is_sensor(source.uri),
            enabled=source.enabled,
        )
    return assembly


def _all_of(shows: list[Show]) -> Show | None:
    if len(shows) < 2:
        return shows[0] if shows else None

    def show(result: Result, sample: Sample | None) -> None:
        for each in shows:
            each(result, sample)

    return show


def _recorder(config: Config, state: Path | None, clock: Callable[[], Clock]) -> Recorder | None:
    """None where no pipeline keeps clips."""
    if state is None or not any(pipeline.recorder is not None for pipeline in config.pipeline):
        return None
    from appliance.recorder.wiring import make_recorder

    return make_recorder(config, state, clock)


def _harvester(config: Config, state: Path | None, clock: Callable[[], Clock]) -> Harvester | None:
    """None where no pipeline keeps samples."""
    if state is None or not any(pipeline.harvest is not None for pipeline in config.pipeline):
        return None
    from appliance.harvest.wiring import make_harvester

    return make_harvester(config, state, clock)


def _remote(config: Config, topics: Topics) -> RemoteParts | None:
    """None where no pipeline may ask a service; then nothing of it is even imported."""
    if not any(pipeline.remote is not None and pipeline.remote.asks for pipeline in config.pipeline):
        return None
    from appliance.remote.wiring import make_parts

    return make_parts(config, topics)


def _worker(assembly: Assembly, settings: PipelineConfig, config: Config, catalogue: Catalogue) -> Worker:
    """The worker of this model; pipelines that name the same model and engine share it."""
    name = settings.model if settings.engine == "auto" else f"{settings.model} on {settings.engine}"
    place = None if assembly.remote is None else assembly.remote.placement(settings, config.device.name)
    if place is not None:
        name += f" of {settings.name}"  # its stages are in places of their own
    if name not in assembly.workers:

        def open_model(bundle: Bundle) -> Model:
            from engines.model import Model

            options = gpu_options(config.gpu, config.device.max_batch)
            return Model(bundle, engine=settings.engine, threads=config.device.threads, gpu=options, place=place)

        assembly.workers[name] = Worker(
            name,
            find=lambda: catalogue.find(settings.model),
            open_model=open_model,
            ready=threading.Condition(),
            max_batch=config.device.max_batch,
            elsewhere=None if place is None else lambda: (place.answered_by, place.reason),
        )
    return assembly.workers[name]


def _maker(source: Camera | Microphone, users: list[PipelineConfig], catalogue: Catalogue) -> Callable[[], Source]:
    """Called at every opening, so that a model installed later brings its rate."""

    def make() -> Source:
        if isinstance(source, Microphone):
            return open_source(source.name, source.uri, _options(source, _rate(source, users, catalogue)))
        return open_source(source.name, _address(source), _options(source, DEFAULT_RATE_HZ))

    return make


def _rate(source: Microphone, users: list[PipelineConfig], catalogue: Catalogue) -> int:
    """The rate that the models of this microphone need; CaptureError when they disagree."""
    rates = {}
    for user in users:
        try:
            spec = catalogue.find(user.model).manifest.input
        except EngineError:  # its own worker says what is wrong with it
            continue
        if isinstance(spec, AudioInput):
            rates[user.name] = spec.rate_hz
    if len(set(rates.values())) > 1:
        words = ", ".join(f"{name} {rate} Hz" for name, rate in rates.items())
        raise CaptureError(f"its pipelines need different rates ({words}); give each its own microphone")
    return next(iter(rates.values()), DEFAULT_RATE_HZ)


def _options(source: Camera | Microphone, rate_hz: int) -> VideoOptions | AudioOptions:
    if isinstance(source, Microphone):
        return AudioOptions(
            rate_hz=rate_hz, loop=source.loop, realtime=source.realtime, zeros_after_s=source.zeros_after_s
        )
    return VideoOptions(
        width=source.width,
        height=source.height,
        fps=source.fps,
        pixel_format=source.pixel_format,
        loop=source.loop,
        realtime=source.realtime,
        seed=source.seed,
        geometry=Geometry(
            rotate=source.rotate,
            flip=source.flip,
            crop=source.crop,
            masks=tuple(tuple(mask) for mask in source.masks),
        ),
    )


def _address(source: Camera) -> str:
    """The address with user name and password put in; read at every opening, so that a changed secret counts."""
    if source.username is None:
        return source.uri
    try:
        password = secret(source.password_file) if source.password_file else ""
    except ConfigError as error:
        raise CaptureError(str(error)) from error
    scheme, _, rest = source.uri.partition("://")
    login = quote(source.username, safe="") + (f":{quote(password, safe='')}" if password else "")
    return f"{scheme}://{login}@{rest}"


def state_folder(config: Config, environment: dict[str, str]) -> Path:
    """Where the outbox and models live: configured, systemd's, or the user's own."""
    if config.device.state_dir is not None:
        return config.device.state_dir
    if environment.get("STATE_DIRECTORY"):
        return Path(environment["STATE_DIRECTORY"].split(":")[0])
    home = environment.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(home) / "appliance"
