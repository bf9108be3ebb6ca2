"""A parser of foreign bytes, and its contract: a value or a refusal that it names, in bounded time and memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path


class Broken(AssertionError):
    """The contract was not kept; the message says which part of it."""


@dataclass(frozen=True, slots=True)
class Target:
    """One parser."""

    parse: Callable[[bytes], object]
    refuses: tuple[type[Exception], ...]
    """Everything else that it raises is a finding."""
    seeds: Callable[[], Iterable[bytes]]
    """What begins the corpus: messages and files as the project itself writes them."""
    most_cpu_s: float = 0.5
    """Of one input, on all threads."""
    most_mb: int = 128
    """By which this process may grow while it reads one input."""
    most_words: int = 4_000
    """Characters of a refusal: it goes into logs, documents and answers."""
    inputs: int = 120
    """How many near the seeds the suite tries."""
    longest: int = 1 << 14
    """Bytes of an input that the fuzzer makes."""

    def warm(self) -> list[bytes]:
        """The seeds, each parsed once: whatever is imported, opened or built the first time."""
        seeds = list(self.seeds())
        for seed in seeds:
            try:
                self.parse(seed)
            except self.refuses:
                continue
        return seeds

    def judge(self, data: bytes, patience: float = 1.0) -> float:
        """Parse once; the seconds of processor time that it took. Raises Broken, or whatever the parser should not have
        raised. `patience`: times `most_cpu_s`.
        """
        Path("/proc/self/clear_refs").write_text("5")  # from now on the peak is of this input (proc(5))
        began_mb, began_s = memory_mb("VmRSS"), time.process_time()
        try:
            self.parse(data)
        except self.refuses as refusal:
            _check_words(refusal, self.most_words)
        took_s, grown_mb = time.process_time() - began_s, memory_mb("VmHWM") - began_mb
        if took_s > self.most_cpu_s * patience:
            raise Broken(f"{len(data)} bytes took {took_s:.2f} s of processor time, at most {self.most_cpu_s} s")
        if grown_mb > self.most_mb:
            raise Broken(f"{len(data)} bytes took {grown_mb:.0f} MB of memory, at most {self.most_mb}")
        return took_s


def _check_words(refusal: Exception, most: int) -> None:
    """A refusal says something, at bearable length, that can be written down."""
    words = str(refusal)
    if not words:
        raise Broken(f"{type(refusal).__name__} without a word") from refusal
    if len(words) > most:
        raise Broken(f"a refusal of {len(words)} characters: {words[:200]}…") from refusal
    try:
        words.encode()
    except UnicodeEncodeError as error:
        raise Broken(f"a refusal that is no Unicode: {words!r}") from error


def memory_mb(line: str) -> float:
    """Of this process: VmRSS now, VmHWM at its peak."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{line}:")[2].split(maxsplit=1)[0]) / 1024
