"""What a pipeline leaves for the recorder of each sample; whoever answers never waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from appliance.mailbox import Mailbox
from appliance.result import Event, Result
from capture.samples import AudioWindow, Frame, Sample, Stamp

ANSWERS = 2048
"""What was said of samples; a recorder that is behind loses pictures long before."""
PICTURES = 8
"""Pictures that may wait to be compressed: 22 MB of 1280x720."""
SOUNDS = 256
MEMORY_EVERY_NS = 1_000_000_000
"""How often the pipeline's memory is kept: a clip can begin only there."""


@dataclass(frozen=True, slots=True)
class Said:
    """An answer with all that a replay needs, except the sample itself."""

    seq: int
    stamp: Stamp
    ready_ns: int
    result: Result
    events: tuple[Event, ...]
    threshold: float | None
    """That commands had set."""
    memory: dict[str, Any] | None
    """What the pipeline remembered before this sample, now and then."""


class Tape:
    """`saw` and `wants_memory` are called by the thread that answers, `take` by the thread `recorder`."""

    def __init__(self, max_per_s: float) -> None:
        """`max_per_s`: most pictures that are kept."""
        self._said: Mailbox[Said] = Mailbox(ANSWERS)
        self._pictures: Mailbox[Frame] = Mailbox(PICTURES)
        self._sounds: Mailbox[AudioWindow] = Mailbox(SOUNDS)
        self._apart_ns = int(0.9e9 / max_per_s)  # a camera is never quite even
        self._kept_ns = 0
        self._memory_ns = 0

    @property
    def dropped(self) -> int:
        """Samples that gave way because the recorder was behind."""
        return self._pictures.dropped + self._sounds.dropped + self._said.dropped

    def wants_memory(self, mono_ns: int) -> bool:
        """Whether the pipeline's memory before the sample of this time is wanted."""
        if mono_ns - self._memory_ns < MEMORY_EVERY_NS:
            return False
        self._memory_ns = mono_ns
        return True

    def saw(
        self,
        sample: Sample,
        result: Result,
        events: Sequence[Event],
        threshold: float | None,
        memory: dict[str, Any] | None,
    ) -> None:
        """The sample first: whoever finds the answer finds the sample, too."""
        if isinstance(sample, AudioWindow):
            self._sounds.put(sample)
        elif sample.stamp.mono_ns - self._kept_ns >= self._apart_ns or events or memory is not None:
            self._kept_ns = sample.stamp.mono_ns
            self._pictures.put(sample)
        said = Said(sample.seq, sample.stamp, sample.ready_ns, result, tuple(events), threshold, memory)
        self._said.put(said)

    def take(self) -> tuple[list[Said], list[Sample]]:
        """What was said since the last time, and the samples that are there; of an answer that is still on its way the
        sample may be among them already."""
        said = self._said.take_all(0)
        return said, [*self._pictures.take_all(0), *self._sounds.take_all(0)]
