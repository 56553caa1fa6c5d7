"""The door to Flask: a stream as the response of a view, programs by name, and errors as JSON.

from lmstream_sync.web.flask import stream_response

@app.get("/ask")
def ask():
    return stream_response(answer(question=request.args["question"]))
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import IO, Any
from urllib.parse import urlencode

from flask import Blueprint, Flask, Response, copy_current_request_context, current_app, has_request_context, request
from werkzeug.exceptions import HTTPException

from lmstream_sync.errors import ConfigurationError, LMStreamError
from lmstream_sync.streaming.stream import Stream
from lmstream_sync.web.body import Body, OnLeave
from lmstream_sync.web.failures import RequestError
from lmstream_sync.web.inputs import MAX_BYTES, refuse_size
from lmstream_sync.web.response import Answer, Asked, Options, answer_failure, open_response, options_for, source_of
from lmstream_sync.web.serving import FORMATS, ProgramRequest, ServedProgram

__all__ = ["programs_blueprint", "register_errors", "stream_response", "worker_context"]

#: Where the request keeps what its view raised.
_RAISED = "_lmstream_sync_raised"

#: All that Flask would answer by itself, or with a page that is no JSON.
_EVERY_METHOD = ("GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE")


def stream_response(
    stream: Stream,
    format: Any = "sse",
    *,
    headers: Mapping[str, str] | None = None,
    heartbeat: float | None = 15,
    wait_first: float | bool = 10,
    on_leave: OnLeave = "stop",
    expose_errors: bool = False,
) -> Response:
    """The response of a view that streams: `return stream_response(answer(question=...))`.

    What fails before the first output is a JSON error with its status instead. `HEAD`, which
    Flask sends to every `GET` view, is answered at once, and so is an `EventSource` that comes
    again after the end (204).

    `on_end` functions of the stream run inside the request's context: `flask.request` and
    `flask.session` (to be read; its cookie has gone out) are those of the request, `g` is new,
    as in `copy_current_request_context`, and what Flask tears down after a request it tears
    down after each.

    Args:
        stream: what a streamified program returned.
        format: the name of a format, a `Format` class or function that makes one, or a sequence
            of these, of which `Accept` picks one.
        headers: more headers; they win over the library's own.
        heartbeat: seconds of silence after which one is sent; `None` for none. A reader who left
            is found out by the next write, so by this.
        wait_first: seconds to wait for the first output of a model, after which the response
            begins without it; `False` for none.
        on_leave: what becomes of the program when its reader leaves: `"stop"`, or `"finish"` to
            let it go on to its end with nobody reading (`Stream.detach`).
        expose_errors: tell the reader the message of an error.

    Raises:
        ConfigurationError: an argument is something else than the above, or no request is answered here.
    """
    source = source_of(stream)
    if not has_request_context():
        raise ConfigurationError("stream_response is called in a view: outside there is no request to answer")
    options = options_for(source, format, headers, heartbeat, wait_first, on_leave, expose_errors)
    _end_in_context(source)
    return _response(open_response(source, _asked(), options), source, options)


def programs_blueprint(
    programs: Mapping[str, Any],
    *,
    name: str = "programs",
    url_prefix: str | None = "/programs",
    format: Any = FORMATS,
    headers: Mapping[str, str] | None = None,
    heartbeat: float | None = 15,
    wait_first: float | bool = 10,
    on_leave: OnLeave = "stop",
    expose_errors: bool = False,
    max_bytes: int = MAX_BYTES,
    on_end: Callable[[Stream], object] | None = None,
) -> Blueprint:
    """Programs by name: `app.register_blueprint(programs_blueprint({"ask": program}))` answers `/programs/ask`.

    As `wsgi_app` does: `POST` with a JSON object of the inputs, or `GET` with them in the query;
    what is wrong with a request is a 4xx in JSON, before a model is called. Who may ask is said
    as for any blueprint: `before_request`.

    Args:
        programs: name in the URL → a `Module` or another callable, of which every output field of
            every predictor is streamed, or what `streamify` made of one. All its named parameters
            are inputs that anybody who reaches it may send.
        name: of the blueprint, for `url_for("programs.answer", program="ask")`.
        url_prefix: where its URLs begin.
        max_bytes: of a request's body, besides Flask's own `MAX_CONTENT_LENGTH`.
        on_end: called with each stream when it has ended, in the request's context.
        format, headers, heartbeat, wait_first, on_leave, expose_errors: see `stream_response`.

    Raises:
        ConfigurationError: an argument is something else than the above, or a program does not say
            what it takes.
    """
    options = Options(format, headers, heartbeat, wait_first, on_leave, expose_errors)
    served = {
        each: ServedProgram(program, options, max_bytes=max_bytes, on_end=on_end) for each, program in programs.items()
    }
    blueprint = Blueprint(name, __name__, url_prefix=url_prefix)

    def answer(program: str) -> Response:
        if program not in served:
            unknown = RequestError(404, f"there is no program {program!r:.100} here")
            return _response(answer_failure(unknown, program), None, options)
        asking = ProgramRequest(_asked(), request.content_type, _query(), _read_body)
        return _response(*served[program].answer(asking, through=_end_in_context), options)

    blueprint.add_url_rule(
        "/<program>",
        endpoint="answer",
        view_func=answer,
        methods=_EVERY_METHOD,
        provide_automatic_options=False,
        strict_slashes=False,
    )
    return blueprint


def register_errors(app: Flask | Blueprint, *, expose_errors: bool = False) -> None:
    """Answer the library's errors that views raise as `stream_response` answers them: a status, and JSON.

    So a wrong input, which is raised where the program is called, is a 422, and a busy program
    a 429. Errors that are no fault of the request's are logged (`lmstream_sync.streaming`).

    With a debugger, what is set up wrong goes to that.

    And what a view held that raised anything (`abort(404)` too, in an app) is let go of when the
    request is torn down, so that its streams are closed. Flask keeps such an error in a cycle with
    its frames, which would wait for the garbage collector. Not where errors are passed on to a
    debugger or a test.

    Args:
        app: the app, or a blueprint for its own views.
        expose_errors: tell the reader the message of an error.
    """

    def answer(error: Exception) -> Response:
        if current_app.debug and isinstance(error, ConfigurationError):
            raise error
        return _whole(answer_failure(error, request.path, expose=expose_errors))

    app.register_error_handler(LMStreamError, answer)
    app.register_error_handler(RequestError, answer)
    if isinstance(app, Flask):
        _note_raised(app)
    app.teardown_request(_let_go)


def _note_raised(app: Flask) -> None:
    """Have each error of a view noted on its request, also one that is answered: nothing else tells of those."""
    handle = app.handle_user_exception

    def noting(error: Exception) -> Any:
        setattr(request, _RAISED, error)
        return handle(error)

    app.handle_user_exception = noting  # type: ignore[method-assign, assignment]


def worker_context(app: Flask) -> Callable[[], AbstractContextManager[Any]]:
    """An application context round each run of your code in a worker thread, for `worker_hooks`.

        lms.configure(worker_hooks=(worker_context(app),))

    Tools and a synchronous `forward` run in worker threads, where no request ends. With this each
    run has an application context of its own, so a Flask-SQLAlchemy session of its own, and what
    the app tears down is torn down when it is over: `session.remove()` gives the connection back.

    Args:
        app: the app.
    """
    return app.app_context


def _end_in_context(stream: Stream) -> None:
    """Have the stream's `on_end` functions run inside the context of the request that is answered now."""
    answered: Any = request._get_current_object()  # type: ignore[attr-defined]
    turn = threading.RLock()  # the copied context is pushed by one thread at a time

    def call(thunk: Callable[[], None]) -> None:
        thunk()

    in_copy = copy_current_request_context(call)

    def run(thunk: Callable[[], None]) -> None:
        if has_request_context() and request._get_current_object() is answered:  # type: ignore[attr-defined]
            thunk()  # the view itself still runs
            return
        with turn:
            in_copy(thunk)

    stream.on_end_through(run)


