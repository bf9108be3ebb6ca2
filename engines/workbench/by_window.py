"""A model of keywords as one that names every window for itself."""

from __future__ import annotations

from dataclasses import replace

from engines.bundle import Bundle


def by_window(bundle: Bundle) -> Bundle:
    """The bundle, its windows judged one by one and every score told; others than models of keywords as they are.

    Keywords are told once for every time they are said, from several windows: right for a subscriber, and in the way
    of whoever asks how a score depends on a single window.
    """
    manifest = bundle.manifest
    if manifest.decoder.name != "keywords":
        return bundle
    kept = {key: value for key, value in manifest.decoder.options.items() if key in ("output", "activation")}
    decoder = manifest.decoder.model_copy(update={"name": "audio-labels", "options": kept})
    return replace(bundle, manifest=manifest.model_copy(update={"decoder": decoder}))
