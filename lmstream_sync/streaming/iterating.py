"""`iterate`: a stream over anything asynchronous, without a program."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any

from lmstream_sync.errors import ConfigurationError
from lmstream_sync.runtime.call import Call
from lmstream_sync.runtime.channel import Channel
from lmstream_sync.runtime.clocks import limits_asked, request_clock
from lmstream_sync.runtime.timeout import Timeout
from lmstream_sync.settings import settings
from lmstream_sync.streaming.stream import Stream

__all__ = ["iterate", "new_channel"]


def new_channel(queue_size: int | None) -> Channel:
    """A channel of the size asked for, else of `settings.queue_size`.

    Raises:
        ConfigurationError: it is no positive whole number.
    """
    size = settings.queue_size if queue_size is None else queue_size
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ConfigurationError(f"queue_size={size!r}: give a positive whole number of events")
    return Channel(size)


def iterate(
    source: Callable[[], AsyncIterable[Any]] | AsyncIterable[Any],
    *,
    queue_size: int | None = None,
    timeout: Timeout | float | None = None,
) -> Stream:
    """A `Stream` of the items of an asynchronous iterable. It has no final value.

    Args:
        source: a factory, called on the loop thread, so that what it opens belongs to that
            loop; or the iterable itself.
        queue_size: how many items may wait for a stalled reader.
        timeout: see `Timeout`; an item counts as a token.

    Raises:
        ConfigurationError: it is neither.
    """
    if not callable(source) and not isinstance(source, AsyncIterable):
        raise ConfigurationError(f"iterate({source!r}): give an asynchronous iterable, or a function that makes one")
    limits = limits_asked(Timeout.of(timeout))

    async def pump(call: Call) -> None:
        iterable: Any = source if isinstance(source, AsyncIterable) else source()
        if isinstance(iterable, Awaitable):
            iterable = await iterable
        if not isinstance(iterable, AsyncIterable):
            raise ConfigurationError(
                f"iterate(): the factory gave {type(iterable).__name__}, which `async for` refuses"
            )
        iterator = aiter(iterable)
        try:
            async with request_clock(None) as clock:
                clock.sent()
                async for item in iterator:
                    clock.arrived()
                    await call.put((item,))
        finally:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                await close()

    name = getattr(source, "__qualname__", type(source).__name__)
    return Stream(Call(pump, new_channel(queue_size), limits, f"iterate({name})"))
