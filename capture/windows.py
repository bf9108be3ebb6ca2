"""Overlapping windows of fixed length, cut from sound that comes in blocks of any size."""

from __future__ import annotations

import numpy as np

from capture.samples import AudioWindow, Samples, Stamp


class Windows:
    """A window of `length` samples every `hop` samples; `hop` > `length` leaves sound out between them.

    No window spans lost samples: at a hole what has gathered is dropped, the next window begins after it and says in
    `gap` how much the source lost. Stamp and start are those of each window's first sample, `ready_ns` is that of the
    block that completed it, `seq` counts windows. The samples of a window are its own. Not for several threads.
    """

    def __init__(self, length: int, hop: int) -> None:
        if length < 1 or hop < 1:
            raise ValueError(f"length = {length}, hop = {hop}: expected positive numbers of samples")
        self._length = length
        self._hop = hop
        self._filling: Samples = np.empty(length, np.float32)
        """The next window, before it is given away."""
        self._held = 0
        """Samples in it."""
        self._fresh = 0
        """Samples in it that are in no window yet."""
        self._skip = 0
        """Samples to leave out before it begins."""
        self._seq = 0
        self._gap = 0
        self._last: AudioWindow | None = None

    def push(self, block: AudioWindow) -> list[AudioWindow]:
        """The windows that `block` completes, in order. All blocks must be of one rate (ValueError)."""
        self._follow(block)
        done: list[AudioWindow] = []
        at, count = min(self._skip, len(block.samples)), len(block.samples)
        self._skip -= at
        while at < count:
            take = min(count - at, self._length - self._held)
            self._filling[self._held : self._held + take] = block.samples[at : at + take]
            self._held += take
            self._fresh += take
            at += take
            if self._held == self._length:
                done.append(self._cut(block.start + at - self._length, block))
                skipped = min(self._skip, count - at)
                self._skip -= skipped
                at += skipped
        return done

    def flush(self, pad: bool) -> list[AudioWindow]:
        """The end of the sound: with `pad` the samples that are in no window yet, filled up with zeros (so that
        `complete_ns` lies after the last sound); without it they are dropped. Then begins anew."""
        done: list[AudioWindow] = []
        if pad and self._fresh and self._last is not None:
            self._filling[self._held :] = 0
            done.append(self._cut(_end(self._last) - self._held, self._last))
        self._restart()
        self._gap, self._last = 0, None
        return done

    def _follow(self, block: AudioWindow) -> None:
        """Note where the sound goes on, and drop what has gathered when it does not."""
        before, self._last = self._last, block
        if before is None:
            self._gap += block.gap
            return
        if block.rate_hz != before.rate_hz:
            raise ValueError(f"{block.source}: sound at {block.rate_hz} Hz after sound at {before.rate_hz} Hz")
        hole = block.start - _end(before)
        if hole < 0:  # the source was opened again and counts from 0; the clock knows how long it was away
            hole = max(1, (block.stamp.mono_ns - before.complete_ns) * block.rate_hz // 1_000_000_000)
        if hole or block.gap:
            self._gap += max(hole, block.gap)
            self._restart()

    def _cut(self, start: int, block: AudioWindow) -> AudioWindow:
        """Give the full window away and begin the next with what both have in common; `block` tells the time."""
        samples = self._filling
        kept = max(0, self._length - self._hop)
        self._filling = np.empty(self._length, np.float32)
        self._filling[:kept] = samples[self._length - kept :]
        self._held, self._fresh, self._skip = kept, 0, max(0, self._hop - self._length)
        window = AudioWindow(
            source=block.source,
            seq=self._seq,
            stamp=_stamp_at(block, start),
            samples=samples,
            rate_hz=block.rate_hz,
            gap=self._gap,
            ready_ns=block.ready_ns,
            start=start,
        )
        self._seq += 1
        self._gap = 0
        return window

    def _restart(self) -> None:
        self._held = self._fresh = self._skip = 0


def _end(block: AudioWindow) -> int:
    """Index of the sample after the last one."""
    return block.start + len(block.samples)


def _stamp_at(block: AudioWindow, index: int) -> Stamp:
    """When the sample with this index was taken, counted from the first one of `block`."""
    return block.stamp.shifted((index - block.start) * 1_000_000_000 // block.rate_hz)
