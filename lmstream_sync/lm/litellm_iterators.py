"""The iterators between a provider's stream and its reader: watched, pumped, run as far as they go.

Each wraps an iterator of litellm's or a user's and knows nothing else of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator, Iterator
from contextlib import suppress
from typing import Any, Generic, TypeVar

from lmstream_sync.lm.litellm_wire import Wire
from lmstream_sync.runtime.clocks import touch
from lmstream_sync.runtime.workers import in_worker

__all__ = ["NowOrLater", "Pumped", "Watched"]

T = TypeVar("T")


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
            # Also where it has `__anext__`: most of litellm's readers of a wire format make
            # themselves ready in `__aiter__`.
            self._iterator = self._stream.__aiter__() if hasattr(self._stream, "__aiter__") else self._stream
        chunk = await self._iterator.__anext__()
        self._wire.saw_chunk(chunk)
        return chunk

    async def aclose(self) -> None:
        """Close what is beneath."""
        for holder in (self._iterator, self._stream) if self._iterator is not self._stream else (self._stream,):
            close = getattr(holder, "aclose", None) or getattr(holder, "close", None)
            if close is not None:
                done = close()
                if hasattr(done, "__await__"):
                    await done

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
