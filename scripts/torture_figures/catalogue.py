"""Every figure by its name, in the order of their numbers."""

from __future__ import annotations

from scripts.torture_figures import defences, delivery, machine, models
from scripts.torture_figures.figure import Figure

_ALL: tuple[Figure, ...] = (*delivery.FIGURES, *models.FIGURES, *defences.FIGURES, *machine.FIGURES)

FIGURES: dict[str, Figure] = {
    figure.name: figure for figure in sorted(_ALL, key=lambda figure: int(figure.name.removeprefix("G")))
}
