"""What a camera or microphone leaves behind from one sample to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engines.engine import Array
from engines.manifest import AudioInput, ImageInput
from engines.predictions import Segment

if TYPE_CHECKING:
    from engines.decode.asked import Memory


class Stream:
    """Made by `Model.new_stream`, one for each camera or microphone; to be used on the model's thread.

    Pictures leave nothing. Sound leaves the end of the last window as context for the next, the state tensors of a
    recurrent network, and what the decoder keeps: the utterance or the word that is going on.
    """

    def __init__(self, spec: ImageInput | AudioInput, memory: Memory | None) -> None:
        self.position = 0
        """Index of the first sample of the next window, from the start of the sound."""
        self.end = 0
        """Index of the sample after the last one that was heard."""
        self.context: Array = np.zeros(0, np.float32)
        self.state: dict[str, Array] = {}
        """Name of an input: its value for the next window."""
        self.memory = memory
        """Of the model's decoder."""
        self._spec = spec
        self._finished: list[Segment] = []
        self._forget()

    def move(self, position: int, end: int, context: Array) -> None:
        """A window was heard up to sample `end`; the next is expected at `position`, `context` lies before it."""
        self.position, self.end = position, end
        self.context = np.zeros_like(self.context)
        self.context[: len(context)] = context

    def seek(self, start: int) -> None:
        """The next window starts at sample `start`. Elsewhere than expected, windows or sound were lost: what was heard
        before does not count any more, and an utterance or a word that was going on has ended there. Only a network
        that remembers nothing may go on when windows were left out that overlap: then all of the sound is heard."""
        if start == self.position:
            return
        if self.position < start < self.end and not (self.state or len(self.context)):
            self.position = start
            return
        if self.memory is not None:
            self._finished += self.memory.finish(self.end)
            self.memory.restart(start)
        self.position = self.end = start
        self._forget()

    def take_finished(self) -> list[Segment]:
        """Utterances and words that `seek` has ended; each is given out once."""
        finished, self._finished = self._finished, []
        return finished

    def _forget(self) -> None:
        if isinstance(self._spec, AudioInput):
            self.context = np.zeros(self._spec.context, np.float32)
            self.state = {name: np.zeros(shape, np.float32) for name, shape in self._spec.state_shapes.items()}
