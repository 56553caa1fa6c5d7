"""The door to Flask: its contexts, its errors, and programs by name."""

from __future__ import annotations

import logging
import queue
from typing import Any

import flask
import pytest
from werkzeug.exceptions import NotFound

import lmstream_sync as lms
from lmstream_sync.testing import Gate, Reply, read_sse, stream_of
from lmstream_sync.web.failures import RequestError
from lmstream_sync.web.flask import programs_blueprint, register_errors, stream_response

from ..streaming.replies import chat
from .live import live

ENDLESS = Reply(chat(answer="word " * 3000), cut=5, delay=0.005)


def asking() -> Any:
    return lms.streamify(lms.Predict("question -> answer"), stream_listeners=[lms.StreamListener("answer")])


class Seen:
    """What an `on_end` function saw of Flask."""

    def __init__(self) -> None:
        self._seen: queue.Queue[dict[str, Any]] = queue.Queue()

    def __call__(self, stream: lms.Stream) -> None:
        try:
            self._seen.put(
                {
                    "outcome": stream.outcome,
                    "path": flask.request.path,
                    "user": flask.session.get("user"),
                    "app": flask.current_app.name,
                    "url": flask.url_for("ask"),
                    "marked": "mark" in flask.g,
                }
            )
        except Exception as error:
            self._seen.put({"error": error})
            raise

    def only(self) -> dict[str, Any]:
        found = self._seen.get(timeout=10)
        assert self._seen.empty()
        return found


def app_with(seen: Seen, **options: Any) -> tuple[flask.Flask, list[str]]:
    """An app with one view, and what was torn down, in order."""
    app = flask.Flask("tea")
    app.secret_key = "for the test"
    program = asking()
    torn_down: list[str] = []
    app.teardown_request(lambda error: torn_down.append("request"))
    app.teardown_appcontext(lambda error: torn_down.append("context"))

    @app.before_request
    def log_in() -> None:
        flask.session["user"] = "ada"
        flask.g.mark = True

    @app.get("/ask")
    def ask() -> Any:
        stream = program(question="Why")
        stream.on_end(seen)
        return stream_response(stream, **options)

    return app, torn_down


HERE = {"path": "/ask", "user": "ada", "app": "tea", "url": "/ask"}


# `on_end` in the request's context.


def test_on_end_runs_in_the_requests_context_when_all_was_read(model: Any) -> None:
    model(Reply(chat(answer="yes indeed"), cut=3))
    seen = Seen()
    app, torn_down = app_with(seen)
    with live(app) as site:
        site.get("/ask")
    assert seen.only() == {"outcome": "completed", "marked": False, **HERE}
    assert torn_down == ["request", "context"] * 2


def test_on_end_runs_in_the_requests_context_when_the_reader_left(model: Any) -> None:
    model(ENDLESS)
    seen = Seen()
    app, torn_down = app_with(seen)
    with live(app) as site:
        with site.opened("GET", "/ask") as response:
            response.read1()
        assert seen.only() == {"outcome": "left", "marked": False, **HERE}


def test_on_end_runs_in_the_requests_context_after_on_leave_finish(model: Any) -> None:
    gate = Gate()
    model(Reply(chat(answer="one two three four"), pauses={8: gate}))
    seen = Seen()
    app, torn_down = app_with(seen, on_leave="finish", heartbeat=0.02)
    with live(app) as site:
        with site.opened("GET", "/ask") as response:
            response.read1()
            gate.wait()
        assert site.closed.wait(10)
        gate.release()
        assert seen.only() == {"outcome": "completed", "marked": False, **HERE}


def test_on_end_runs_in_the_view_itself_while_that_runs(model: Any) -> None:
    model(Reply(status=429))
    seen = Seen()
    app, torn_down = app_with(seen)
    with live(app) as site:
        assert site.get("/ask").status == 429
    assert seen.only() == {"outcome": "failed", "marked": True, **HERE}
    assert torn_down == ["request", "context"]


