"""A viewer that is slow: what it loses, and what it does not."""

from __future__ import annotations

import asyncio

from appliance.page.record import record
from appliance.page.viewers import QUEUE, Viewer, Viewers


def taken(viewer: Viewer, times: int) -> list[bytes]:
    async def take() -> list[bytes]:
        return [await viewer.next(0.01) for _ in range(times)]

    return asyncio.run(take())


def test_a_newer_picture_takes_the_place_of_one_that_was_not_fetched() -> None:
    viewer = Viewer()
    pictures = [record({"seq": seq}, place=("picture", "dock")) for seq in range(3)]
    for picture in pictures:
        viewer.put(picture)
    assert taken(viewer, 2) == [pictures[-1].data, b""]
    assert viewer.lost == 2


def test_the_pictures_of_another_camera_are_not_touched() -> None:
    viewer = Viewer()
    one, other = record({"a": 1}, place="one"), record({"b": 1}, place="other")
    viewer.put(one)
    viewer.put(other)
    assert taken(viewer, 2) == [one.data, other.data]


def test_events_wait_in_order_and_the_oldest_go_first() -> None:
    viewer = Viewer()
    events = [record({"event": number}) for number in range(QUEUE + 5)]
    for event in events:
        viewer.put(event)
    assert taken(viewer, 1) == [b"".join(event.data for event in events[5:])]
    assert viewer.lost == 5


def test_what_is_for_one_goes_to_nobody_else() -> None:
    viewers = Viewers()
    one, other = viewers.add(), viewers.add()
    greeting, news = record({"type": "hello"}), record({"type": "news"})
    viewers.show([(one, greeting), (None, news)])
    assert taken(one, 1) == [greeting.data + news.data]
    assert taken(other, 1) == [news.data]
