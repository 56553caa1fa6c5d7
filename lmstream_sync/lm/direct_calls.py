"""One request of the direct engine, from the socket to its deltas. Runs on the loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from typing import Any, cast

from lmstream_sync.errors import (
    BadRequestError,
    ConfigurationError,
    LMError,
    LMStreamError,
)
from lmstream_sync.lm.direct_body import StreamedBody
from lmstream_sync.lm.direct_chunks import DirectReader
from lmstream_sync.lm.direct_failures import failure_of, judged, malformed, status_error
from lmstream_sync.lm.direct_http import Response, connections, get_ready, hang_up, read_to_end
from lmstream_sync.lm.direct_request import Outgoing, base_address, outgoing, shown_base
from lmstream_sync.lm.endpoints import may_lack_version
from lmstream_sync.lm.engine import Delta, LMRequest, Reply
from lmstream_sync.lm.failures import without_context
from lmstream_sync.lm.json_decoding import plain_json, typed_chunk
from lmstream_sync.lm.litellm_chunks import no_choices, whole_reply
from lmstream_sync.lm.litellm_engine import raw_chunks
from lmstream_sync.lm.said_errors import error_in, error_without_choices, failure_said
from lmstream_sync.lm.secrets import is_secret_name, scrub
from lmstream_sync.lm.whole_instead import whole_instead
from lmstream_sync.runtime.clocks import touch

__all__ = ["DirectCalls", "calls"]

#: Events that are read and cross as one list at most, however much one read brought.
LARGEST_BATCH = 256

# Endpoints remembered for what they refuse: that many at most.
_MEMORY = 1_000

_COMPLETIONS = "/chat/completions"


class DirectCalls:
    """What is remembered of endpoints, and the requests to them."""

    def __init__(self) -> None:
        self._refuses_usage: dict[tuple[str, str], None] = {}
        self._wants_version: dict[tuple[str, str], None] = {}

    def get_ready(self) -> None:
        """Do, in a worker, what the first request would do for the first time."""
        typed_chunk(b'{"choices":[{"index":0,"delta":{"content":"x"}}]}')
        get_ready()

    async def connect(self, request: LMRequest) -> None:
        """Ask the endpoint for its list of models, which leaves an open connection behind."""
        with suppress(Exception):
            asked = outgoing(request, path="/models", stream=False, usage=False)._replace(body=b"")
            response = await connections.send("GET", asked, request.connect)
            try:
                await asyncio.wait_for(response.read(), request.connect)
            finally:
                hang_up(response, whole=True)

    async def stream(self, request: LMRequest) -> AsyncIterator[list[Delta]]:
        """Send a request and give its pieces; see `Engine.stream`."""
        make_raw = await raw_chunks() if request.raw else None
        response = await self._answer(request, stream=True)
        said_to_be = response.headers.get("Content-Type", "")
        body, reader = StreamedBody(said_to_be.lower().startswith("text/event-stream")), DirectReader(make_raw)
        failure: LMError | None = None
        whole = False
        content, piece = response.content, b""
        events: Sequence[bytes] = ()
        some: Sequence[bytes] = ()
        deltas: list[Delta] | None = None
        try:
            while not reader.over and (piece := await content.readany()):
                events = body.feed(piece)
                if not events:
                    touch()
                elif len(events) < LARGEST_BATCH:
                    if deltas := reader.read(events):
                        yield deltas
                    else:
                        touch()  # an event that says nothing is a sign of life
                else:
                    for some in _in_batches(events):
                        if deltas := reader.read(some):
                            yield deltas
                        else:
                            touch()
                        if reader.over:
                            break
                        if len(some) == LARGEST_BATCH:
                            await asyncio.sleep(0)  # a read of many chunks must not hold up the other streams
                # What was read is not kept while the next is waited for.
                piece, events, some, deltas = b"", (), (), None
            cut_off = not reader.over and body.inside_a_line
            if not reader.ended_plainly:
                if deltas := self._rest(request, body, reader, make_raw):
                    yield deltas
                failure = judged(request, reader, cut_off)
            whole = reader.done or not reader.over
            if reader.done and not content.at_eof():
                await read_to_end(response)
        except ValueError as error:  # an event that does not end
            failure = malformed(request, error)
        except Exception as error:
            failure = failure_of(error, request, begun=reader.begun)
        finally:
            hang_up(response, whole=whole)
            # What the provider said may hold a key; a debug page shows the locals of this frame.
            del response, content, piece, events, some, deltas
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # its traceback holds this frame

    def _rest(self, request: LMRequest, body: StreamedBody, reader: DirectReader, make_raw: Any) -> list[Delta]:
        """What is left when the body ended: a whole response, an event without its end, half a character."""
        if body.unlike_events:
            deltas, reader.error = whole_instead(body.whole(), request, make_raw)
            reader.over = reader.done = True
            reader.begun = bool(deltas)
            return deltas
        deltas = []
        if not reader.over:
            cut_off = body.inside_a_line
            deltas = reader.read(body.finish())
            if cut_off and reader.refused is not None:
                reader.over, reader.refused = False, None  # not malformed, but cut off
        return deltas + reader.finish()

    async def complete(self, request: LMRequest) -> Reply:
        """Send a request and wait for the whole reply.

        Raises:
            LMError: the request failed.
        """
        response = await self._answer(request, stream=False)
        failure: LMError | None = None
        whole = False
        body, found, told = b"", None, None
        try:
            body = await response.read()
            whole = True
            found = plain_json(body)
            told = error_in(found) or error_without_choices(found)
            if told is not None:
                failure = failure_said(told, request, begun=False)
            elif (reply := whole_reply(found, request.model)) is not None:
                return reply
            else:
                failure = no_choices(request.model)
        except ValueError as error:
            failure = malformed(request, error)
        except Exception as error:
            failure = failure_of(error, request, begun=False)
        finally:
            hang_up(response, whole=whole)
            del response, body, found, told
        try:
            raise failure
        finally:
            del failure

    async def _answer(self, request: LMRequest, *, stream: bool) -> Response:
        """The response to a request, asked again without what this endpoint refuses."""
        usage, versioned = stream, False
        if self._refuses_usage or self._wants_version:
            endpoint = _place(request)
            usage = stream and endpoint not in self._refuses_usage
            versioned = endpoint in self._wants_version
        response, failure = await _sent(request, stream, usage, versioned)
        if response is not None:
            return response
        try:
            return await self._further_answer(request, stream, usage, versioned, cast(LMStreamError, failure))
        finally:
            del failure

    async def _further_answer(
        self, request: LMRequest, stream: bool, usage: bool, versioned: bool, failure: LMStreamError
    ) -> Response:
        """The response where the first was a failure.

        A base address without a version is tried as it stands, as litellm does; where there
        is nothing under it, `/v1` is added.
        """
        first: LMStreamError | None = None
        told: LMStreamError | None = failure
        try:
            while True:
                if usage and _refuses_usage(told):
                    _remember(self._refuses_usage, _place(request))
                    usage = False
                elif _is_not_there(told) and not versioned and may_lack_version(base_address(request)):
                    first, versioned = told, True
                else:
                    break
                response, told = await _sent(request, stream, usage, versioned)
                if response is not None:
                    if versioned:
                        _remember(self._wants_version, _place(request))
                    return response
            if first is not None and _is_not_there(told):
                told = first  # neither with a version nor without: what the given address said
            raise cast(LMStreamError, told)
        finally:
            del failure, told, first


def _has_a_key(asked: Outgoing) -> bool:
    """Whether a request carries a key in a header, whatever its name, or in its address."""
    return any(map(is_secret_name, asked.headers)) or scrub(asked.url, ()) != asked.url


def _place(request: LMRequest) -> tuple[str, str]:
    """A name for the endpoint, without secrets."""
    return request.model, shown_base(request)


def _is_not_there(error: LMStreamError | None) -> bool:
    return isinstance(error, LMError) and error.status_code in (404, 405)


def _in_batches(events: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    if len(events) <= LARGEST_BATCH:
        yield events
        return
    for at in range(0, len(events), LARGEST_BATCH):
        yield events[at : at + LARGEST_BATCH]


async def _sent(
    request: LMRequest, stream: bool, usage: bool, versioned: bool
) -> tuple[Response | None, LMStreamError | None]:
    """A response, or why there is none. Secrets are revealed here; no error of ours is raised from this frame."""
    try:
        path = "/v1" + _COMPLETIONS if versioned else _COMPLETIONS
        asked = outgoing(request, path=path, stream=stream, usage=usage)
        response = await connections.send("POST", asked, request.connect)
        if response.status < 300:
            return response, None
        try:
            error = await status_error(response)
        finally:
            hang_up(response, whole=True)
        keyless = error.status_code == 401 and not _has_a_key(asked)
    except ConfigurationError as raised:
        return None, without_context(raised)
    except Exception as raised:
        return None, failure_of(raised, request, begun=False)
    return None, failure_of(error, request, begun=False, keyless=keyless)


def _refuses_usage(error: LMStreamError | None) -> bool:
    text = str(error)
    return isinstance(error, BadRequestError) and ("stream_options" in text or "include_usage" in text)


def _remember(seen: dict[tuple[str, str], None], endpoint: tuple[str, str]) -> None:
    if len(seen) >= _MEMORY:
        seen.pop(next(iter(seen)))
    seen[endpoint] = None


#: Those of this process.
calls = DirectCalls()
