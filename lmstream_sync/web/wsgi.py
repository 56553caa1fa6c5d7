"""The door to bare WSGI (PEP 3333): a stream as the answer of an app, and a program as an app.

    from lmstream_sync.web.wsgi import wsgi_app

    app = wsgi_app(lms.ChainOfThought("question -> answer"))      # gunicorn module:app

Knows no framework.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lmstream_sync.streaming.stream import Stream
from lmstream_sync.web.body import Body, OnLeave
from lmstream_sync.web.failures import RequestError
from lmstream_sync.web.inputs import MAX_BYTES, refuse_size
from lmstream_sync.web.response import Answer, Asked, Options, open_response, options_for, source_of
from lmstream_sync.web.serving import FORMATS, ProgramRequest, ServedProgram

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["read_body", "stream_response", "wsgi_app"]

#: Bytes of one read of a body.
_PIECE = 65_536


def stream_response(
    environ: WSGIEnvironment,
    start_response: StartResponse,
    stream: Stream,
    format: Any = "sse",
    *,
    headers: Mapping[str, str] | None = None,
    heartbeat: float | None = 15,
    wait_first: float | bool = 10,
    on_leave: OnLeave = "stop",
    expose_errors: bool = False,
) -> Iterable[bytes]:
    """Answer a request with a stream: `return stream_response(environ, start_response, stream)`.

    What fails before the first output is a JSON error with its status instead. Where the
    reader leaves, the server's next write fails and it calls `close()` of what is given back,
    which stops the program; so a heartbeat shorter than the server's time-out is wanted.

    Args:
        environ, start_response: what the server gave the app.
        stream: what a streamified program returned.
        format: the name of a format, a `Format` class or function that makes one, or a sequence
            of these, of which `Accept` picks one.
        headers: more headers; they win over the library's own.
        heartbeat: seconds of silence after which one is sent; `None` for none.
        wait_first: seconds to wait for the first output of a model, after which the response
            begins without it; `False` for none.
        on_leave: what becomes of the program when its reader leaves: `"stop"`, or `"finish"` to
            let it go on to its end with nobody reading (`Stream.detach`).
        expose_errors: tell the reader the message of an error.

    Raises:
        ConfigurationError: an argument is something else than the above.
    """
    source = source_of(stream)
    options = options_for(source, format, headers, heartbeat, wait_first, on_leave, expose_errors)
    answer = open_response(source, _asked(environ), options)
    return _send(start_response, answer, source, options)


def wsgi_app(
    program: Any,
    *,
    format: Any = FORMATS,
    headers: Mapping[str, str] | None = None,
    heartbeat: float | None = 15,
    wait_first: float | bool = 10,
    on_leave: OnLeave = "stop",
    expose_errors: bool = False,
    max_bytes: int = MAX_BYTES,
    on_end: Callable[[Stream], object] | None = None,
) -> WSGIApplication:
    """A WSGI app that answers with the stream of a program, at whatever path it is mounted.

    `POST` with a JSON object of the inputs, or `GET` with them in the query. They are checked
    against the program's signature before a model is called; what is wrong with them is a 4xx
    whose JSON names the field. A `GET` with `Last-Event-ID` (an `EventSource` that comes again)
    is answered 204, `HEAD` at once, both without calling the program.

    Args:
        program: a `Module` or another callable, of which every output field of every predictor is
            streamed (`lms.stream`), or what `streamify` made of one, which says itself. All its
            named parameters are inputs that anybody who reaches the app may send.
        max_bytes: of a request's body; more is answered 413.
        on_end: called with each stream when it has ended, however it ended; see `Stream.on_end`.
        format, headers, heartbeat, wait_first, on_leave, expose_errors: see `stream_response`.

    Raises:
        ConfigurationError: an argument is something else than the above, or the program does not
            say what it takes.
    """
    options = Options(format, headers, heartbeat, wait_first, on_leave, expose_errors)
    served = ServedProgram(program, options, max_bytes=max_bytes, on_end=on_end)

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer, stream = served.answer(
            ProgramRequest(
                asked=_asked(environ),
                content_type=environ.get("CONTENT_TYPE"),
                query=environ.get("QUERY_STRING", ""),
                read_body=lambda limit: read_body(environ, limit),
            )
        )
        return _send(start_response, answer, stream, options)

    return app


def read_body(environ: WSGIEnvironment, max_bytes: int) -> bytes:
    """The body of a request, and not a byte after it.

    Args:
        environ: of the request.
        max_bytes: that it may have.

    Raises:
        RequestError: 413, where it has more, or says so; 411, where its end cannot be known; 400,
            where it has less than it says, or says no number.
    """
    said = environ.get("CONTENT_LENGTH") or ""
    if said:
        if not (said.isascii() and said.isdigit()):
            raise RequestError(400, "the Content-Length is no number")
        length = int(said) if len(said) < 20 else max_bytes + 1
        refuse_size(length, max_bytes)
        body = _read(environ, length)
        if len(body) < length:
            raise RequestError(400, "the body broke off")
        return body
    if environ.get("wsgi.input_terminated"):  # the server ends it, where the request is sent in chunks
        body = _read(environ, max_bytes + 1)
        refuse_size(len(body), max_bytes)
        return body
    if environ.get("HTTP_TRANSFER_ENCODING"):
        raise RequestError(411, "this server takes no body in chunks; send its Content-Length")
    return b""


def _read(environ: WSGIEnvironment, most: int) -> bytes:
    source = environ["wsgi.input"]
    pieces: list[bytes] = []
    while most > 0:
        try:
            piece = source.read(min(most, _PIECE))
        except OSError:
            raise RequestError(400, "the body broke off") from None
        if not piece:
            break
        pieces.append(piece)
        most -= len(piece)
    return b"".join(pieces)


def _asked(environ: WSGIEnvironment) -> Asked:
    return Asked(environ["REQUEST_METHOD"], environ.get("HTTP_ACCEPT"), environ.get("HTTP_LAST_EVENT_ID"))


def _send(start_response: StartResponse, answer: Answer, stream: Stream | None, options: Options) -> Iterable[bytes]:
    headers = dict(answer.headers)
    if answer.content:
        headers["Content-Length"] = str(len(answer.content))
    status = f"{answer.status} {http.client.responses.get(answer.status, 'Error')}"
    try:
        start_response(status, list(headers.items()))
    except BaseException:
        if stream is not None:
            stream.close()
        raise
    if answer.format is None or stream is None:
        return [answer.content] if answer.content else []
    return Body(stream, answer.format, options.heartbeat, options.on_leave, options.expose_errors)
