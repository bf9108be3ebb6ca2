"""A camera is as old as what it shows."""

from __future__ import annotations

import math

import pytest

from capture.freshness import Freshness
from tests.capture.pictures_to_try import frame, noise


def ns(seconds: float) -> int:
    return round(seconds * 1e9)


def test_a_camera_that_has_shown_nothing_is_not_fresh() -> None:
    freshness = Freshness(2.0)
    assert freshness.age_s(ns(5)) == math.inf
    assert freshness.stale(ns(5))
    assert freshness.reason(ns(5)) == "no picture yet"


def test_pictures_with_noise_are_fresh() -> None:
    freshness = Freshness(2.0)
    for n in range(10):
        freshness.seen(frame(noise(n), n))
    assert freshness.age_s(ns(9.5)) == 0.5
    assert not freshness.stale(ns(9.5))
    assert freshness.reason(ns(9.5)) == ""


def test_a_camera_that_falls_silent_becomes_stale() -> None:
    freshness = Freshness(2.0)
    freshness.seen(frame(noise(), 1.0))
    assert not freshness.stale(ns(3.0))
    assert freshness.stale(ns(3.1))
    assert freshness.reason(ns(4.0)) == "no picture for 3.0 s"


def test_a_frozen_camera_is_stale_although_pictures_keep_coming_and_fresh_when_it_moves_again() -> None:
    freshness = Freshness(2.0)
    frozen = noise()
    for n in range(10):
        freshness.seen(frame(frozen.copy(), 0.5 * n))
    assert freshness.stale(ns(4.5))
    assert freshness.reason(ns(4.5)) == "frozen: pictures keep coming, but show the same since 4.5 s"
    freshness.seen(frame(noise(1), 5.0))
    assert freshness.age_s(ns(5.0)) == 0


def test_a_clock_painted_into_an_otherwise_still_picture_keeps_it_fresh() -> None:
    freshness = Freshness(2.0)
    for n in range(10):
        pixels = noise(0, width=1280, height=720)
        pixels[680:704, 20 : 40 + n] = 255
        freshness.seen(frame(pixels, n))
    assert not freshness.stale(ns(9.0))


def test_a_change_of_size_is_a_change() -> None:
    freshness = Freshness(2.0)
    freshness.seen(frame(noise(), 0.0))
    freshness.seen(frame(noise(width=160, height=90), 5.0))
    assert not freshness.stale(ns(5.0))


def test_a_limit_that_is_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="stale_after_s = 0"):
        Freshness(0)
