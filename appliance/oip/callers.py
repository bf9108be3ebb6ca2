"""Who asks over the protocol, as far as it can be told; and what is kept for each of them while they do."""

from __future__ import annotations

import contextlib
import ipaddress
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar
from urllib.parse import unquote

T = TypeVar("T")

_ADDRESSES = ("ipv4:", "ipv6:")


def caller_at(host: str) -> str:
    """The one who asks from this address. All callers know the same token, so the address is what tells them apart.

    Of IPv6 the first 64 bits count: one machine may have as many addresses as it likes of those that begin alike. The
    name is no device's: those have no colon.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return f"oip:{host[:80]}"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return f"oip:{address.ipv4_mapped}"
        return f"oip:{ipaddress.ip_network((address, 64), strict=False)}"
    return f"oip:{address}"


def caller_of_peer(peer: str) -> str:
    """The same for the peer of a gRPC call: `ipv4:1.2.3.4:567`, `ipv6:%5B::1%5D:567`."""
    if peer.startswith(_ADDRESSES):
        return caller_at(unquote(peer.partition(":")[2]).rpartition(":")[0].strip("[]"))
    return caller_at(peer)


class PerCaller(Generic[T]):
    """One thing for each caller, forgotten when nobody uses it any more. From any thread."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._things: dict[str, tuple[T, int]] = {}
        """And by how many it is used."""
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def of(self, caller: str) -> Iterator[T]:
        with self._lock:
            thing, users = self._things.get(caller) or (self._make(), 0)
            self._things[caller] = (thing, users + 1)
        try:
            yield thing
        finally:
            with self._lock:
                _, users = self._things.pop(caller)
                if users > 1:
                    self._things[caller] = (thing, users - 1)

    def __len__(self) -> int:
        return len(self._things)
