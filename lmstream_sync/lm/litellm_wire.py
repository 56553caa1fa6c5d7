"""What lies beneath a litellm stream: what the provider really sent, and how to hang up.

litellm hides `[DONE]`, invents a finish reason where none came, and leaves the connection
open when its stream is left. So the HTTP response beneath is looked for, its bytes are
watched on their way to the decoder, and it is closed by our own hand.

Knows the shapes of litellm's, httpx's and aiohttp's objects and imports none of them.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from lmstream_sync.lm.json_decoding import plain_json
from lmstream_sync.lm.said_errors import error_in, error_without_choices, with_named_errors
from lmstream_sync.lm.sse_decoder import BEGINS, SSEDecoder, without_bom
from lmstream_sync.runtime.clocks import touch

__all__ = ["Wire"]

# A line of the stream that says the end; in a chunk's JSON a line feed is always escaped.
_DONE = re.compile(rb"[\r\n]data: ?\[DONE\]")
_TAIL = 32

# litellm's reader of Gemini's wire format, for AI Studio and Vertex AI. It invents a finish
# reason in every piece, so what says the end is looked for in the bytes; inside text its
# quotation marks would be escaped.
_GEMINI = re.compile(r"litellm\.llms\.vertex_ai\.gemini\b")
_GEMINI_END = re.compile(rb'(?<!\\)"(?:finishReason|blockReason)"\s*:\s*"')

#: An error inside a stream is looked for in so many of the last bytes, and events.
_LONGEST_ERROR = 8 * 1024
_LAST = 2

#: Seconds that the end of a response may take after its `[DONE]`, and then leaving it.
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
        self._opened = self._ended = False
        self._done = False
        self._tail = b"\n"  # before the first line, as before all others
        self._start: bytes | None = b""  # until it is known whether it is a byte order mark
        self._body: bytearray | None = bytearray()
        self._recent: deque[bytes] = deque()
        self._recent_size = 0
        self._begun: set[int] = set()
        self._finished: dict[int, str] = {}
        self._refused: dict[int, str] = {}
        self._is_gemini = self._gemini_ending = self._gemini_ended = False
        self._has_strays = False
        self.chunks = 0
        self.usage_reported = False

    def attach(self, stream: Any) -> None:
        """Look for the response beneath a stream, and watch its bytes from here on."""
        for found in _inwards(stream):
            self._is_gemini |= _GEMINI.match(type(found).__module__) is not None
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
            if self._start is not None:
                piece = self._without_bom(piece)
                if not piece:
                    continue
            self._saw(piece)
            if self._done:
                # At [DONE] the openai package closes the response, and a response that was not
                # read to its end takes its connection along. So the end is waited for, but
                # nothing is held back for it.
                done_at = piece.rfind(b"data:")
                if done_at > 0:
                    yield piece[:done_at]
                    piece = piece[done_at:]
                await _read_to_end(pieces)
                with suppress(Exception):
                    # Where the end did not come, others would wait for it again. (Else it is closed already.)
                    await self._response.aclose()
                yield piece
                return
            yield piece
        if self._start:
            self._saw(self._start)
            yield self._start
        self._ended = True

    def _without_bom(self, piece: bytes) -> bytes:
        """What is known not to be the byte order mark that may stand before everything.

        The openai package takes it for a part of the first line, and so loses the first event.
        """
        start = (self._start or b"") + piece
        found = without_bom(start)
        self._start = start if found is None else None
        return found or b""

    def _saw(self, piece: bytes) -> None:
        touch()
        self._recent.append(piece)
        self._recent_size += len(piece)
        while self._recent_size - len(self._recent[0]) >= _LONGEST_ERROR:
            self._recent_size -= len(self._recent.popleft())
        if self._body is not None:
            if self.chunks or BEGINS.match(self._body):
                self._body = None
            elif len(self._body) < _LONGEST_BODY:
                self._body += piece
        if not self._done:
            text = self._tail + piece
            self._done = _DONE.search(text) is not None
            if self._is_gemini and not self._gemini_ended:
                self._look_for_geminis_end(text, piece)
            self._tail = text[-_TAIL:]

    def _look_for_geminis_end(self, text: bytes, piece: bytes) -> None:
        """The line with the finish reason may carry text too, so it counts when it is whole."""
        if not self._gemini_ending:
            found = _GEMINI_END.search(text)
            if found is None:
                return
            self._gemini_ending = True
            piece = text[found.end() :]
        self._gemini_ended = b"\n" in piece

    def saw_chunk(self, chunk: Any) -> None:
        """The provider's own chunk passed, before litellm made its own of it."""
        self.chunks += 1
        usage = chunk.get("usage") if isinstance(chunk, dict) else getattr(chunk, "usage", None)
        if usage is not None:
            self.usage_reported = True
        choices = getattr(chunk, "choices", None)
        if choices is None and usage is None and "choices" in getattr(type(chunk), "model_fields", ()):
            self._has_strays = True
        for choice in choices or ():
            index = getattr(choice, "index", 0) or 0
            if reason := getattr(choice, "finish_reason", None):
                self._finished[index] = str(reason)
            else:
                self._begun.add(index)
            if refusal := getattr(getattr(choice, "delta", None), "refusal", None):
                self._refused[index] = self._refused.get(index, "") + str(refusal)

    @property
    def strays_alone(self) -> bool:
        """Whether objects came where chunks of chat completions should, and not one with choices."""
        return self._has_strays and not self._begun and not self._finished

    @property
    def ended_inside_a_line(self) -> bool:
        """Whether pieces came and then, in good order, the end, with the last line cut off."""
        return self._ended and self.chunks > 0 and not self._recent[-1].endswith((b"\n", b"\r"))

    def refusals(self) -> list[tuple[int, str]]:
        """Choice and piece of a refusal, for each that came since the last time; litellm drops them."""
        if not self._refused:
            return []
        refused, self._refused = self._refused, {}
        return list(refused.items())

    def error_said(self, *, alone: bool = False) -> Mapping[str, Any] | None:
        """The error in the last events that came, or lines, where there is one.

        litellm keeps of it the message at best: OpenRouter's `code` breaks its reading, of
        Ollama's it misses a key, of Anthropic's it drops the type.

        Args:
            alone: nothing of a reply came, so that an object without choices stands in its place.
        """
        recent = b"".join(self._recent)
        if not alone and b"error" not in recent:  # which every form of one has in it: nearly always it ends here
            return None
        decoder = SSEDecoder()
        events = with_named_errors(decoder.feed(recent), decoder.types or {})
        events += with_named_errors(decoder.finish(), decoder.types or {})
        lines = [line.strip().removeprefix(b"data:") for line in recent.splitlines()]  # also of what is no event
        for texts in (events, lines):
            said = [text for text in texts if text and not text.endswith(b"[DONE]")]
            for text in reversed(said[-_LAST:]):
                found: Any = None
                with suppress(ValueError):
                    found = plain_json(text)
                told = error_in(found) or (error_without_choices(found) if alone else None)
                if told is not None:
                    return told
        return None

    def complete(self, finish_reason: object) -> bool:
        """Whether the reply was whole when its stream ended.

        Args:
            finish_reason: what litellm read in the provider's chunks, and did not invent.
        """
        if self._done or not self._opened:
            return True
        if self._is_gemini:
            return self._gemini_ended
        if self._finished:
            return self._begun <= self._finished.keys()
        return finish_reason is not None

    def finish_reasons(self) -> dict[int, str]:
        """Choice → the finish reason that the provider sent; litellm gives on only one."""
        return self._finished if not self._is_gemini or self._gemini_ended else {}

    def whole_body(self) -> tuple[bool, Any]:
        """Whether something else than an event stream came; and its JSON, or `None`."""
        if not self._body or self.chunks or not self._body.strip() or BEGINS.match(self._body):
            return False, None
        try:
            return True, plain_json(bytes(self._body))
        except ValueError:
            return True, None

    def hang_up(self) -> None:
        """Close the provider's connection now; never waits, and is safe to call again."""
        if self._socket is not None:
            with suppress(Exception):
                self._socket.close()

    def let_go(self) -> None:
        """Take out of the response, when it is over, what refers back to it: reference counts shall free it.

        Else it waits for the collector's next look at the oldest objects, of which litellm's
        import makes so many that tens of thousands of streams pass before that.
        """
        response = self._response
        if response is None:
            return
        vars(response).pop("aiter_bytes", None)
        # httpx binds the stream to its response, only to note at the end how long it took.
        bound = vars(response).get("stream")
        over = getattr(response, "is_closed", False) or getattr(self._socket, "closed", False)
        if over and getattr(bound, "_response", None) is response and hasattr(bound, "_stream"):
            vars(response)["stream"] = bound._stream


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
    """Read the little that may follow `[DONE]`, for `END_SECONDS` at most; then nobody reads any more."""

    async def read() -> None:
        async for _ in pieces:
            pass

    # In a task of its own, which alone is cancelled: while this waits, the caller's does other things.
    reading = asyncio.ensure_future(read())
    reading.add_done_callback(_see)
    try:
        await asyncio.wait([reading], timeout=END_SECONDS)
    except asyncio.CancelledError:
        await _stop(reading)
        raise
    await _stop(reading)


async def _stop(reading: asyncio.Future[None]) -> None:
    """Cancel a task and wait until it is over: two may not read from one connection."""
    if not reading.done():
        reading.cancel()
        await asyncio.wait([reading], timeout=END_SECONDS)


def _see(reading: asyncio.Future[None]) -> None:
    """What it raised is nobody's: the reply is whole without it."""
    if not reading.cancelled():
        reading.exception()
