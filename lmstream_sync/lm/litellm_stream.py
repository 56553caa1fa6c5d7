"""Reads one stream that litellm gave: its chunks to deltas, and whether it came to its end.

Knows litellm by the module object that it is given.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from types import ModuleType
from typing import Any

from lmstream_sync.errors import LMError, LMInterrupted, LMProtocolError
from lmstream_sync.lm.assembly import carries_text
from lmstream_sync.lm.engine import Delta, LMRequest
from lmstream_sync.lm.failures import provider_of
from lmstream_sync.lm.litellm_cache import NOTHING_SENT, cache_options, from_litellms_cache
from lmstream_sync.lm.litellm_chunks import ChunkReader, no_choices
from lmstream_sync.lm.litellm_iterators import NowOrLater, Pumped, Watched
from lmstream_sync.lm.litellm_quiet import cache_keeps, hush_wrapper, no_banners, nobody_listens
from lmstream_sync.lm.litellm_wire import Wire
from lmstream_sync.lm.said_errors import failure_said
from lmstream_sync.lm.whole_instead import whole_instead

__all__ = ["LARGEST_BATCH", "StreamReader", "in_batches"]

#: Chunks that cross as one list at most, however much one read brought.
LARGEST_BATCH = 64

_OVER: Any = object()


async def in_batches(iterator: Any, read: Callable[[Any], list[Delta]]) -> AsyncGenerator[list[Delta], None]:
    """The deltas of an asynchronous iterator's chunks, in lists of what came without waiting.

    Each chunk is read at once: some sources give the same object again, changed.
    """
    batch: list[Delta] = []
    while True:
        step = NowOrLater(_next(iterator))
        try:
            if step.now():
                item = step.result
            else:
                if batch:
                    yield batch
                    batch = []
                item = await step
        except GeneratorExit:
            await step.cancel()
            raise
        except Exception as error:
            failure = error
            break
        if item is _OVER:
            if batch:
                yield batch
            return
        batch += read(item)
        if len(batch) >= LARGEST_BATCH:
            yield batch
            batch = []
            await asyncio.sleep(0)  # a read of many chunks must not hold up the other streams
    # What came before an error is given first.
    if batch:
        yield batch
    try:
        raise failure
    finally:
        del failure  # its traceback holds this frame


async def _next(iterator: Any) -> Any:
    with no_banners():
        try:
            return await iterator.__anext__()
        except StopAsyncIteration:
            return _OVER


class StreamReader:
    """One stream, from `open` to `judge`.

    Args:
        litellm: the module.
        request: what was asked.
        response: what `acompletion` gave: litellm's wrapper, or what a stand-in makes of it.
        wire: what lies beneath; filled in by `open`.
    """

    def __init__(self, litellm: ModuleType, request: LMRequest, response: Any, wire: Wire) -> None:
        self._litellm = litellm
        self._request = request
        self._response = response
        self._wire = wire
        self._is_wrapper = hasattr(response, "completion_stream") and hasattr(response, "__anext__")
        self._chunks = ChunkReader()
        self._given: set[int] = set()
        self._failure: LMError | None = None
        #: Whether anything of the reply came.
        self.begun = False
        #: Whether that was more than its end, which litellm invents too.
        self.has_text = False

    async def open(self) -> Any:
        """The asynchronous iterator to read, with our eyes and ears in it."""
        response = self._response
        if self._is_wrapper:
            await self._open_wrapper()
        elif not hasattr(response, "__aiter__"):
            if response is None or not hasattr(response, "__iter__"):
                raise LMProtocolError(
                    f"{self._request.model}: litellm.acompletion gave {type(response).__name__}, "
                    "which is no stream and no response",
                    provider=provider_of(self._request.model),
                    model=self._request.model,
                )
            response = Pumped(response)
        else:
            self._wire.attach(response)
        return response.__aiter__()

    async def _open_wrapper(self) -> None:
        wrapper, wire = self._response, self._wire
        options = {**self._request.options, **cache_options(self._litellm, self._request)}
        quiet = nobody_listens(self._litellm, options) and not cache_keeps(self._litellm, options)
        hush_wrapper(self._litellm, wrapper, quiet)
        if wrapper.completion_stream is None and getattr(wrapper, "make_call", None) is not None:
            await wrapper.fetch_stream()  # some providers' requests are sent with the first read
        inner = wrapper.completion_stream
        wire.attach(inner)
        if inner is not None and not isinstance(inner, (str, bytes)):
            wrapper.completion_stream = Watched(inner if hasattr(inner, "__aiter__") else Pumped(inner), wire)
        if hasattr(wrapper, "_should_fail_on_clean_eof"):
            # Newer versions take a stream without a finish reason for one that broke off, also where
            # `[DONE]` came; `judge` looks at what the provider sent.
            wrapper._should_fail_on_clean_eof = bool
        finalize: Callable[..., Coroutine[Any, Any, Any]] | None = getattr(wrapper, "_finalize_completed_stream", None)
        if finalize is None:
            return

        async def ended(cache_hit: bool) -> Any:
            if not wrapper.sent_last_chunk:
                if wire.whole_body()[0] or not wire.complete(_finish_reason(wrapper)):
                    raise StopAsyncIteration  # before litellm invents a finish reason
            elif quiet:
                raise StopAsyncIteration
            return await finalize(cache_hit=cache_hit)

        wrapper._finalize_completed_stream = ended

    def read(self, chunk: Any) -> list[Delta]:
        """The deltas of a chunk."""
        self.begun = True
        deltas = self._chunks.read(chunk)
        for position, delta in enumerate(deltas):
            if delta.finish_reason:
                self._given.add(delta.index)
            if delta.usage and self._is_wrapper and not self._wire.usage_reported:
                deltas[position] = replace(delta, usage=None)  # litellm counted for itself
        refusals = self._wire.refusals()
        if refusals and all(delta.refusal is None for delta in deltas):
            deltas += self._refused(refusals)
        self.has_text = self.has_text or any(map(carries_text, deltas))
        return deltas

    def _refused(self, refusals: list[tuple[int, str]]) -> list[Delta]:
        return [self._chunks.refused(index, refusal) for index, refusal in refusals]

    def finish(self) -> list[Delta]:
        """What is left when the stream ended: what litellm kept to itself, or a whole response.

        Raises:
            LMError: something else came.
        """
        if self._wire.whole_body()[0]:
            return self._unlike_a_stream()
        deltas = self._refused(self._wire.refusals())
        deltas += self._chunks.finish(self._litellm.ModelResponseStream)
        for index, reason in self._wire.finish_reasons().items():
            if index not in self._given:  # litellm gives on that of one choice only
                deltas.append(Delta(index=index, finish_reason=reason))
        if self._is_wrapper and self._wire.usage_reported:
            deltas += _usage_at_end(self._response)
        if from_litellms_cache(self._response):
            deltas.append(Delta(usage=dict(NOTHING_SENT)))
        return deltas

    def judge(self) -> LMError | None:
        """The error, where the stream ended before the reply did."""
        if self._wire.whole_body()[0]:
            failure, self._failure = self._failure, None
            return failure
        if (told := self._wire.error_said(alone=not self.has_text)) is not None:
            return failure_said(told, self._request, begun=self.has_text)
        model = self._request.model
        if self._wire.complete(_finish_reason(self._response)):
            return no_choices(model) if self._wire.strays_alone else None
        said = "its stream ended with neither a finish reason nor [DONE]" if self.begun else "the provider sent nothing"
        return LMInterrupted(f"{model}: the reply broke off: {said}", provider=provider_of(model), model=model)

    def let_go(self) -> None:
        """Take out of litellm's wrapper and of what lies beneath what refers back to them.

        Reference counts shall free them.
        """
        self._wire.let_go()
        if self._is_wrapper:
            for name in ("_finalize_completed_stream", "_log_stream_failure_and_raise"):
                vars(self._response).pop(name, None)

    def _unlike_a_stream(self) -> list[Delta]:
        """A whole response is taken where a stream was asked for; all else is an error."""
        _, body = self._wire.whole_body()
        deltas, told = whole_instead(body, self._request, self._litellm.ModelResponseStream)
        if told is not None:
            self._failure = failure_said(told, self._request, begun=bool(deltas))
        return deltas


def _finish_reason(wrapper: Any) -> object:
    """What litellm read in the provider's chunks."""
    return getattr(wrapper, "received_finish_reason", None) or getattr(wrapper, "intermittent_finish_reason", None)


def _usage_at_end(wrapper: Any) -> list[Delta]:
    """The provider's usage, which litellm strips from the chunks and keeps for its log."""
    reported = [chunk for chunk in getattr(wrapper, "chunks", ()) if getattr(chunk, "usage", None) is not None]
    if not reported:
        return []
    with suppress(Exception):
        final = wrapper.model_response_creator()
        final.usage = reported[-1].usage
        return [delta for delta in ChunkReader().read(final) if delta.usage]
    return []