def test_on_end_runs_in_the_view_at_head(model: Any) -> None:
    model(ENDLESS)
    seen = Seen()
    app, torn_down = app_with(seen)
    with live(app) as site:
        assert site.request("HEAD", "/ask").status == 200
    assert seen.only() == {"outcome": "left", "marked": True, **HERE}
    assert torn_down == ["request", "context"]


def test_on_end_runs_in_the_requests_context_where_close_comes_from_elsewhere(model: Any) -> None:
    """The last reference to a response goes, with no `close()`: a worker runs it."""
    model(ENDLESS)
    seen = Seen()
    app, torn_down = app_with(seen)
    with app.test_request_context("/ask"):
        app.preprocess_request()
        response = app.dispatch_request()
    del response
    assert seen.only() == {"outcome": "left", "marked": False, **HERE}


def test_several_on_end_functions_run_each_in_the_context(model: Any) -> None:
    model(chat(answer="yes"))
    paths: list[str] = []
    app = flask.Flask(__name__)

    @app.get("/ask")
    def ask() -> Any:
        stream = stream_of(["a"])
        for _ in range(3):
            stream.on_end(lambda each: paths.append(flask.request.path))
        stream.on_end(lambda each: each.on_end(lambda each: paths.append(flask.request.path + "/again")))
        return stream_response(stream)

    with live(app) as site:
        site.get("/ask")
    assert paths == ["/ask", "/ask", "/ask", "/ask/again"]


def test_what_on_end_raises_is_logged_and_the_reader_gets_all(model: Any, caplog: Any) -> None:
    app = flask.Flask(__name__)

    @app.get("/ask")
    def ask() -> Any:
        stream = stream_of(["a"])
        stream.on_end(lambda each: 1 / 0)
        return stream_response(stream)

    with live(app) as site:
        got = site.get("/ask")
    assert read_sse(got.body) == [{"event": "a"}]
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ZeroDivisionError]


def test_stream_response_belongs_in_a_view() -> None:
    with pytest.raises(lms.ConfigurationError, match="in a view"):
        stream_response(stream_of([]))


def test_what_is_no_stream_is_refused() -> None:
    app = flask.Flask(__name__)
    with app.test_request_context(), pytest.raises(lms.ConfigurationError, match="give the Stream"):
        stream_response("text")  # type: ignore[arg-type]


def test_a_view_may_add_to_the_response(model: Any) -> None:
    model(chat(answer="yes"))
    closed: list[str] = []
    app = flask.Flask(__name__)
    program = asking()

    @app.get("/ask")
    def ask() -> Any:
        response = stream_response(program(question="Why"))
        response.set_cookie("seen", "1")
        response.call_on_close(lambda: closed.append("closed"))
        return response, 203

    with live(app) as site:
        got = site.get("/ask")
    assert (got.status, got.headers["set-cookie"]) == (203, "seen=1; Path=/")
    assert closed == ["closed"]


# Views that raise.


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("error", [KeyError, lms.Busy, lms.SignatureError])
def test_a_view_that_raises_leaves_nothing_open(model: Any, where: str, error: type[Exception]) -> None:
    server = model(ENDLESS)
    app = flask.Flask(__name__)
    register_errors(app)
    program = asking()

    @app.get("/ask")
    def ask() -> Any:
        stream = program(question="Why")
        next(stream)
        if where == "after":
            response = stream_response(stream)
            assert response.status_code == 200
        raise error("no")

    with live(app) as site:
        assert site.get("/ask").status in (422, 429, 500)
        server.wait_for_reader_left()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("held", ["stream", "text", "list", "cause"])
@pytest.mark.parametrize("status", [404, 418, 500])
def test_whatever_a_view_held_and_however_its_error_is_answered(model: Any, held: str, status: int) -> None:
    server = model(ENDLESS)
    app = flask.Flask(__name__)
    register_errors(app)
    app.register_error_handler(KeyError, lambda error: ("handled", 418))
    program = asking()

    @app.get("/ask")
    def ask() -> Any:
        stream = program(question="Why")
        next(stream)
        kept = {"text": stream.text, "list": lambda: [stream]}.get(held, lambda: stream)()
        error = {404: NotFound(), 418: KeyError("its own"), 500: ValueError("nobody's")}[status]
        if held != "cause":
            raise error
        try:
            raise RuntimeError(f"the first, with {kept}")
        except RuntimeError as first:
            raise error from first

    with live(app) as site:
        assert site.get("/ask").status == status
        server.wait_for_reader_left()


