"""Inputs near the seeds, the same ones every time: what the suite runs where no fuzzer is at hand."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence

_PIECES = (
    b"\0", b"\xff" * 4, b"\x80\0\0\0", b"\n", b"\r\n\r\n", b'"', b"{}", b"[" * 200, b"null", b"NaN", b"-1", b"1e999",
    b"9" * 400, b"9" * 5000, b"\\ud800", b"\xed\xa0\x80", b"\x1b[2J", b"[", b"..", b"%00", b"\xe2\x80\xae",
    b"a" * 5000,
)  # fmt: skip
_NUMBER = re.compile(rb"\d+")
_LONGEST = 1 << 16


def mutated(seeds: Sequence[bytes], count: int, name: str) -> Iterator[bytes]:
    """`count` of them. `name`: another name, other inputs."""
    chance = random.Random(name)
    for _ in range(count):
        data = chance.choice(seeds)
        for _ in range(chance.choice((1, 1, 2, 4))):
            data = chance.choice((_flipped, _cut, _repeated, _filled, _renumbered, _filled))(data, chance)
        yield data[:_LONGEST]


def _flipped(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(min(len(changed), chance.choice((1, 2, 8)))):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def _cut(data: bytes, chance: random.Random) -> bytes:
    start, end = sorted((chance.randrange(len(data) + 1), chance.randrange(len(data) + 1)))
    return data[:start] + data[end:]


def _repeated(data: bytes, chance: random.Random) -> bytes:
    start, end = sorted((chance.randrange(len(data) + 1), chance.randrange(len(data) + 1)))
    return data[:end] + data[start:end] * chance.choice((1, 1, 30)) + data[end:]


def _filled(data: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(data) + 1)
    return data[:place] + chance.choice(_PIECES) + data[place:]


def _renumbered(data: bytes, chance: random.Random) -> bytes:
    found = list(_NUMBER.finditer(data))
    if not found:
        return data
    one = chance.choice(found)
    return data[: one.start()] + chance.choice(_PIECES[8:14]) + data[one.end() :]
