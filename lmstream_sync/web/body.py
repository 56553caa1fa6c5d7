"""The body of a streamed response: bytes as they come, and what happens when the reader leaves.

Iterator objects, not generators: a server's `close()` reaches the stream before the first
byte too.
"""

from __future__ import annotations

from typing import Literal

from lmstream_sync.errors import StreamClosed, StreamError
from lmstream_sync.streaming.encoded import AsyncEncoded, Encoded
from lmstream_sync.streaming.format import Format
from lmstream_sync.streaming.stream import AsyncStream, Stream

__all__ = ["AsyncBody", "Body", "OnLeave"]

OnLeave = Literal["stop", "finish"]


class Body:
    """What a WSGI server iterates over, and closes.

    Args:
        stream: the stream.
        format: how it is written; an object for this response alone.
        heartbeat: seconds of silence after which one is sent; `None` for none.
        on_leave: `"stop"` closes the stream when the reader leaves before its end, `"finish"` detaches it.
        expose_errors: tell the reader the message of an error.
    """

    def __init__(
        self, stream: Stream, format: Format, heartbeat: float | None, on_leave: OnLeave, expose_errors: bool
    ) -> None:
        self.stream = stream
        self._encoded = Encoded(stream, format, heartbeat, expose_errors)
        self._on_leave = on_leave

    def __iter__(self) -> Body:
        return self

    def __next__(self) -> bytes:
        """The next bytes, never none; the end where somebody closed the stream."""
        try:
            return next(self._encoded).encode("utf-8", "replace")
        except StreamClosed:
            raise StopIteration from None

    def close(self) -> None:
        """The reader has left, or has everything."""
        leave(self.stream, self._on_leave)


class AsyncBody:
    """The same for an ASGI server, as an asynchronous iterator."""

    def __init__(
        self, stream: Stream, format: Format, heartbeat: float | None, on_leave: OnLeave, expose_errors: bool
    ) -> None:
        self.stream = stream
        self._encoded = AsyncEncoded(AsyncStream(stream), format, heartbeat, expose_errors)
        self._on_leave = on_leave

    def __aiter__(self) -> AsyncBody:
        return self

    async def __anext__(self) -> bytes:
        """The next bytes, never none; the end where somebody closed the stream."""
        try:
            return (await anext(self._encoded)).encode("utf-8", "replace")
        except StreamClosed:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        """The reader has left, or has everything."""
        try:
            if self._on_leave == "finish":
                self.stream.detach()
        except StreamError:
            await self.stream.aclose()
            raise
        if self._on_leave == "stop":
            await self.stream.aclose()


def leave(stream: Stream, on_leave: OnLeave) -> None:
    """What becomes of a stream whose reader has gone; nothing where it is over.

    Raises:
        StreamError: it cannot be detached, and was closed.
    """
    try:
        if on_leave == "finish":
            stream.detach()
    except StreamError:
        stream.close()
        raise
    if on_leave == "stop":
        stream.close()
