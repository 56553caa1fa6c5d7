"""`stream_response` and `astream_response`: a stream as the response of a view."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from lmstream_sync.errors import ConfigurationError
from lmstream_sync.streaming.format import Format
from lmstream_sync.streaming.stream import AsyncStream, Stream
from lmstream_sync.web.body import OnLeave
from lmstream_sync.web.django.body import Served
from lmstream_sync.web.django.ends import on_event_loop
from lmstream_sync.web.django.requests import Seen, seen
from lmstream_sync.web.response import Answer, aopen_response, open_response, options_for, source_of

__all__ = ["LMStreamResponse", "astream_response", "response_of", "stream_response"]


def stream_response(
    stream: Stream,
    format: Any = "sse",
    *,
    headers: Mapping[str, str] | None = None,
    heartbeat: float | None = 15,
    wait_first: float | bool = 10,
    on_leave: OnLeave = "stop",
    expose_errors: bool = False,
    request: HttpRequest | None = None,
) -> HttpResponseBase:
    """A stream as the response of a synchronous view, under WSGI and under ASGI.

    What fails before the first output is a JSON error with its status instead. `on_end`
    functions run after the view, so outside the transaction of `ATOMIC_REQUESTS`, in the
    thread of the request, and their database connections are looked after.

    Args:
        stream: what a streamified program returned.
        format: the name of a format, a `Format` class or function that makes one, or a sequence
            of these, of which `Accept` picks one.
        headers: more headers; they win over the library's own.
        heartbeat: seconds of silence after which one is sent, `None` for none. Under WSGI a
            reader who left is found out by the next write, so by this.
        wait_first: seconds to wait for the first output of a model; `False` for none.
        on_leave: what becomes of the program when its reader leaves: `"stop"`, or `"finish"` to
            let it go on to its end with nobody reading (`Stream.detach`).
        expose_errors: tell the reader the message of an error.
        request: the request that is answered, for `HEAD`, `Accept` and `Last-Event-ID`; not
            needed where `LMStreamErrorsMiddleware` is installed.

    Raises:
        ConfigurationError: an argument is something else than the above, or this is an
            asynchronous view, whose event loop the wait would block.
    """
    source = source_of(stream)
    options = options_for(source, format, headers, heartbeat, wait_first, on_leave, expose_errors)
    if on_event_loop():
        source.close()
        raise ConfigurationError(
            "stream_response waits for the first output, which would block the event loop of an asynchronous view: "
            "write `return await astream_response(...)`"
        )
    known = seen(request)
    served = Served(options, source)
    try:
        answer = open_response(source, known.asked, options)
    except BaseException:
        served.drop()
        raise
    return response_of(served, answer, known, under_asgi=False)


async def astream_response(
    stream: Stream | AsyncStream,
    format: Any = "sse",
    *,
    headers: Mapping[str, str] | None = None,
    heartbeat: float | None = 15,
    wait_first: float | bool = 10,
    on_leave: OnLeave = "stop",
    expose_errors: bool = False,
    request: HttpRequest | None = None,
) -> HttpResponseBase:
    """`stream_response` for an asynchronous view, under ASGI and under WSGI. `stream` may be an `AsyncStream` too."""
    source = source_of(stream)
    options = options_for(source, format, headers, heartbeat, wait_first, on_leave, expose_errors)
    known = seen(request)
    served = Served(options, source)
    try:
        answer = await aopen_response(AsyncStream(source), known.asked, options)
    except BaseException:  # cancelled, where the reader left meanwhile
        served.drop()
        raise
    return response_of(served, answer, known, under_asgi=True)


def response_of(served: Served, answer: Answer, known: Seen, *, under_asgi: bool) -> HttpResponseBase:
    """The response that an answer is.

    Args:
        served: the stream, or what it would have been.
        answer: what is to be answered.
        known: the request.
        under_asgi: the kind of server, where the request does not tell.
    """
    if answer.format is None and (answer.content or answer.status == 204):
        return _WholeResponse(served, answer)
    return LMStreamResponse(served, answer, under_asgi if known.under_asgi is None else known.under_asgi)


class LMStreamResponse(StreamingHttpResponse):
    """A stream on its way to a reader; closing it, before its first byte too, lets go of the stream.

    Args:
        served: the stream.
        answer: what is to be answered with it.
        under_asgi: what middleware that wraps the content will find. Where none does, the
            face of the body is the one that the server asks for.
    """

    def __init__(self, served: Served, answer: Answer, under_asgi: bool) -> None:
        self._served = served
        self._format: Format | None = answer.format
        content = served.async_pieces(self._format) if under_asgi else served.pieces(self._format)
        super().__init__(content, status=answer.status, headers=answer.headers)
        self._as_it_was = True

    def _set_streaming_content(self, value: Any) -> None:
        # What Django's own subclass overrides; middleware that wraps the content comes through here.
        self._as_it_was = False
        super()._set_streaming_content(value)  # type: ignore[misc]

    def __iter__(self) -> Iterator[bytes]:
        return self._served.pieces(self._format) if self._as_it_was else super().__iter__()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._served.async_pieces(self._format) if self._as_it_was else super().__aiter__()

    def has_header(self, header: str) -> bool:
        """Says that `Content-Encoding` is set, so that Django's `GZipMiddleware` leaves the body alone:
        under WSGI it would hold back each piece until enough came to be compressed."""
        return header.lower() == "content-encoding" or super().has_header(header)

    def close(self) -> None:
        """Called by the server, or by Django, when the response is over."""
        try:
            self._served.close()
        finally:
            super().close()


class _WholeResponse(HttpResponse):
    """What is answered instead of a stream, which is over; its `on_end` functions run when the view is."""

    def __init__(self, served: Served, answer: Answer) -> None:
        self._served = served
        super().__init__(answer.content, status=answer.status, headers=answer.headers)

    def close(self) -> None:
        """Called by the server, or by Django, when the response is over."""
        try:
            self._served.close()
        finally:
            super().close()
