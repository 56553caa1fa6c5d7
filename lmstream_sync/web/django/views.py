"""Programs as views: `path("ask", program_view(program))`.

They are ordinary synchronous views and work under WSGI and under ASGI. Nothing is exempt from
`CsrfViewMiddleware`: a page sends its token, and who wants none wraps the view in `csrf_exempt`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import connections, transaction
from django.http import HttpRequest, UnreadablePostError
from django.http.response import HttpResponseBase

from lmstream_sync.streaming.stream import Stream
from lmstream_sync.web.body import OnLeave
from lmstream_sync.web.django.body import Served
from lmstream_sync.web.django.requests import seen
from lmstream_sync.web.django.responses import response_of
from lmstream_sync.web.failures import RequestError
from lmstream_sync.web.inputs import MAX_BYTES, refuse_size
from lmstream_sync.web.response import Options, answer_failure
from lmstream_sync.web.serving import FORMATS, ProgramRequest, ServedProgram

__all__ = ["program_view", "programs_view"]


def program_view(
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
) -> Callable[[HttpRequest], HttpResponseBase]:
    """A view that answers with the stream of a program.

    `POST` with a JSON object of the inputs or a form, or `GET` with them in the query. They are
    checked against the program's signature before a model is called; what is wrong with them
    is a 4xx whose JSON names the field. A `GET` with `Last-Event-ID` (an `EventSource` that
    comes again) is answered 204, `HEAD` at once, both without calling the program.

    No transaction is opened for it, whatever `ATOMIC_REQUESTS` says: it would last as long as
    the wait for the model.

    Args:
        program: a `Module` or another callable, of which every output field of every predictor is
            streamed (`lms.stream`), or what `streamify` made of one, which says itself. All its
            named parameters are inputs that anybody who reaches the view may send.
        max_bytes: of a request's body; more is answered 413, as is more than Django's own
            `DATA_UPLOAD_MAX_MEMORY_SIZE`.
        on_end: called with each stream when it has ended, however it ended; see `Stream.on_end`.
            It may use the database.
        format, headers, heartbeat, wait_first, on_leave, expose_errors: see `stream_response`.

    Raises:
        ConfigurationError: an argument is something else than the above, or the program does not
            say what it takes.
    """
    options = Options(format, headers, heartbeat, wait_first, on_leave, expose_errors)
    program_served = ServedProgram(program, options, max_bytes=max_bytes, on_end=on_end)

    def view(request: HttpRequest) -> HttpResponseBase:
        known = seen(request)
        served = Served(options)
        answer, _ = program_served.answer(
            ProgramRequest(
                asked=known.asked,
                content_type=request.META.get("CONTENT_TYPE"),
                query=request.META.get("QUERY_STRING", ""),
                read_body=lambda limit: _read_body(request, limit),
            ),
            through=served.take,
        )
        return response_of(served, answer, known, under_asgi=False)

    return _without_transactions(view)


def programs_view(programs: Mapping[str, Any], **options: Any) -> Callable[..., HttpResponseBase]:
    """A view of several programs, of which the URL names one: `path("ask/<str:name>", programs_view({...}))`.

    Args:
        programs: name → program. Another name is answered 404.
        **options: of `program_view`.

    Raises:
        ConfigurationError: see `program_view`.
    """
    views = {name: program_view(program, **options) for name, program in programs.items()}

    def view(request: HttpRequest, name: str) -> HttpResponseBase:
        if name in views:
            return views[name](request)
        answer = answer_failure(RequestError(404, f"there is no program {name!r:.100}"), name)
        return response_of(Served(Options()), answer, seen(request), under_asgi=False)

    return _without_transactions(view)


def _without_transactions(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


def _read_body(request: HttpRequest, max_bytes: int) -> bytes:
    """The body of a request, of so many bytes at most."""
    said = request.META.get("CONTENT_LENGTH") or ""
    refuse_size(int(said) if said.isdigit() and len(said) < 20 else 0, max_bytes)
    if not said and request.META.get("HTTP_TRANSFER_ENCODING") and not hasattr(request, "scope"):
        raise RequestError(411, "this server takes no body in chunks; send its Content-Length")
    try:
        # Without a length nothing but the limit says how much it is.
        body = request.body if said else request.read(max_bytes + 1)
    except RequestDataTooBig:
        raise RequestError(413, "the body is larger than this site takes") from None
    except UnreadablePostError:
        raise RequestError(400, "the body broke off") from None
    refuse_size(len(body), max_bytes)
    return body
