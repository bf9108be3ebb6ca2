"""Where questions arrive: unread, in turns, held to what one device may ask, until a model is about to want them."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from appliance.mqtt.incoming import Incoming
from appliance.mqtt.topics import Topics, asked
from appliance.questions import codec
from appliance.questions.question import Refused
from appliance.questions.tensors import BadTensor
from appliance.service.allowance import Allowance
from appliance.service.outgoing import Answer, Outgoing, Sender
from appliance.service.room import Room
from appliance.service.turns import Turns


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """What is let in."""

    each: int = 8
    """Questions of one device that may wait for one model."""
    most: int = 512
    """Questions of all devices that may wait for one model."""
    waiting_bytes: int = 64 << 20
    """Of questions of all devices as they came."""
    each_bytes: int = 8 << 20
    """Of questions of one device: a few with large ones must not fill it all."""
    refusals_per_s: float = 20.0
    """Refusals that one device is told; further ones are counted only."""


@dataclass(slots=True)
class DoorFigures:
    """Messages since the service was started."""

    received: int = 0
    foreign: int = 0
    """To a topic of nobody's, or with the response topic of another device: not answered."""
    nameless: int = 0
    """Without correlation data that could be answered: not answered."""
    repeated: int = 0
    """Questions that are being answered already."""
    late: int = 0
    """Questions that nobody read before their deadline, and that made room."""
    refused: int = 0
    """By the door and by the models, which count the reasons."""
    untold: int = 0
    """Refusals beyond what a device is told."""


@dataclass(frozen=True, slots=True, eq=False)
class Sealed:
    """A question as it came, of a device that may ask."""

    sender: Sender
    model: str
    incoming: Incoming
    header_bytes: int
    deadline_ns: int