def _let_go(error: BaseException | None) -> None:
    """Drop what the frames of an error hold, unless somebody will look at it."""
    passed_on = current_app.config["PROPAGATE_EXCEPTIONS"]
    if passed_on is None:
        passed_on = current_app.testing or current_app.debug
    for raised in (error, request.__dict__.pop(_RAISED, None)):
        while raised is not None and not passed_on:
            traceback.clear_frames(raised.__traceback__)
            raised = raised.__cause__ or raised.__context__


def _asked() -> Asked:
    return Asked(request.method, request.headers.get("Accept"), request.headers.get("Last-Event-ID"))


def _query() -> str:
    return request.query_string.decode("latin-1")


def _read_body(max_bytes: int) -> bytes:
    """The body of the request, read by Flask, as somebody may have read it before."""
    try:
        refuse_size(request.content_length or 0, max_bytes)
        if request.mimetype == "application/x-www-form-urlencoded":
            return urlencode(list(request.form.items(multi=True))).encode()
        body = _read(request.stream, max_bytes + 1) or request.get_data()
    except HTTPException as error:
        raise RequestError(error.code or 400, error.description or "the body cannot be read") from None
    refuse_size(len(body), max_bytes)
    return body


def _read(source: IO[bytes], most: int) -> bytes:
    pieces = []
    while most > 0 and (piece := source.read(most)):
        pieces.append(piece)
        most -= len(piece)
    return b"".join(pieces)


def _response(answer: Answer, stream: Stream | None, options: Options) -> Response:
    if answer.format is None or stream is None:
        return _whole(answer)
    body = Body(stream, answer.format, options.heartbeat, options.on_leave, options.expose_errors)
    return _with_headers(Response(body, status=answer.status), answer)


def _whole(answer: Answer) -> Response:
    # An iterator: of a list Flask would count the length, which is not that of what HEAD asks about.
    return _with_headers(Response(answer.content or iter(()), status=answer.status), answer)


def _with_headers(response: Response, answer: Answer) -> Response:
    # Those that Flask gives every response are not among them.
    response.headers.clear()
    response.headers.extend(answer.headers)
    return response
