"""The body of a request: bounded in size, in time and in what it unpacks to; all callers share the memory."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from starlette.requests import ClientDisconnect, Request

from appliance.oip.shares import Shares
from appliance.questions.question import Refused

WITHIN_S = 30.0
"""A body that takes longer to arrive is not waited for."""
_PIECE_BYTES = 1 << 20
_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class Bodies:
    """What may be in memory at once. `of` belongs to the thread of an event loop, `unpacked` to any."""

    def __init__(self, most_bytes: int, shares: Shares) -> None:
        """`most_bytes`: of one body, unpacked; `shares`: in bytes, of all that are held, as they came and unpacked."""
        self._most_bytes = most_bytes
        self._shares = shares

    @asynccontextmanager
    async def of(self, request: Request, caller: str) -> AsyncIterator[bytes]:
        """The whole body, as it came, counted while the block lasts; raises Refused."""
        self._refuse_above(int(request.headers.get("content-length", "0")))
        body = bytearray()
        held = 0
        try:
            async for chunk in _in_time(request):
                self._hold(caller, len(chunk))
                held += len(chunk)
                body += chunk
                self._refuse_above(len(body))
            yield bytes(body)
        finally:
            self._shares.give_back(caller, held)

    @contextmanager
    def unpacked(self, body: bytes, encoding: str, caller: str) -> Iterator[bytes]:
        """What a Content-Encoding hides, counted while the block lasts; raises Refused before it is too much."""
        if encoding in ("", "identity"):
            yield body
            return
        whole = bytearray()
        held = 0
        try:
            for piece in _unpacked(body, encoding):
                self._hold(caller, len(piece))
                held += len(piece)
                whole += piece
                self._refuse_above(len(whole))
            yield bytes(whole)
        finally:
            self._shares.give_back(caller, held)

    def _refuse_above(self, size: int) -> None:
        if size > self._most_bytes:
            raise Refused("too-large", f"a body of {size} bytes or more; at most {self._most_bytes} are taken")

    def _hold(self, caller: str, size: int) -> None:
        if not self._shares.take(caller, size):
            raise Refused("busy", "too many large questions at once; ask again")


async def _in_time(request: Request) -> AsyncIterator[bytes]:
    """The pieces of the body; raises Refused when the last is too late in coming."""
    clock = asyncio.get_running_loop().time
    until = clock() + WITHIN_S
    pieces = request.stream()
    while True:
        try:
            yield await asyncio.wait_for(anext(pieces), until - clock())
        except StopAsyncIteration:
            return
        except asyncio.TimeoutError:
            raise Refused("expired", f"the body did not arrive within {WITHIN_S:.0f} s") from None
        except ClientDisconnect:
            raise Refused("malformed", "the caller left before the body was complete") from None


def _unpacked(body: bytes, encoding: str) -> Iterator[bytes]:
    """Piece by piece; raises Refused."""
    bits = _WINDOW_BITS.get(encoding)
    if bits is None:
        raise Refused("malformed", f"Content-Encoding {encoding[:40]}: expected gzip, deflate or none")
    unpacker = zlib.decompressobj(bits)
    rest = body
    try:
        while rest and not unpacker.eof:
            yield unpacker.decompress(rest, _PIECE_BYTES)
            rest = unpacker.unconsumed_tail
    except zlib.error as error:
        raise Refused("malformed", f"the body is no {encoding}: {error}") from error
    if not unpacker.eof or unpacker.unused_data:
        raise Refused("malformed", f"the {encoding} of the body is cut off or goes on behind its end")


def packed(body: bytes, encoding: str) -> bytes:
    """As the Content-Encoding `gzip` or `deflate` wants it; quickly rather than small."""
    packer = zlib.compressobj(level=1, wbits=_WINDOW_BITS[encoding])
    return packer.compress(body) + packer.flush()