class Door:
    """`put` is called on paho's thread and never blocks; `take` by any number of readers."""

    def __init__(self, room: Room, outgoing: Outgoing, base: str, limits: DoorLimits) -> None:
        """`base`: first level of the devices' topics, where answers go."""
        self.figures = DoorFigures()
        self._room = room
        self._outgoing = outgoing
        self._base = base
        self._limits = limits
        self._ready = room.changed
        """Guards what follows; notified when a question comes and when a model has room."""
        self._turns: dict[str, Turns[Sealed]] = {}
        self._models: list[str] = []
        """In the order in which readers look at them."""
        self._bytes: Counter[str] = Counter()
        """Of unread questions, by device."""
        self._reading: set[str] = set()
        """Devices of which a question is being read: one at a time, so that large pictures of one device do not take
        all readers from the others."""
        self._open: set[tuple[str, str]] = set()
        """Device and id of the questions that are not answered yet."""
        self._allowance = Allowance(limits.refusals_per_s)
        self._closed = False
        room.outside = self.waiting_for

    # -- paho's thread --------------------------------------------------------------------------------------------

    def put(self, item: Incoming) -> None:
        """A message from the broker."""
        self.figures.received += 1
        now_ns = time.monotonic_ns()
        sender, model = self._sender(item)
        if sender is None:
            return
        try:
            if not self._room.knows(model):
                raise Refused("unknown-model", f"no model is called {model[:80]} here")
            deadline_ns = now_ns + int(_left_ms(item) * 1e6)
            self._admit(Sealed(sender, model, item, codec.header_bytes(item.user), deadline_ns), now_ns)
        except BadTensor as error:
            self.refuse_unasked(sender, model, Refused("malformed", str(error)), now_ns)
        except Refused as refused:
            self.refuse_unasked(sender, model, refused, now_ns)

    def _sender(self, item: Incoming) -> tuple[Sender | None, str]:
        """Who asks, and which model. The broker holds every device to topics with its own name: only there may an
        answer go."""
        known = asked(item.topic)
        if known is None or item.response_topic != Topics(self._base, known[1]).answer:
            self.figures.foreign += 1
            return None, ""
        try:
            question = codec.question_id((item.correlation or b"").decode("ascii", "replace"))
        except BadTensor:
            self.figures.nameless += 1
            return None, ""
        model, device = known
        return Sender(device, question, item.response_topic), model

    def _admit(self, sealed: Sealed, now_ns: int) -> None:
        """Raises Refused."""
        model, sender = sealed.model, sealed.sender
        with self._ready:
            turns = self._turns.get(model)
            if turns is None:
                turns = self._turns[model] = Turns(self._limits.each, self._limits.most)
                self._models.append(model)
            if sender.key in self._open:
                self.figures.repeated += 1
                return
            wait_ns = self._room.wait_ns(model, sender.device)
            wait_ns += turns.ahead(sender.device) * self._room.usual_ns(model)
            if now_ns + wait_ns > sealed.deadline_ns:
                raise Refused("busy", f"{model}: {wait_ns / 1e6:.0f} ms of work come before it")
            if not self._let_in(sealed, turns):
                self._discard_late(turns, now_ns)
                if not self._let_in(sealed, turns):
                    raise Refused("busy", f"{model}: too many questions wait, at most {turns.each} of one device")
            self._count(sender.device, len(sealed.incoming.payload))
            self._open.add(sender.key)
            self._ready.notify()  # one reader for one question

    def _let_in(self, sealed: Sealed, turns: Turns[Sealed]) -> bool:
        device, size, limits = sealed.sender.device, len(sealed.incoming.payload), self._limits
        if self._bytes[device] + size > limits.each_bytes:
            return False
        if sum(self._bytes.values()) + size > limits.waiting_bytes:
            return False
        return turns.put(device, sealed)

    def _discard_late(self, turns: Turns[Sealed], now_ns: int) -> None:
        """Whoever asked has given up; there is no need to say so."""
        for sealed in turns.discard(lambda each: each.deadline_ns < now_ns):
            self._count(sealed.sender.device, -len(sealed.incoming.payload))
            self._open.discard(sealed.sender.key)
            self.figures.late += 1

    def _count(self, device: str, size: int) -> None:
        """Bytes of unread questions, more or less."""
        self._bytes[device] += size
        if not self._bytes[device]:
            del self._bytes[device]

    # -- readers --------------------------------------------------------------------------------------------------

    def take(self, timeout_s: float) -> Sealed | None:
        """The next question that its model would begin soon; None after `timeout_s`, and once closed.

        The device it is of gets no other reader until `done`.
        """
        with self._ready:
            end_s = time.monotonic() + timeout_s
            while not self._closed:
                if (sealed := self._next()) is not None:
                    return sealed
                left_s = end_s - time.monotonic()
                if left_s <= 0:
                    break
                self._ready.wait(left_s)
            return None

    def _next(self) -> Sealed | None:
        for model in self._models:
            turns = self._turns[model]
            if not len(turns) or (sated_by := self._room.sated_by(model)) is None:
                continue
            sealed = turns.take(passing_over=self._reading | sated_by)
            if sealed is not None:
                turns.release()
                self._models.remove(model)
                self._models.append(model)
                self._count(sealed.sender.device, -len(sealed.incoming.payload))
                self._reading.add(sealed.sender.device)
                return sealed
        return None

    def done(self, sealed: Sealed) -> None:
        """It has been read."""
        with self._ready:
            self._reading.discard(sealed.sender.device)
            self._ready.notify_all()

    # -- any thread -----------------------------------------------------------------------------------------------

    def refuse_unasked(self, sender: Sender, model: str, refused: Refused, now_ns: int) -> None:
        """Say no to what never came before its model."""
        self._room.refused_outside(model, refused.code)
        self.refuse(sender, refused, now_ns)

    def refuse(self, sender: Sender, refused: Refused, now_ns: int) -> None:
        """Say no, unless this device has been told so too often of late."""
        with self._ready:
            self._open.discard(sender.key)
            self.figures.refused += 1
            told = self._allowance.take(sender.device, now_ns)
            self.figures.untold += not told
        if told:
            self._outgoing.put(Answer(sender, refused.bare(), now_ns))

    def answered(self, sender: Sender) -> None:
        """The model has said something to it: the same question may be asked again."""
        with self._ready:
            self._open.discard(sender.key)

    def waiting_for(self, model: str) -> int:
        """Unread questions to this model."""
        with self._ready:
            turns = self._turns.get(model)
            return 0 if turns is None else len(turns)

    @property
    def open(self) -> int:
        """Questions without an answer, read or not."""
        with self._ready:
            return len(self._open)

    def close(self) -> None:
        """Wake the readers."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()


def _left_ms(item: Incoming) -> float:
    """Until its deadline: as told when it was sent, less when it has waited in the broker since. Raises BadTensor."""
    told_ms = codec.deadline_ms(item.user)
    return told_ms if item.expires_s is None else min(told_ms, item.expires_s * 1000.0)
