"""What lies beneath a litellm stream: what the provider really sent, and how to hang up.

litellm hides `[DONE]`, invents a finish reason where none came, and leaves the connection
open when its stream is left. So the HTTP response beneath is looked for, its bytes are
watched on their way to the decoder, and it is closed by our own hand.

Knows the shapes of litellm's, httpx's and aiohttp's objects and imports none of them.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Coroutine, Generator, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

from lmstream_sync.runtime.clocks import touch
from lmstream_sync.runtime.workers import in_worker

__all__ = ["NowOrLater", "Pumped", "Watched", "Wire"]

T = TypeVar("T")

# A line of the stream that says the end; in a chunk's JSON a line feed is always escaped.
_DONE = re.compile(rb"(?:^|[\r\n])data: ?\[DONE\]")
_TAIL = 16

# How an event stream begins (HTML standard, "Parsing an event stream").
_EVENTS = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:data|event|id|retry)?:")

#: Seconds that the end of a response may take after its `[DONE]`.
END_SECONDS = 0.05

#: A body that is no event stream is kept up to here, to be read as a whole response: bytes.
_LONGEST_BODY = 16 * 1024 * 1024

# Where litellm's and the openai package's stream objects keep what they read from.
_INWARDS = (
    "response",
    "streaming_response",
    "completion_stream",
    "stream",
    "raw_response",
    "http_response",
    "iterator",
    "_iterator",
    "async_response_iterator",
    "response_iterator",
    "async_streaming_response",
    "_response",
    "_stream",
    "_httpx_response",
    "_aiohttp_response",
    "_raw_stream",
    "self",
)


class Wire:
    """The HTTP response beneath one stream, where there is one."""

    def __init__(self) -> None:
        self._response: Any = None
        self._socket: Any = None
        self._opened = False
        self._done = False
        self._tail = b""
        self._body: bytearray | None = bytearray()
        self._begun: set[int] = set()
        self._finished: dict[int, str] = {}
        self.chunks = 0
        self.usage_reported = False

    def attach(self, stream: Any) -> None:
        """Look for the response beneath a stream, and watch its bytes from here on."""
        for found in _inwards(stream):
            kinds = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(found).__mro__}
            if "httpx.Response" in kinds and self._response is None:
                self._response = found
            if "aiohttp.ClientResponse" in kinds:
                self._socket = found
                break
        response = self._response
        if response is not None and not getattr(response, "is_stream_consumed", True):
            # Looked up on the response when the decoder begins, so its decoded bytes pass here.
            response.aiter_bytes = partial(self._watched_bytes, response.aiter_bytes)

    async def _watched_bytes(self, original: Any, *args: Any, **kwargs: Any) -> AsyncIterator[bytes]:
        self._opened = True
        pieces = original(*args, **kwargs).__aiter__()
        async for piece in pieces:
            already = self._done
            self._saw(piece)
            if self._done and not already:
                # At [DONE] the openai package closes the response, and a response that was not
                # read to its end takes its connection along. So the end is waited for, but
                # nothing is held back for it.
                done_at = piece.rfind(b"data:")
                if done_at > 0:
                    yield piece[:done_at]
                    piece = piece[done_at:]
                await _read_to_end(pieces)
            yield piece

    def _saw(self, piece: bytes) -> None:
        touch()
        if self._body is not None:
            if self.chunks or _EVENTS.match(self._body):
                self._body = None
            elif len(self._body) < _LONGEST_BODY:
                self._body += piece
        if not self._done:
            text = self._tail + piece
            self._done = _DONE.search(text) is not None
            self._tail = text[-_TAIL:]

    def saw_chunk(self, chunk: Any) -> None:
        """The provider's own chunk passed, before litellm made its own of it."""
        self.chunks += 1
        usage = chunk.get("usage") if isinstance(chunk, dict) else getattr(chunk, "usage", None)
        if usage is not None:
            self.usage_reported = True
        for choice in getattr(chunk, "choices", None) or ():
            index = getattr(choice, "index", 0) or 0
            if reason := getattr(choice, "finish_reason", None):
                self._finished[index] = str(reason)
            else:
                self._begun.add(index)

    def complete(self, finish_reason: object) -> bool:
        """Whether the reply was whole when its stream ended.

        Args:
            finish_reason: what litellm read in the provider's chunks, and did not invent.
        """
        if self._done or not self._opened:
            return True
        if self._finished:
            return self._begun <= self._finished.keys()
        return finish_reason is not None

    def finish_reasons(self) -> dict[int, str]:
        """Choice → the finish reason that the provider sent; litellm gives on only one."""
        return self._finished

    def whole_body(self) -> tuple[bool, Any]:
        """Whether something else than an event stream came; and its JSON, or `None`."""
        if not self._body or self.chunks or not self._body.strip() or _EVENTS.match(self._body):
            return False, None
        try:
            return True, json.loads(self._body)
        except ValueError:
            return True, None

    def hang_up(self) -> None:
        """Close the provider's connection now; never waits, and is safe to call again."""
        if self._socket is not None:
            with suppress(Exception):
                self._socket.close()
        if self._response is not None:
            vars(self._response).pop("aiter_bytes", None)  # it refers back to the response


