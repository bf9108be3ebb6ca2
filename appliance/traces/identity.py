"""Which trace a sample belongs to: told by the sample itself, so that whoever knows it finds the same one.

A result names its device, pipeline, source, number and moment of capture. Device and service need not remember
anything for each other, and a trace can be looked up from a result. Format of the header: W3C Trace Context.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b

HEADER = "traceparent"
"""Also the name of the user property of a question."""
_FORM = re.compile(r"00-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})")
_SAMPLED = 1
_SHARE_BITS = 56


@dataclass(frozen=True, slots=True)
class Identity:
    """Of a trace, and of the span in it that others belong under. Neither is zero."""

    trace: int
    """128 bits."""
    span: int
    """64 bits."""

    def sampled(self, share: float) -> bool:
        """Whether it is one of this share of all: the lowest 56 bits decide, as in W3C Trace Context level 2."""
        return self.trace % (1 << _SHARE_BITS) < share * (1 << _SHARE_BITS)

    @property
    def header(self) -> str:
        """Of a trace that is recorded."""
        return f"00-{self.trace:032x}-{self.span:016x}-{_SAMPLED:02x}"

    def child(self, name: str) -> int:
        """The number of a span of this trace."""
        return _number(f"{self.trace:032x}/{self.span:016x}/{name}".encode(), 8)


def of_sample(device: str, pipeline: str, source: str, seq: int, captured_at: str) -> Identity:
    """`captured_at`: as in the result."""
    words = "\0".join((device, pipeline, source, str(seq), captured_at)).encode()
    trace = _number(words, 16)
    return Identity(trace, _number(words, 8))


def of_header(text: str) -> Identity | None:
    """None for one that cannot be read, or whose trace is not recorded."""
    found = _FORM.fullmatch(text)
    if found is None or not int(found["flags"], 16) & _SAMPLED:
        return None
    trace, span = int(found["trace"], 16), int(found["span"], 16)
    return Identity(trace, span) if trace and span else None


def _number(words: bytes, size: int) -> int:
    return int.from_bytes(blake2b(words, digest_size=size).digest(), "big") or 1
