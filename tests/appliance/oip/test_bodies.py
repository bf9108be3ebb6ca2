"""What bodies take in memory is counted, and given back."""

from __future__ import annotations

import gzip
import zlib

import pytest

from appliance.oip.bodies import Bodies, packed
from appliance.oip.shares import Shares
from appliance.questions.question import Refused

MEGA = 1 << 20


def _refusal(bodies: Bodies, body: bytes, encoding: str = "gzip") -> str:
    with pytest.raises(Refused) as caught, bodies.unpacked(body, encoding, "caller"):
        pass
    return caught.value.code


def test_bombs_together_are_bounded_and_what_they_took_is_given_back() -> None:
    bodies = Bodies(10 * MEGA, Shares(41 * MEGA))
    bomb = gzip.compress(bytes(10 * MEGA))
    for _ in range(3):
        with bodies.unpacked(bomb, "gzip", "caller") as one, bodies.unpacked(bomb, "gzip", "caller") as other:
            assert len(one) == len(other) == 10 * MEGA
            assert _refusal(bodies, bomb) == "busy"


@pytest.mark.system
def test_a_bomb_is_refused_at_the_limit_and_leaves_nothing_behind() -> None:
    bodies = Bodies(MEGA, Shares(6 * MEGA))
    for _ in range(5):
        assert _refusal(bodies, gzip.compress(bytes(100 * MEGA), 1)) == "too-large"


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_what_is_packed_can_be_unpacked(encoding: str) -> None:
    bodies = Bodies(5 * MEGA, Shares(20 * MEGA))
    body = bytes(range(256)) * 10_000
    with bodies.unpacked(packed(body, encoding), encoding, "caller") as whole:
        assert whole == body


@pytest.mark.parametrize("body", [b"", b"nothing", zlib.compress(b"x")[:-1], zlib.compress(b"x") + b"y"])
def test_a_body_that_is_not_packed_as_it_says_is_refused(body: bytes) -> None:
    assert _refusal(Bodies(MEGA, Shares(2 * MEGA)), body, "deflate") == "malformed"
