"""The setting `place` carried out: which stages of a model run on the device and which at a service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Literal

from appliance.remote.cuts import Cuts
from appliance.remote.either import EitherSide
from appliance.remote.engine import Allow, Asks, Errand, RemoteStages, always
from appliance.remote.privacy import FORMS
from appliance.remote.settings import Offload, Side
from engines.bundle import Bundle
from engines.chain import Link
from engines.engine import Engine, EngineError, TensorSpec
from engines.manifest import AudioInput, Manifest
from engines.model import OpenHere
from engines.recognise.network import look

AND = " and "


class StagePlacement:
    """Given to a `Model` as `place`. Used on the model's thread."""

    def __init__(
        self,
        asker: Asks,
        place: Mapping[str, Side] | Literal["auto"],
        *,
        device: str,
        offload: Offload,
        patience_s: float,
        asked_as: str | None = None,
        allow: Allow = always,
    ) -> None:
        """`patience_s`: how long a service may take. `asked_as`: name of the model there; None: its own. `allow`: asked
        before every question."""
        self._asker = asker
        self._place = place
        self._device = device
        self._offload = offload
        self._patience_s = patience_s
        self._asked_as = asked_as
        self._allow = allow
        self._last: RemoteStages | EitherSide | None = None

    @property
    def answered_by(self) -> str | None:
        """The service that ran the last stage of the newest sample; None: this device did."""
        return None if self._last is None else self._last.answered_by

    @property
    def reason(self) -> str:
        """Why it was that side, in a short sentence."""
        if isinstance(self._last, EitherSide):
            return self._last.reason
        return "local engine healthy" if self._last is None else "the configuration runs the last stage at a service"

    def __call__(self, bundle: Bundle, here: OpenHere) -> Sequence[Link]:
        """Raises EngineError for a stage that the model does not have, and for one whose inputs may not leave."""
        links = self._measured(bundle, here) if self._place == "auto" else self._fixed(bundle, here, self._place)
        last = links[-1][1]
        self._last = last if isinstance(last, (RemoteStages, EitherSide)) else None
        return links

    def _fixed(self, bundle: Bundle, here: OpenHere, place: Mapping[str, Side]) -> list[Link]:
        manifest = bundle.manifest
        check_place(manifest, place, self._offload)
        links: list[Link] = []
        for side, group in groupby(
            range(len(manifest.stages)), lambda at: place.get(manifest.stages[at].name, "local")
        ):
            numbers = list(group)
            if side == "remote":
                there = self._there(bundle, numbers[0], numbers[-1])
                links.append((AND.join(_names(manifest, numbers)), there))
            else:
                links += [(name, here(name)) for name in _names(manifest, numbers)]
        return links

    def _measured(self, bundle: Bundle, here: OpenHere) -> list[Link]:
        """Stages that must run here, then one engine that runs the others on either side."""
        manifest = bundle.manifest
        count, least = len(manifest.stages), least_here(manifest, self._offload)
        links: list[Link] = [(stage.name, here(stage.name)) for stage in manifest.stages[:least]]
        if least == count:
            return links
        engines = [_opened(here, stage.name) for stage in manifest.stages[least:]]
        most = next((at for at, engine in enumerate(engines) if engine is None), None)
        there = {cut: self._there(bundle, least + cut, count - 1) for cut in range(count - least)}
        either = EitherSide(engines, there, Cuts(count - least, most))
        return [*links, (AND.join(_names(manifest, range(least, count))), either)]

    def _there(self, bundle: Bundle, first: int, last: int) -> RemoteStages:
        inputs, outputs = _specs(bundle, first, last)
        errand = Errand(
            bundle.manifest,
            first,
            last,
            device=self._device,
            asked_as=self._asked_as or bundle.manifest.name,
            offload=self._offload,
            patience_s=self._patience_s,
        )
        return RemoteStages(errand, self._asker, inputs, outputs, self._allow)


def least_here(manifest: Manifest, offload: Offload) -> int:
    """How many of the first stages must run on the device: what they are given may not leave, or is larger than the
    picture itself, which is then better asked for as a picture."""
    forms = FORMS[offload]
    if "features" not in forms:
        return len(manifest.stages)
    return 0 if "sample" in forms and isinstance(manifest.input, AudioInput) else 1


def check_place(manifest: Manifest, place: Mapping[str, Side] | Literal["auto"], offload: Offload) -> None:
    """Raises EngineError, with the next step, for a `place` that this model cannot have."""
    if place == "auto":
        return
    names = [stage.name for stage in manifest.stages]
    for name in place:
        if name not in names:
            raise EngineError(f"place: {manifest.name} has no stage {name}; it has {', '.join(names)}")
    for name in names[: least_here(manifest, offload)]:
        if place.get(name) == "remote":
            raise EngineError(f'place: stage {name} must be "local": {_why_here(manifest, offload)}')


def _why_here(manifest: Manifest, offload: Offload) -> str:
    if "features" not in FORMS[offload]:
        return f'offload = "{offload}" lets nothing leave that a stage made; "features" would'
    if not isinstance(manifest.input, AudioInput):
        return 'it takes the picture itself; to have that sent, leave place out and set prefer = "remote"'
    return f'it takes the sound itself, which offload = "{offload}" keeps here; "frames" would let it go'


def _opened(here: OpenHere, stage: str) -> Engine | None:
    """None where no engine of this device can run it: then the service does."""
    try:
        return here(stage)
    except EngineError:
        return None


def _names(manifest: Manifest, numbers: Sequence[int]) -> list[str]:
    return [manifest.stages[at].name for at in numbers]


def _specs(bundle: Bundle, first: int, last: int) -> tuple[list[TensorSpec], tuple[TensorSpec, ...]]:
    """What these stages need from outside, and what the last one makes; told by their files."""
    networks = [look(bundle.stage_path(name)) for name in _names(bundle.manifest, range(first, last + 1))]
    made: set[str] = set()
    needed: dict[str, TensorSpec] = {}
    for network in networks:
        needed |= {spec.name: spec for spec in network.inputs if spec.name not in made}
        made |= {spec.name for spec in network.outputs}
    return list(needed.values()), networks[-1].outputs
