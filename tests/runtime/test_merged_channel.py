"""Several channels read as one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import pytest

from lmstream_sync.runtime.channel import Channel, ChannelEnded
from lmstream_sync.runtime.merged_channel import ENDED, MergedChannel

P = ParamSpec("P")


def on_a_loop(test: Callable[P, None]) -> Callable[P, None]:
    """The loop's side of a channel asks for a running loop."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def body() -> None:
            test(*args, **kwargs)

        asyncio.run(body())

    return run


def everything(merged: MergedChannel) -> list[object]:
    found: list[object] = []
    try:
        while taken := merged.take_now():
            found += taken
    except ChannelEnded:
        found.append("the end")
    return found


@on_a_loop
def test_a_channel_gives_as_many_as_are_asked_for() -> None:
    channel = Channel(20)
    channel.offer(range(5))
    assert channel.arrived == 5
    assert channel.take_now(2) == [0, 1]
    assert channel.take_now() == [2, 3, 4]
    assert channel.take_now(1) == []
    channel.offer(range(5, 9))
    assert channel.take(1) == [5, 6, 7, 8] and channel.arrived == 9


@on_a_loop
def test_items_come_in_the_order_of_the_pushes() -> None:
    a, b = Channel(20), Channel(20)
    a.offer(["there before"])
    merged = MergedChannel([a, b])
    a.offer([1, 2])
    b.offer([3])
    a.offer([4])
    b.offer([5])
    assert everything(merged) == [(0, "there before"), (0, 1), (0, 2), (1, 3), (0, 4), (1, 5)]
    a.offer([6])
    b.offer([7, 8])
    a.offer([9])
    assert everything(merged) == [(0, 6), (1, 7), (1, 8), (0, 9)]


@on_a_loop
def test_an_end_comes_in_its_place_and_the_whole_ends_after_the_last() -> None:
    a, b = Channel(20), Channel(20)
    merged = MergedChannel([a, b])
    a.offer([1])
    a.end()
    b.offer([2])
    assert everything(merged) == [(0, 1), (0, ENDED), (1, 2)]
    b.close()
    merged.end()
    assert merged.ready
    assert everything(merged) == [(1, ENDED), "the end"]


@on_a_loop
def test_a_channel_that_ended_before_gives_what_it_had() -> None:
    a = Channel(20)
    a.offer([1])
    a.end()
    merged = MergedChannel([a])
    assert merged.ready and merged.unread
    assert everything(merged) == [(0, 1)] + [(0, ENDED)]


@on_a_loop
def test_closing_it_lets_go_of_the_channels() -> None:
    a = Channel(20)
    merged = MergedChannel([a])
    a.offer([1])
    merged.close()
    assert not merged.unread and a.waker is None
    with pytest.raises(ChannelEnded):
        merged.take(1)


@on_a_loop
def test_a_wait_ends_in_time() -> None:
    assert MergedChannel([Channel(4), Channel(4)]).take(0.01) == []


@on_a_loop
def test_a_merged_channel_is_a_channel_to_merge() -> None:
    a, b, c = Channel(20), Channel(20), Channel(20)
    inner = MergedChannel([a, b])
    merged = MergedChannel([inner, c])
    a.offer([1, 2])
    c.offer([3])
    b.offer([4])
    assert everything(merged) == [(0, (0, 1)), (0, (0, 2)), (1, 3), (0, (1, 4))]
    a.end()
    b.end()
    inner.end()
    c.end()
    merged.end()
    assert everything(merged) == [(0, (0, ENDED)), (0, (1, ENDED)), (0, ENDED), (1, ENDED), "the end"]
