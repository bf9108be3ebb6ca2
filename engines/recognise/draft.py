"""What recognition finds out: everything in a manifest but its name and its files."""

from __future__ import annotations

from dataclasses import dataclass

from engines.manifest import AudioInput, Decoder, ImageInput, Task


@dataclass(frozen=True, slots=True)
class Draft:
    """A model whose kind is known."""

    task: Task
    input: ImageInput | AudioInput
    decoder: Decoder
    labels: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    """Sentences for the person who adds the model."""
