"""The body of a streamed response, with a face for each kind of server.

Under ASGI Django reads a synchronous iterator to its end before it sends the first byte, so
there it gets an asynchronous one.
"""

from __future__ import annotations

from contextlib import suppress

from lmstream_sync.errors import StreamError
from lmstream_sync.runtime.threads import start_job
from lmstream_sync.streaming.format import Format
from lmstream_sync.streaming.stream import Stream
from lmstream_sync.web.body import AsyncBody, Body, OnLeave, leave
from lmstream_sync.web.django.ends import Ends, on_event_loop
from lmstream_sync.web.response import Options

__all__ = ["AsyncPieces", "Pieces", "Served"]


class Served:
    """A stream that is sent as a response.

    The response refers to it and it to the stream, never back: where Django drops a response
    unsent, the last reference gone stops the program.

    Args:
        options: what the view asked for.
        stream: the stream, where it is known already.
    """

    def __init__(self, options: Options, stream: Stream | None = None) -> None:
        self._options = options
        self._ends = Ends()
        self._stream: Stream | None = None
        if stream is not None:
            self.take(stream)

    def take(self, stream: Stream) -> None:
        """This is the stream; to be called before anything of it is read."""
        self._stream = stream
        stream.on_end_through(self._ends.add)

    def pieces(self, format: Format | None) -> Pieces:
        """The face for WSGI; without a format, or a stream, it has nothing in it."""
        stream = self._stream
        body = None if format is None or stream is None else Body(stream, format, *self._manner)
        return Pieces(body, self._ends)

    def async_pieces(self, format: Format | None) -> AsyncPieces:
        """The face for ASGI."""
        stream = self._stream
        body = None if format is None or stream is None else AsyncBody(stream, format, *self._manner)
        return AsyncPieces(body, self._ends)

    @property
    def _manner(self) -> tuple[float | None, OnLeave, bool]:
        options = self._options
        return options.heartbeat, options.on_leave, options.expose_errors

    def close(self) -> None:
        """The response is over, read to its end or not: the stream is left, and its `on_end` functions called."""
        if on_event_loop():  # Django's AsyncClient closes there
            start_job(self._close)
        else:
            self._close()

    def _close(self) -> None:
        self._ends.let_go()
        if self._stream is not None:
            leave(self._stream, self._options.on_leave)

    def drop(self) -> None:
        """There will be no response, and this thread may be inside the view's transaction: a worker calls them."""
        self._ends.drop()

    def __del__(self) -> None:
        # Django drops a response unsent where the reader of an ASGI view has left meanwhile.
        if self._options.on_leave == "finish" and self._stream is not None:
            with suppress(StreamError):
                self._stream.detach()
        self._ends.drop()


class Pieces:
    """The bytes of a body; whatever ended the stream, `on_end` functions have run before the last ones go out."""

    def __init__(self, body: Body | None, ends: Ends) -> None:
        self._body = body
        self._ends = ends

    def __iter__(self) -> Pieces:
        return self

    def __next__(self) -> bytes:
        """The next bytes."""
        if self._body is None:
            raise StopIteration
        try:
            return next(self._body)
        finally:
            self._ends.call()


class AsyncPieces:
    """The same as an asynchronous iterator."""

    def __init__(self, body: AsyncBody | None, ends: Ends) -> None:
        self._body = body
        self._ends = ends

    def __aiter__(self) -> AsyncPieces:
        return self

    async def __anext__(self) -> bytes:
        """The next bytes."""
        if self._body is None:
            raise StopAsyncIteration
        try:
            return await anext(self._body)
        finally:
            await self._ends.acall()

    async def aclose(self) -> None:
        """The reader has left, or has everything."""
        if self._body is not None:
            await self._body.aclose()
        await self._ends.acall()