def _inwards(outermost: Any) -> Iterator[Any]:
    """The objects that a stream is made of, outermost first."""
    waiting, seen = [outermost], set[int]()
    while waiting and len(seen) < 100:
        found = waiting.pop(0)
        if found is None or id(found) in seen or isinstance(found, (str, bytes, int, float, dict)):
            continue
        seen.add(id(found))
        yield found
        # An async generator that has not ended keeps what it reads from in its locals.
        frame = getattr(found, "ag_frame", None) or getattr(found, "gi_frame", None)
        if frame is not None:
            local = frame.f_locals
            waiting += [local[name] for name in local if name in _INWARDS or not name.startswith("_")]
        else:
            own = getattr(found, "__dict__", {})
            waiting += [own[name] for name in _INWARDS if name in own]


async def _read_to_end(pieces: AsyncIterator[bytes]) -> None:
    """Read the little that may follow `[DONE]`, for `END_SECONDS` at most."""

    async def read() -> None:
        async for _ in pieces:
            pass

    reading = asyncio.ensure_future(read())
    try:
        await asyncio.wait([reading], timeout=END_SECONDS)
    finally:
        if not reading.done():
            reading.cancel()
        elif not reading.cancelled():
            reading.exception()  # seen: the reply is whole without it


class Watched:
    """A provider's stream inside litellm's wrapper; each chunk is noted as it passes."""

    def __init__(self, stream: Any, wire: Wire) -> None:
        self._stream = stream
        self._wire = wire
        self._iterator: Any = None

    def __aiter__(self) -> Watched:
        return self

    async def __anext__(self) -> Any:
        if self._iterator is None:
            self._iterator = self._stream if hasattr(self._stream, "__anext__") else self._stream.__aiter__()
        chunk = await self._iterator.__anext__()
        self._wire.saw_chunk(chunk)
        return chunk

    async def aclose(self) -> None:
        """Close what is beneath."""
        for holder in (self._iterator, self._stream):
            close = getattr(holder, "aclose", None) or getattr(holder, "close", None)
            if close is not None:
                done = close()
                if hasattr(done, "__await__"):
                    await done
                return

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


_END = object()


class Pumped:
    """A plain iterator (Bedrock's, a list, a generator), read in a worker so that it does
    not block the loop."""

    def __init__(self, iterable: Any) -> None:
        self._iterable = iterable
        self._iterator: Iterator[Any] | None = None

    def __aiter__(self) -> Pumped:
        return self

    async def __anext__(self) -> Any:
        item = await in_worker(self._next, name="a provider's synchronous stream")
        touch()
        if item is _END:
            raise StopAsyncIteration
        return item

    def _next(self) -> Any:
        if self._iterator is None:
            self._iterator = iter(self._iterable)
        return next(self._iterator, _END)

    async def aclose(self) -> None:
        """Close the iterator, in a worker: what it does then may block."""
        close = getattr(self._iterable, "close", None) or getattr(self._iterator, "close", None)
        if callable(close):
            with suppress(Exception):
                await in_worker(close, name="closing a provider's synchronous stream")


class NowOrLater(Generic[T]):
    """Runs a coroutine until it would wait: what one socket read brought comes without waiting.

    Call `now` once; where it gives false, await this object for the rest.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self._wants: Any = None
        self.result: T | None = None

    def now(self) -> bool:
        """Whether it ended without waiting; then `result` has what it gave."""
        try:
            self._wants = self._coroutine.send(None)
        except StopIteration as end:
            self.result = end.value
            return True
        return False

    def __await__(self) -> Generator[Any, Any, T]:
        wants, self._wants = self._wants, None
        while True:
            try:
                sent = yield wants
            except GeneratorExit:
                self._coroutine.close()
                raise
            except BaseException as error:
                try:
                    wants = self._coroutine.throw(error)
                except StopIteration as end:
                    result: T = end.value
                    return result
            else:
                try:
                    wants = self._coroutine.send(sent)
                except StopIteration as end:
                    result = end.value
                    return result

    async def cancel(self) -> None:
        """End it as a cancellation does, its clean-up included."""
        try:
            self._wants = self._coroutine.throw(asyncio.CancelledError())
        except (Exception, asyncio.CancelledError, StopIteration):
            return
        with suppress(Exception, asyncio.CancelledError):
            await self
