"""What to answer with a stream: the part of a door that is the same in every framework.

Before the first byte, while a failure can still be a status, the first output of a model is
waited for. `HEAD` is answered at once, and so is a browser's `EventSource` that connects
again after the end, which would run, and bill, the prompt once more.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lmstream_sync.errors import ConfigurationError, StreamTimeout
from lmstream_sync.streaming.encoded import log_failure
from lmstream_sync.streaming.format import Format
from lmstream_sync.streaming.stream import AsyncStream, Stream
from lmstream_sync.web.body import OnLeave
from lmstream_sync.web.failures import Failure, failure_of
from lmstream_sync.web.formats.choosing import chosen_format

__all__ = [
    "Answer",
    "Asked",
    "Options",
    "answer_failure",
    "answer_without_stream",
    "aopen_response",
    "open_response",
    "options_for",
    "source_of",
]

#: What every streamed response says: nobody may keep it, change it, hold it back, or take it for a page.
STREAM_HEADERS = {
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
}

# RFC 9110, 5.1 and 5.5; what WSGI can carry.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


@dataclass(frozen=True)
class Asked:
    """What of the request matters here.

    Attributes:
        method: `GET`, `HEAD`, `POST`…
        accept: the header of that name, or `None`.
        last_event_id: the header `Last-Event-ID`, or `None`.
    """

    method: str = "GET"
    accept: str | None = None
    last_event_id: str | None = None


@dataclass(frozen=True)
class Options:
    """What a view asks of a response.

    Attributes:
        format: the name of a format, a `Format` class or function that makes one, or a
            sequence of these, of which `Accept` picks one (the first where it does not care).
        headers: more headers; they win over the library's own.
        heartbeat: seconds of silence after which one is sent; `None` for none.
        wait_first: seconds to wait for the first output before the headers go out; `False` for none.
        on_leave: `"stop"` or `"finish"`.
        expose_errors: tell the reader the message of an error.

    Raises:
        ConfigurationError: one of them is something else.
    """

    format: Any = "sse"
    headers: Mapping[str, str] | None = None
    heartbeat: float | None = 15
    wait_first: float | bool = 10
    on_leave: OnLeave = "stop"
    expose_errors: bool = False

    def __post_init__(self) -> None:
        if self.on_leave not in ("stop", "finish"):
            raise ConfigurationError(f'on_leave={self.on_leave!r}: give "stop" or "finish"')
        if self.heartbeat is not None and not (_is_seconds(self.heartbeat) and self.heartbeat > 0):
            raise ConfigurationError(f"heartbeat={self.heartbeat!r}: give a positive number of seconds, or None")
        if self.wait_first is not False and not (_is_seconds(self.wait_first) and self.wait_first >= 0):
            raise ConfigurationError(f"wait_first={self.wait_first!r}: give seconds, or False for none")
        for name, value in (self.headers or {}).items():
            if not _HEADER_NAME.fullmatch(str(name)) or not _HEADER_VALUE.fullmatch(str(value)):
                raise ConfigurationError(f"headers: {name!r}: {value!r} cannot be sent as a header")
            if name.lower() == "content-length":
                raise ConfigurationError("headers: a stream has no Content-Length")


def _is_seconds(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@dataclass(frozen=True)
class Answer:
    """What to answer.

    Attributes:
        status: the HTTP status.
        headers: all of them, no length among them.
        format: how the stream is to be written, or `None` where `content` is the whole body.
        content: the whole body where there is nothing to stream.
    """

    status: int
    headers: dict[str, str]
    format: Format | None = None
    content: bytes = field(default=b"", repr=False)

    @classmethod
    def of_failure(cls, failure: Failure) -> Answer:
        """The answer that an error is."""
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        return cls(failure.status, {**headers, **failure.headers}, content=failure.body)


def answer_failure(error: BaseException, failed: object, *, expose: bool = False, running: bool = False) -> Answer:
    """The answer to an error that is known before the first byte; one that is not the client's is logged.

    Args:
        error: what the call, or `Stream.peek`, raised.
        failed: what failed, for the log.
        expose: tell its message.
        running: see `failure_of`.
    """
    failure = failure_of(error, expose=expose, running=running)
    if not failure.of_request:
        log_failure(failed, error)
    return Answer.of_failure(failure)


def answer_without_stream(asked: Asked, options: Options) -> Answer | None:
    """The answer that takes no stream, so that no program is called for it; `None` where it takes one.

    Raises:
        ConfigurationError: the format is unknown.
    """
    answer = _planned(asked, options)
    return answer if answer.format is None else None


def open_response(stream: Stream, asked: Asked, options: Options) -> Answer:
    """Decide what to answer; the stream is closed where it is not to be streamed.

    Args:
        stream: the stream, which nobody has read yet.
        asked: the request.
        options: what the view wants.

    Raises:
        ConfigurationError: the format is unknown. The stream is closed.
    """
    answer = _planned_for(stream, asked, options)
    if answer.format is None:
        stream.close()
        return answer
    try:
        if options.wait_first is not False:
            stream.peek("output", timeout=options.wait_first)
    except Exception as error:
        if _is_silence(error):
            return answer
        # Read to its end, which is near: so its outcome is "failed", and `on_end` is told so.
        with contextlib.suppress(Exception):
            stream.result()
        return answer_failure(error, stream, expose=options.expose_errors, running=True)
    except BaseException:
        stream.close()
        raise
    return answer


async def aopen_response(stream: AsyncStream, asked: Asked, options: Options) -> Answer:
    """`open_response` for a view on an event loop, which it does not block."""
    answer = _planned_for(stream.stream, asked, options)
    if answer.format is None:
        await stream.aclose()
        return answer
    try:
        if options.wait_first is not False:
            await stream.peek("output", timeout=options.wait_first)
    except Exception as error:
        if _is_silence(error):
            return answer
        with contextlib.suppress(Exception):
            await stream.result()
        return answer_failure(error, stream.stream, expose=options.expose_errors, running=True)
    except BaseException:  # cancelled: the reader has left
        if options.on_leave == "finish":
            stream.detach()
        else:
            await stream.aclose()
        raise
    return answer


def source_of(stream: Any) -> Stream:
    """The stream that a view gave; of an `AsyncStream` the one beneath.

    Raises:
        ConfigurationError: it is none.
    """
    found = stream.stream if isinstance(stream, AsyncStream) else stream
    if not isinstance(found, Stream):
        raise ConfigurationError(
            f"stream_response({stream!r}): give the Stream that a streamified program returned; "
            'for text alone say format="text"'
        )
    return found


def options_for(stream: Stream, *options: Any) -> Options:
    """`Options(*options)` for a stream, which is closed where they are wrong: there is no view that will.

    Raises:
        ConfigurationError: one is wrong, or does not go with this stream.
    """
    try:
        made = Options(*options)
        if made.on_leave == "finish" and not stream.may_be_detached:
            raise ConfigurationError(
                'on_leave="finish": what merge and run_many give is driven by its reader, and ends when that leaves'
            )
        return made
    except BaseException:
        stream.close()
        raise


def _planned_for(stream: Stream, asked: Asked, options: Options) -> Answer:
    try:
        return _planned(asked, options)
    except BaseException:
        stream.close()
        raise


def _planned(asked: Asked, options: Options) -> Answer:
    """The answer, should nothing fail before the first byte."""
    if asked.last_event_id is not None and asked.method == "GET":
        # It had its answer: 204 tells an EventSource not to come again (HTML standard, 9.2.3).
        return Answer(204, {"Cache-Control": "no-store"})
    format = chosen_format(options.format, asked.accept)
    picked = isinstance(options.format, Sequence) and not isinstance(options.format, str)
    headers = {"Content-Type": format.content_type, **STREAM_HEADERS, **({"Vary": "Accept"} if picked else {})}
    for name, value in {**format.headers, **(options.headers or {})}.items():
        same = next((each for each in headers if each.lower() == name.lower()), name)
        headers[same] = value
    return Answer(200, headers, None if asked.method == "HEAD" else format)


def _is_silence(error: Exception) -> bool:
    """Whether nothing came so far, and the stream goes on."""
    return isinstance(error, StreamTimeout) and error.which == "peek"