def test_with_a_debugger_what_is_set_up_wrong_goes_to_it(model: Any) -> None:
    model(chat(answer="yes"))
    app = flask.Flask(__name__)
    app.debug = True
    register_errors(app)
    program = asking()

    @app.get("/ask")
    def ask() -> Any:
        return stream_response(program(question="Why"), format="nonsense")

    with pytest.raises(lms.ConfigurationError, match="nonsense"):
        app.test_client().get("/ask")


@pytest.mark.usefixtures("no_collector")
def test_a_response_that_is_never_sent_leaves_nothing_open(model: Any) -> None:
    server = model(ENDLESS)
    app = flask.Flask(__name__)
    program = asking()

    @app.get("/ask")
    def ask() -> Any:
        stream_response(program(question="Why"))
        return "something else"

    with live(app) as site:
        assert site.get("/ask").body == b"something else"
        server.wait_for_reader_left()


@pytest.mark.parametrize("passed_on", [False, True])
def test_what_is_let_go_of_is_still_there_for_those_who_look_at_the_error(passed_on: bool) -> None:
    app = flask.Flask(__name__)
    app.config["PROPAGATE_EXCEPTIONS"] = passed_on
    register_errors(app)
    seen: list[Any] = []

    @app.teardown_request
    def look(error: BaseException | None) -> None:
        seen.append(frames_of(error))

    @app.get("/ask")
    def ask() -> Any:
        kettle = "cold"
        raise KeyError(kettle)

    def frames_of(error: Any) -> list[Any]:
        held, trace = [], error.__traceback__
        while trace is not None:
            held.append(trace.tb_frame.f_locals.get("kettle"))
            trace = trace.tb_next
        return held

    try:
        app.test_client().get("/ask")
    except KeyError as error:
        assert "cold" in frames_of(error)
    assert "cold" in seen[0]


# Errors as JSON.


@pytest.fixture
def raising() -> Any:
    app = flask.Flask(__name__)
    register_errors(app)

    @app.get("/<name>")
    def fail(name: str) -> Any:
        raise {
            "busy": lms.Busy("too many of sk-abc", retry_after=2.5),
            "inputs": lms.SignatureError("'question' is missing"),
            "key": lms.AuthenticationError("sk-abc is wrong"),
            "request": RequestError(422, "no such tea", field="tea"),
            "closed": lms.StreamClosed("it is"),
            "mine": KeyError("mine"),
        }[name]

    return app


@pytest.mark.parametrize(
    ("name", "status", "error"),
    [
        ("busy", 429, {"type": "Busy", "message": "The answer could not be completed."}),
        ("inputs", 422, {"type": "SignatureError", "message": "'question' is missing"}),
        ("key", 401, {"type": "AuthenticationError", "message": "The answer could not be completed."}),
        ("request", 422, {"type": "RequestError", "message": "no such tea", "field": "tea"}),
        ("closed", 500, {"type": "StreamClosed", "message": "The answer could not be completed."}),
    ],
)
def test_the_librarys_errors_in_a_view_are_json(raising: Any, caplog: Any, name: str, status: int, error: Any) -> None:
    with live(raising) as site, caplog.at_level(logging.ERROR):
        got = site.get(f"/{name}")
    assert (got.status, got.error) == (status, error)
    assert got.headers.get("retry-after") == ("3" if name == "busy" else None)
    told = [record for record in caplog.records if record.name == "lmstream_sync.streaming"]
    assert len(told) == (0 if status == 422 else 1)


def test_other_errors_go_their_own_way(raising: Any) -> None:
    with live(raising) as site:
        assert site.get("/mine").headers["content-type"].startswith("text/html")


