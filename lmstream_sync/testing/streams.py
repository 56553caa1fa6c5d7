"""A stream of given events, for tests of what reads one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

from lmstream_sync.streaming import Stream, streamify

__all__ = ["stream_of"]


def stream_of(events: Iterable[Any], error: BaseException | None = None) -> Stream:
    """A real `Stream` that gives these events, then ends or raises `error`.

    A Prediction that comes last is the final value, as with any program.
    """

    async def program() -> AsyncIterator[Any]:
        for event in events:
            yield event
        if error is not None:
            raise error

    stream = streamify(program, False)()
    assert isinstance(stream, Stream)
    return stream
