"""Whether a model can do what a pipeline's table asks of it. Pure: the same words in `config check` and in health."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from appliance.config_pipeline import Pipeline
from engines.manifest import AudioInput, Manifest

SHOWN_LABELS = 8
FOR_PICTURES = ("motion", "zones", "snapshot", "max_per_s")
FOR_SOUND = ("hop_s",)
FOR_WHOLE_PICTURES = ("prefer", "budget_s", "unsure_between", "hottest_c", "max_per_s", "keep")
"""Keys of [pipeline.remote] that speak of whole samples, which of sound never leave."""


def misfit(settings: Pipeline, hears: bool, manifest: Manifest) -> str | None:
    """Why the model can never answer this source, or None; `hears`: the source is a microphone."""
    listens = isinstance(manifest.input, AudioInput)
    if listens == hears:
        return _wrong_step(settings, manifest)
    takes, source, right = (
        ("listens to sound", "camera", "microphone") if listens else ("looks at pictures", "microphone", "camera")
    )
    return f"{manifest.name} {takes} and {settings.source} is a {source}: give it a [[{right}]], or another model"


def _wrong_step(settings: Pipeline, manifest: Manifest) -> str | None:
    """Windows at any other step than its own would give a model with a memory the same sound twice, or with holes."""
    spec = manifest.input
    if settings.hop_s is None or not isinstance(spec, AudioInput):
        return None
    remembers = bool(spec.state) or spec.context > 0 or manifest.task == "vad" or manifest.decoder.name == "keywords"
    if not remembers or hop(settings, spec) == spec.hop:
        return None
    return (
        f"hop_s = {settings.hop_s:g}: {manifest.name} remembers what it heard and must be given every "
        f"{spec.hop / spec.rate_hz:g} s: leave hop_s out"
    )


def hop(settings: Pipeline, spec: AudioInput) -> int:
    """Samples from the start of one window to the start of the next."""
    return spec.hop if settings.hop_s is None else max(1, round(settings.hop_s * spec.rate_hz))


def unknown_labels(settings: Pipeline, manifest: Manifest) -> str | None:
    """The labels asked for that this model never says."""
    unknown = [label for label in settings.labels or () if label not in manifest.labels]
    if not unknown:
        return None
    near = difflib.get_close_matches(unknown[0], manifest.labels, n=1)
    known = ", ".join(manifest.labels[:SHOWN_LABELS]) + (", …" if len(manifest.labels) > SHOWN_LABELS else "")
    hint = f'did you mean "{near[0]}"?' if near else f"it knows {known}"
    return f'labels: {manifest.name} never says "{unknown[0]}"; {hint}'


def idle_keys(settings: Pipeline, hears: bool) -> Iterator[str]:
    """Keys that were given and change nothing for this kind of source."""
    for key in FOR_PICTURES if hears else FOR_SOUND:
        if key in settings.model_fields_set and getattr(settings, key):
            yield f"{key} has no effect on {'sound' if hears else 'pictures'}: leave it out"
    remote = settings.remote
    if remote is None:
        return
    if not (hears or remote.offload == "features"):
        if remote.unsure_between is not None and remote.model is None:
            yield "remote: unsure_between asks the same model for a second opinion: name a better one with model"
        return
    why = "on sound" if hears else 'with offload = "features"'
    for key in FOR_WHOLE_PICTURES:
        if key in remote.model_fields_set:
            yield f"remote: {key} has no effect {why}, of which only stages can run at a service: leave it out"
