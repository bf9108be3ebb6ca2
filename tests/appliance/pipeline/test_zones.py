from __future__ import annotations

from appliance.pipeline.zones import Zone, zones_of

L_SHAPE = Zone("yard", ((0, 0), (100, 0), (100, 50), (50, 50), (50, 100), (0, 100)))


def test_a_zone_holds_what_is_inside_its_outline() -> None:
    assert L_SHAPE.holds(25, 75)
    assert L_SHAPE.holds(75, 25)


def test_a_zone_does_not_hold_its_notch_or_what_is_beside_it() -> None:
    assert not L_SHAPE.holds(75, 75)
    assert not L_SHAPE.holds(-1, 50)
    assert not L_SHAPE.holds(150, 25)


def test_an_object_stands_where_its_foot_is() -> None:
    assert zones_of((20, -60, 40, 80), [L_SHAPE]) == ("yard",)
    assert zones_of((20, -60, 40, -10), [L_SHAPE]) == ()


def test_a_zone_touches_a_picture_that_it_overlaps() -> None:
    assert L_SHAPE.touches(640, 360)
    assert Zone("edge", ((-50, -50), (10, -50), (10, 10))).touches(640, 360)
    assert not Zone("far", ((700, 0), (800, 0), (800, 50))).touches(640, 360)
    assert not Zone("above", ((0, -50), (100, -50), (100, 0))).touches(640, 360)
