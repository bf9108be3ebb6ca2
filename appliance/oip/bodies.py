"""The body of a request: bounded in size, in time and in what it unpacks to, and so are all of them together."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect, Request

from appliance.questions.question import Refused

WITHIN_S = 30.0
"""A body that takes longer to arrive is not waited for."""
_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class Bodies:
    """What may be in memory at once. Used on the thread of one event loop."""

    def __init__(self, most_bytes: int, together_bytes: int) -> None:
        """`most_bytes` of one body, unpacked; `together_bytes` of all that are held, as they came."""
        self._most_bytes = most_bytes
        self._together_bytes = together_bytes
        self._held = 0

    @asynccontextmanager
    async def of(self, request: Request) -> AsyncIterator[bytes]:
        """The whole body, as it came, counted while the block lasts; raises Refused."""
        told = int(request.headers.get("content-length", "0"))
        self._refuse_above(told)
        body = bytearray()
        try:
            async for chunk in _in_time(request):
                self._held += len(chunk)
                body += chunk
                self._refuse_above(len(body))
                if self._held > self._together_bytes:
                    raise Refused("busy", "too many large questions at once; ask again")
            yield bytes(body)
        finally:
            self._held -= len(body)

    def _refuse_above(self, size: int) -> None:
        if size > self._most_bytes:
            raise Refused("too-large", f"a body of {size} bytes or more; at most {self._most_bytes} are taken")


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


def unpacked(body: bytes, encoding: str, most_bytes: int) -> bytes:
    """What a Content-Encoding hides; raises Refused, without making more than `most_bytes` of it."""
    if encoding in ("", "identity"):
        return body
    bits = _WINDOW_BITS.get(encoding)
    if bits is None:
        raise Refused("malformed", f"Content-Encoding {encoding[:40]}: expected gzip, deflate or none")
    unpacker = zlib.decompressobj(bits)
    try:
        whole = unpacker.decompress(body, most_bytes + 1)
    except zlib.error as error:
        raise Refused("malformed", f"the body is no {encoding}: {error}") from error
    if len(whole) > most_bytes:
        raise Refused("too-large", f"a body that unpacks to more than {most_bytes} bytes")
    if not unpacker.eof or unpacker.unused_data:
        raise Refused("malformed", f"the {encoding} of the body is cut off or goes on behind its end")
    return whole


def packed(body: bytes, encoding: str) -> bytes:
    """As the Content-Encoding `gzip` or `deflate` wants it; quickly rather than small."""
    packer = zlib.compressobj(level=1, wbits=_WINDOW_BITS[encoding])
    return packer.compress(body) + packer.flush()
