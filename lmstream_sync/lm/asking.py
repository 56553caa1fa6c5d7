"""One request to a model, on the loop: its clock, its retries, its tap, its usage."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Protocol

from lmstream_sync.errors import LMStreamError
from lmstream_sync.lm.assembly import Assembly
from lmstream_sync.lm.engine import Delta, Engine, LMRequest, Reply, Tap
from lmstream_sync.lm.failures import without_context
from lmstream_sync.lm.retry import retrying
from lmstream_sync.lm.secrets import public
from lmstream_sync.lm.usage import estimated_usage, record_usage
from lmstream_sync.runtime.clocks import request_clock
from lmstream_sync.runtime.deadlines import RequestClock
from lmstream_sync.runtime.timeout import Timeout

__all__ = ["Asked", "ask_engine"]

_log = logging.getLogger("lmstream_sync.lm")

# Ends, in the words of OpenAI's chat completions, that leave an answer unfinished.
_SHORT = {
    "length": "the answer was cut off where max_tokens, or the model's own limit, ended it",
    "content_filter": "the provider's content filter ended the answer, which may not be whole",
}


@dataclass(slots=True)
class Asked:
    """A request, and what the LM knows of it besides what is sent.

    Attributes:
        request: what is sent; made for this call alone.
        prompt: what the caller was given instead of messages.
        key: where the cache in memory keeps the reply; `None`: it does not.
        retries: how many attempts more than one.
        timeout: the LM's own limits.
    """

    request: LMRequest
    prompt: str | None
    key: str | None
    retries: int
    timeout: Timeout | None

    def shown(self) -> dict[str, Any]:
        """What callbacks see; no secrets."""
        return {"prompt": self.prompt, "messages": self.request.messages, **public(self.request.options)}


class _Asking(Protocol):
    """An LM, as far as its requests know it."""

    def _engine_of(self, request: LMRequest) -> Engine:
        """What serves a request."""
        ...

    def _ended(self, asked: Asked, reply: Reply | None, error: Exception | None) -> None:
        """The provider answered, or this went wrong."""
        ...


# One coroutine from the LM to the attempts, as every open stream holds each.
async def ask_engine(lm: _Asking, asked: Asked, tap: Tap | None) -> Reply:
    """Ask until an attempt succeeds or there is no point; `tap` gets the pieces of the last one.

    Args:
        lm: says which engine serves the request, and is told how it ended unless it was cancelled.
        asked: what is asked.
        tap: sees the reply while it comes.

    Raises:
        LMError, StreamTimeout: without frames or causes of other libraries.
        Exception: what the tap raised, as it is.
    """
    request = asked.request
    request.raw = bool(tap is not None and getattr(tap, "wants_raw", False))
    failure: LMStreamError
    try:
        engine = lm._engine_of(request)
        await engine.prepare(raw=request.raw)
        async with request_clock(asked.timeout) as clock:
            request.connect = clock.timeout.connect
            attempt = _Attempt(engine, request, tap, clock)
            failed: list[Exception] | None = None
            try:
                reply = await attempt.run()
            except Exception as error:
                failed = [error]
            if failed is not None:
                reply = await retrying(attempt.run, failed, asked.retries, attempt.may_run_again, clock.remaining)
            _warn_if_short(reply)
    except LMStreamError as error:
        failure = error
    except Exception as error:
        lm._ended(asked, None, error)
        raise
    else:
        lm._ended(asked, reply, None)
        return reply
    lm._ended(asked, None, failure)
    try:
        raise without_context(failure)
    finally:
        del failure  # its traceback holds this frame


def _warn_if_short(reply: Reply) -> None:
    """Such an answer reads like a whole one; DSPy warns of it too."""
    for choice in reply.choices:
        if choice.finish_reason in _SHORT:
            _log.warning("%s: %s (finish reason %r)", reply.model, _SHORT[choice.finish_reason], choice.finish_reason)


class _Attempt:
    """Sends a request once each time it is run."""

    __slots__ = ("_begun", "_clock", "_engine", "_request", "_tap")

    def __init__(self, engine: Engine, request: LMRequest, tap: Tap | None, clock: RequestClock) -> None:
        self._engine = engine
        self._request = request
        self._tap = tap
        self._clock = clock
        # Whether a token has come: from then on nothing is tried again.
        self._begun = False

    def may_run_again(self) -> bool:
        """Whether another attempt would repeat nothing that was shown."""
        return not self._begun

    async def run(self) -> Reply:
        """One attempt, from its request to its whole reply."""
        tap, clock = self._tap, self._clock
        clock.sent()
        if tap is None:
            return await self._whole()
        assembly = Assembly()
        early: list[Delta] | None = None  # pieces before the first token, which an attempt anew would repeat
        over = False
        try:
            pieces = self._engine.stream(self._request)
            try:
                async for deltas in pieces:
                    clock.clocks.touch()
                    assembly.add(deltas)
                    if not self._begun:
                        if not assembly.begun:
                            early = [] if early is None else early
                            early += deltas
                            continue
                        self._begun = True
                        clock.arrived()
                        if early:
                            deltas, early = early + deltas, None
                    waiting = tap.feed(deltas)
                    if waiting is not None:
                        await waiting
                    del deltas  # what was read is not kept while the next is waited for
            finally:
                close = getattr(pieces, "aclose", None)
                if close is not None:
                    await close()
            if early and (waiting := tap.feed(early)) is not None:
                await waiting
            over = True
        finally:
            reply = assembly.reply(self._request.model)
            if self._begun or over:
                # Also for a reply that was left: its tokens were paid.
                self._account(reply, assembly)
        await tap.end(reply)
        return reply

    async def _whole(self) -> Reply:
        reply = await self._engine.complete(self._request)
        if not reply.usage:
            reply.usage = estimated_usage(self._request.messages, sum(len(choice.text) for choice in reply.choices))
        record_usage(self._request.model, reply.usage, reply.price)
        return reply

    def _account(self, reply: Reply, assembly: Assembly) -> None:
        if not reply.usage:
            reply.usage = estimated_usage(self._request.messages, assembly.characters)
        reply.price = self._engine.price(reply.model, reply.usage)
        record_usage(reply.model, reply.usage, reply.price)
