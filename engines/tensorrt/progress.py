"""How far a build is: TensorRT's nested phases as one fraction that never goes back.

Imports tensorrt: only after `bindings.load`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import tensorrt as trt

logger = logging.getLogger(__name__)

Report = Callable[[float, str], bool]
"""Gets the fraction from 0 to 1 and the name of the phase; false cancels the build. On any thread, with the GIL."""


@dataclass(slots=True)
class _Phase:
    parent: str | None
    steps: int
    done: int = 0


class Progress(trt.IProgressMonitor):
    """Phases may nest, and end before their last step.

    An exception out of a callback would be swallowed by the bindings and end the build without a word; so it is logged
    here and cancels the build.
    """

    def __init__(self, report: Report) -> None:
        trt.IProgressMonitor.__init__(self)  # the bindings do not do it by themselves
        self._report = report
        self._phases: dict[str, _Phase] = {}
        self._furthest = 0.0
        self.cancelled = False

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        self._phases[phase_name] = _Phase(parent_phase, max(1, num_steps))

    def phase_finish(self, phase_name: str) -> None:
        self._phases.pop(phase_name, None)

    def step_complete(self, phase_name: str, step: int) -> bool:
        phase = self._phases.get(phase_name)
        if phase is not None:
            phase.done = min(phase.steps, step + 1)
        self._furthest = max(self._furthest, self._fraction())
        if not self.cancelled:
            try:
                self.cancelled = not self._report(self._furthest, phase_name)
            except Exception:  # a border: nothing may pass through TensorRT's frames
                logger.exception("the build is cancelled: its progress could not be told")
                self.cancelled = True
        return not self.cancelled

    def _fraction(self) -> float:
        """Each phase counts as one step of the phase around it."""
        share, fraction = 1.0, 0.0
        inner = self._inside(None)
        while inner is not None:
            phase = self._phases[inner]
            fraction += share * phase.done / phase.steps
            share /= phase.steps
            inner = self._inside(inner)
        return min(1.0, fraction)

    def _inside(self, parent: str | None) -> str | None:
        return next((name for name, phase in self._phases.items() if phase.parent == parent), None)