def test_a_wrong_input_is_422_at_the_call(model: Any) -> None:
    server = model(chat(answer="yes"))
    app = flask.Flask(__name__)
    register_errors(app)
    program = asking()

    @app.get("/ask")
    def ask() -> Any:
        return stream_response(program(**flask.request.args))

    with live(app) as site:
        got = site.get("/ask?query=Why")
    assert (got.status, got.error["type"]) == (422, "SignatureError")
    assert "missing: question; unknown: query" in got.error["message"]
    assert server.request_count == 0


def test_errors_of_one_blueprint_and_their_messages() -> None:
    blueprint = flask.Blueprint("tea", __name__)
    register_errors(blueprint, expose_errors=True)

    @blueprint.get("/tea")
    def tea() -> Any:
        raise lms.Busy("all pots are in use")

    app = flask.Flask(__name__)
    app.register_blueprint(blueprint)
    with live(app) as site:
        assert site.get("/tea").error == {"type": "Busy", "message": "all pots are in use"}


# Programs by name.


def test_programs_by_name(model: Any) -> None:
    model({"Why": chat(answer="yes"), "It is": chat(verdict="fine")})
    app = flask.Flask(__name__)
    app.register_blueprint(
        programs_blueprint({"ask": lms.Predict("question -> answer"), "judge": lms.Predict("text -> verdict")})
    )
    with live(app) as site:
        asked, judged = site.post("/programs/ask", {"question": "Why"}), site.get("/programs/judge?text=It+is")
        assert read_sse(asked.body)[-1] == {"prediction": {"answer": "yes"}}
        assert read_sse(judged.body)[-1] == {"prediction": {"verdict": "fine"}}
        assert site.get("/programs/judge/?text=It+is").status == 200


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS", "DELETE"])
def test_an_unknown_program_is_404(model: Any, method: str) -> None:
    server = model(chat(answer="yes"))
    app = flask.Flask(__name__)
    app.register_blueprint(programs_blueprint({"ask": lms.Predict("question -> answer")}))
    with live(app) as site:
        got = site.request(method, "/programs/<b>?question=Why")
    assert got.status == 404
    assert got.headers["content-type"] == "application/json"
    if method != "HEAD":
        assert got.error == {"type": "RequestError", "message": "there is no program '<b>' here"}
    assert server.request_count == 0


def test_two_blueprints_their_urls_and_who_may_ask(model: Any) -> None:
    server = model(chat(answer="yes"))
    app = flask.Flask(__name__)
    program = lms.Predict("question -> answer")
    closed = programs_blueprint({"ask": program}, name="closed", url_prefix="/closed")
    closed.before_request(lambda: ("who are you?", 403))
    app.register_blueprint(closed)
    app.register_blueprint(programs_blueprint({"ask": program}, url_prefix="/open"))
    with app.test_request_context():
        assert flask.url_for("closed.answer", program="ask") == "/closed/ask"
        assert flask.url_for("programs.answer", program="ask") == "/open/ask"
    with live(app) as site:
        assert site.get("/closed/ask?question=Why").status == 403
        assert server.request_count == 0
        assert site.get("/open/ask?question=Why").status == 200


def test_flasks_own_limit_holds_too(model: Any) -> None:
    server = model(chat(answer="yes"))
    app = flask.Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 100
    app.register_blueprint(programs_blueprint({"ask": lms.Predict("question -> answer")}))
    with live(app) as site:
        got = site.post("/programs/ask", {"question": "x" * 100})
    assert (got.status, got.error["type"]) == (413, "RequestError")
    assert server.request_count == 0


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded"])
def test_a_body_that_somebody_read_before(model: Any, content_type: str) -> None:
    model(chat(answer="yes"))
    app = flask.Flask(__name__)
    app.register_blueprint(programs_blueprint({"ask": lms.Predict("question -> answer")}))
    read: list[Any] = []
    app.before_request(lambda: read.append(flask.request.form.to_dict() or flask.request.get_json()))
    body = b"question=Why" if content_type.endswith("urlencoded") else b'{"question": "Why"}'
    with live(app) as site:
        got = site.post("/programs/ask", body, content_type)
    assert read == [{"question": "Why"}]
    assert read_sse(got.body)[-1] == {"prediction": {"answer": "yes"}}
