"""Every caller of gRPC has the same part of the server's attention, however many calls and connections it makes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from appliance.oip.attention import AttentionFigures
from appliance.oip.callers import PerCaller
from appliance.oip.refusal_pace import RefusalPace, rest_s
from appliance.oip.shares import Shares
from appliance.questions.question import Refused

UNDER_WAY = 48
"""Calls of all callers, each with a thread, those that wait for a model among them."""
EACH = 32
HANDS = 2
"""Calls of one caller that are received, read or written at once."""
WITHIN_S = 30.0
"""A message that takes longer to arrive is not waited for,"""
LOOK_EVERY_S = 0.5
"""once another call of the same caller has waited so long for it."""


class _Desk:
    """What a caller shares among its calls."""

    def __init__(self) -> None:
        self.hands = threading.Semaphore(HANDS)
        self.reading = threading.Lock()
        """Around what takes computing: one call of each caller at a time."""
        self.receiving: dict[object, tuple[float, Callable[[], None]]] = {}
        """Until when a message may take, and what ends its call."""

    def take_hand(self) -> None:
        """Waits for one, and calls off what is too slow."""
        while not self.hands.acquire(timeout=LOOK_EVERY_S):
            now_s = time.monotonic()
            for until_s, call_off in list(self.receiving.values()):
                if now_s > until_s:
                    call_off()


@dataclass(slots=True, eq=False)
class GrpcPlace:
    """A call that has the server's attention."""

    caller: str
    _desk: _Desk
    _bytes: Shares
    _held: int = 0
    worked_s: float = 0.0
    """Time spent reading and writing so far."""

    def hold(self, size: int) -> None:
        """Count a message for as long as the call lasts; raises Refused."""
        if not self._bytes.take(self.caller, size):
            raise Refused("busy", "too many large questions at once; ask again")
        self._held += size

    @contextlib.contextmanager
    def attended(self) -> Iterator[None]:
        """Within the block it is worked on."""
        self._desk.take_hand()
        try:
            yield
        finally:
            self._desk.hands.release()

    def received(self, incoming: Iterator[bytes], call_off: Callable[[], None]) -> bytes | None:
        """The message, counted for as long as the call lasts; None when there is none. Raises Refused."""
        key = object()
        self._desk.receiving[key] = (time.monotonic() + WITHIN_S, call_off)
        try:
            data = next(incoming, None)
        finally:
            del self._desk.receiving[key]
        self.hold(len(data or b""))
        return data

    def let_go(self) -> None:
        self._bytes.give_back(self.caller, self._held)
        self._held = 0

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """One call of this caller at a time."""
        with self._desk.reading:
            began_s = time.monotonic()
            try:
                yield
            finally:
                self.worked_s += time.monotonic() - began_s

    def rest(self) -> None:
        """After a refusal, with the others of this caller waiting."""
        with self._desk.reading:
            time.sleep(rest_s(self.worked_s, self._held))

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Within the block the caller's other calls are worked on."""
        self._desk.hands.release()
        try:
            yield
        finally:
            self._desk.take_hand()


class GrpcAttention:
    """From any thread."""

    def __init__(self, most_bytes: int) -> None:
        """`most_bytes`: of all messages that are held."""
        self._shares = Shares(UNDER_WAY, EACH)
        self._bytes = Shares(most_bytes)
        self._desks = PerCaller(_Desk)
        self._pace = RefusalPace()
        self._lock = threading.Lock()
        """Around the pace."""
        self._turned_away = 0

    def figures(self) -> AttentionFigures:
        return AttentionFigures(self._shares.callers, self._shares.held, self._turned_away, self._pace.slowed)

    @contextlib.contextmanager
    def place(self, caller: str) -> Iterator[GrpcPlace]:
        """Until the call is over; raises Refused at once when this caller has too many."""
        if not self._shares.take(caller):
            self._turned_away += 1
            raise Refused("busy", f"too many calls of yours are under way (at most {EACH}): wait for their answers")
        try:
            with self._desks.of(caller) as desk:
                place = GrpcPlace(caller, desk, self._bytes)
                try:
                    yield place
                finally:
                    place.let_go()
        finally:
            self._shares.give_back(caller)

    def pause(self, place: GrpcPlace) -> None:
        """Before a refusal is told."""
        with self._lock:
            wait_s = self._pace.wait_s(place.caller, time.monotonic())
        if wait_s > 0:
            time.sleep(wait_s)
