"""A stream's events written in a format, as an iterator of text; `streaming_response` is one of them.

`Encoded` and `AsyncEncoded` are objects, not generators: closing one, before its first item
too, closes the stream, as a WSGI server does when its reader has left.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from typing import overload

from lmstream_sync.errors import ConfigurationError, LMStreamError, StreamClosed
from lmstream_sync.lm.secrets import known_secrets, scrub
from lmstream_sync.runtime.waiting import Expired
from lmstream_sync.streaming.format import Format
from lmstream_sync.streaming.sse import SSEFormat
from lmstream_sync.streaming.stream import AsyncStream, Stream

__all__ = ["AsyncEncoded", "Encoded", "log_failure", "streaming_response"]

_log = logging.getLogger("lmstream_sync.streaming")


class _Writing:
    """What both faces share: the format, and what is still to be sent when the stream is over."""

    def __init__(self, stream: Stream, format: Format, heartbeat: float | None, expose_errors: bool) -> None:
        if heartbeat is not None and not heartbeat > 0:
            raise ConfigurationError(f"heartbeat={heartbeat!r}: give a positive number of seconds, or None")
        self._source = stream
        self._format = format
        self._heartbeat = heartbeat
        self._expose = expose_errors
        self._begun = False
        #: What is still to be sent once the stream is over.
        self._left: list[str] | None = None

    def _first(self) -> str:
        self._source._check_closed()
        self._begun = True
        return self._format.begin(self._source)

    def _silent_until(self) -> float | None:
        """When a heartbeat is due, if nothing is written meanwhile, whatever may come."""
        return None if self._heartbeat is None else time.monotonic() + self._heartbeat

    def _end(self, error: Exception | None) -> str:
        failed = ""
        if error is not None:
            log_failure(self._source, error)
            failed = self._format.failed(error, expose=self._expose)
        self._left = [text for text in (failed, self._format.end()) if text]
        return self._next_left()

    def _next_left(self) -> str:
        return self._left.pop(0) if self._left else ""


def log_failure(failed: object, error: BaseException) -> None:
    """Say in the log what the reader at the other end is not told; a fault of the program's with its traceback.

    Args:
        failed: the stream or the program; its `repr` is shown.
        error: what it raised.
    """
    text = f"{type(error).__name__}: {error}"
    if not isinstance(error, LMStreamError):
        text = "".join(traceback.format_exception(error)).rstrip()
    _log.error("%r failed: %s", failed, scrub(text, known_secrets({})))


class Encoded(_Writing):
    """An iterator over a stream's events as text.

    Args:
        stream: the stream.
        format: how it is written; an object for this response alone.
        heartbeat: seconds of silence after which the format's heartbeat is sent; `None` for none.
        expose_errors: tell the reader the message of an error.

    Raises:
        ConfigurationError: `heartbeat` is no positive number.
    """

    def __iter__(self) -> Encoded:
        return self

    def __next__(self) -> str:
        """The next piece of text, never an empty one; a heartbeat when nothing came for so long."""
        text = self._next_left() if self._begun else self._first()
        until = self._silent_until()
        while not text:
            if self._left is not None:
                raise StopIteration
            if until is not None and time.monotonic() >= until:
                text, until = self._format.heartbeat(), self._silent_until()
            else:
                text = self._written(until)
        return text

    def _written(self, until: float | None) -> str:
        try:
            return self._format.event(self._source._next(until), expose=self._expose)
        except Expired:
            return ""
        except StopIteration:
            return self._end(None)
        except StreamClosed:
            raise  # whoever closed it wants nothing more
        except Exception as error:
            self._source.close()  # the fault may be the format's
            return self._end(error)

    def close(self) -> None:
        """Close the stream."""
        self._source.close()

    def __enter__(self) -> Encoded:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class AsyncEncoded(_Writing):
    """The same as an asynchronous iterator, for an `AsyncStream`.

    Args:
        stream, format, heartbeat, expose_errors: as for `Encoded`.
        ends_when_cancelled: close the stream when the task that waits for an item is cancelled, as
            an asynchronous generator ends then. Starlette closes no body: its task is cancelled
            when the reader leaves, and the traceback of that keeps the body alive.
    """

    def __init__(
        self,
        stream: AsyncStream,
        format: Format,
        heartbeat: float | None,
        expose_errors: bool,
        *,
        ends_when_cancelled: bool = False,
    ) -> None:
        super().__init__(stream.stream, format, heartbeat, expose_errors)
        self._stream = stream
        self._ends_when_cancelled = ends_when_cancelled

    def __aiter__(self) -> AsyncEncoded:
        return self

    async def __anext__(self) -> str:
        """The next piece of text, never an empty one; a heartbeat when nothing came for so long."""
        text = self._next_left() if self._begun else self._first()
        until = self._silent_until()
        while not text:
            if self._left is not None:
                raise StopAsyncIteration
            if until is not None and time.monotonic() >= until:
                text, until = self._format.heartbeat(), self._silent_until()
            else:
                text = await self._written(until)
        return text

    async def _written(self, until: float | None) -> str:
        left = None if until is None else max(0.0, until - time.monotonic())
        try:
            return self._format.event(await self._stream.next(left), expose=self._expose)
        except Expired:
            return ""
        except StopAsyncIteration:
            return self._end(None)
        except StreamClosed:
            raise
        except asyncio.CancelledError:
            if self._ends_when_cancelled:
                await self._stream.aclose()
            raise
        except Exception as error:
            await self._stream.aclose()
            return self._end(error)

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()

    async def __aenter__(self) -> AsyncEncoded:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


@overload
def streaming_response(stream: Stream, *, heartbeat: float | None = 15, expose_errors: bool = False) -> Encoded: ...


@overload
def streaming_response(
    stream: AsyncStream, *, heartbeat: float | None = 15, expose_errors: bool = False
) -> AsyncEncoded: ...


def streaming_response(
    stream: Stream | AsyncStream, *, heartbeat: float | None = 15, expose_errors: bool = False
) -> Encoded | AsyncEncoded:
    """A stream as server-sent events, for a view to return; ends with `data: [DONE]`.

    Args:
        stream: what a streamified program gave; an `AsyncStream` gives an asynchronous iterator.
        heartbeat: seconds of silence after which a comment is sent, which keeps proxies
            open and lets a WSGI server see that its reader left; `None` for none.
        expose_errors: tell the reader the message of an error; else a general one, and the
            logger `lmstream_sync.streaming` has the error.

    Raises:
        ConfigurationError: it is no stream.
    """
    if isinstance(stream, Stream):
        return Encoded(stream, SSEFormat(), heartbeat, expose_errors)
    if isinstance(stream, AsyncStream):
        return AsyncEncoded(stream, SSEFormat(), heartbeat, expose_errors, ends_when_cancelled=True)
    raise ConfigurationError(
        f"streaming_response({stream!r}): give what a streamified program returned, a Stream or an AsyncStream"
    )
