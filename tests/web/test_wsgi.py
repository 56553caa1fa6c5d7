"""The door to bare WSGI: what a client may send, and how much of it is read."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.testing import Reply, read_sse
from lmstream_sync.web.failures import RequestError
from lmstream_sync.web.flask import programs_blueprint
from lmstream_sync.web.wsgi import read_body, wsgi_app

from ..streaming.replies import chat
from .live import Site, live


def in_flask(program: Any, **options: Any) -> Any:
    from flask import Flask

    app = Flask(__name__)
    app.register_blueprint(programs_blueprint({"ask": program}, url_prefix="/", **options))
    return app


SERVED = pytest.mark.parametrize("served", [wsgi_app, in_flask], ids=["wsgi", "flask"])


def answer_of(body: bytes) -> Any:
    return read_sse(body)[-1]["prediction"]


# Right requests.


@SERVED
def test_inputs_in_a_json_body_a_form_or_the_query(model: Any, served: Any) -> None:
    server = model(chat(answer="yes"))
    with live(served(lms.Predict("question, tags: list[str] -> answer"))) as site:
        inputs = {"question": "Why?", "tags": ["a", "b"]}
        for got in (
            site.post("/ask", inputs),
            site.post("/ask", b"question=Why%3F&tags=a&tags=b", "application/x-www-form-urlencoded"),
            site.get("/ask?question=Why%3F&tags=a&tags=b"),
        ):
            assert (got.status, answer_of(got.body)) == (200, {"answer": "yes"})
    assert len({request.prompt for request in server.requests}) == 1 and server.request_count == 3


@SERVED
def test_every_field_of_every_predictor_is_streamed(model: Any, served: Any) -> None:
    model(chat(reasoning="so it is", answer="yes"))
    with live(served(lms.ChainOfThought("question -> answer"))) as site:
        events = read_sse(site.get("/ask?question=Why").body)
    fields = {event["chunk"]["signature_field_name"] for event in events if "chunk" in event}
    assert fields == {"reasoning", "answer"}


@SERVED
def test_a_model_itself(model: Any, served: Any) -> None:
    server = model("plainly yes")
    with live(served(server.lm())) as site:
        assert site.get("/ask?prompt=Why", Accept="text/plain").body == b"plainly yes"


@SERVED
def test_a_program_for_asynchronous_readers_is_served_too(model: Any, served: Any) -> None:
    model(chat(answer="yes"))
    program = lms.streamify(
        lms.Predict("question -> answer"), stream_listeners=[lms.StreamListener("answer")], async_streaming=True
    )
    with live(served(program)) as site:
        assert answer_of(site.get("/ask?question=Why").body) == {"answer": "yes"}


@SERVED
def test_a_body_in_chunks(model: Any, served: Any) -> None:
    model(chat(answer="yes"))
    with live(served(lms.Predict("question -> answer"))) as site:
        answer = site.raw(chunked(b'{"question"', b': "Why"}'))
    assert answer.startswith((b"HTTP/1.0 200", b"HTTP/1.1 200"))
    assert b'"answer":"yes"' in answer


def chunked(*pieces: bytes) -> bytes:
    head = b"POST /ask HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


def posted(length: bytes, body: bytes) -> bytes:
    head = b"POST /ask HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    return head + b"Content-Length: %b\r\n\r\n%b" % (length, body)


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


# Wrong ones, none of which reaches a model.


@pytest.fixture
def unasked(model: Any) -> Any:
    """A model that is asked nothing in this test."""
    server = model(Reply(chat(answer="yes")))
    yield server
    assert server.request_count == 0


@SERVED
@pytest.mark.usefixtures("unasked")
def test_bad_input_is_the_right_4xx_with_a_json_error_that_names_the_field(served: Any) -> None:
    with live(served(lms.Predict("question, times: int -> answer"), max_bytes=1000)) as site:

        def post(body: Any, content_type: str | None = "application/json") -> tuple[int, Any]:
            got = site.post("/ask", body, content_type)
            assert got.error["type"] == "RequestError" and got.error["message"]
            assert int(got.headers["content-length"]) == len(got.body)
            return got.status, got.error.get("field")

        assert post(b"{") == (400, None)
        assert post(b'["Why"]') == (400, None)
        assert post(b"[" * 900) == (400, None)
        assert post({"question": "x" * 1000, "times": 1}) == (413, None)
        assert post({"question": "Why", "times": 1}, "text/plain") == (415, None)
        assert post({"question": "Why", "times": 1}, None) == (415, None)
        assert post({"question": "Why"}) == (422, "times")
        assert post({"question": "Why", "times": 1, "lm": "x"}) == (422, "lm")
        assert post({"question": "Why", "times": "often"}) == (422, "times")
        assert post({"question": 5, "times": 1}) == (422, "question")
        assert site.get("/ask?question=Why&times=often").error["field"] == "times"
        assert site.get("/ask").error["field"] == "question"


@SERVED
@pytest.mark.usefixtures("unasked")
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE"])
def test_another_method_is_405(served: Any, method: str) -> None:
    with live(served(lms.Predict("question -> answer"))) as site:
        got = site.request(method, "/ask?question=Why")
    assert (got.status, got.headers["allow"]) == (405, "GET, HEAD, POST, OPTIONS")
    assert got.error["type"] == "RequestError"


@SERVED
@pytest.mark.usefixtures("unasked")
def test_options_says_what_is_answered(served: Any) -> None:
    with live(served(lms.Predict("question -> answer"))) as site:
        got = site.request("OPTIONS", "/ask")
    assert (got.status, got.headers["allow"], got.body) == (204, "GET, HEAD, POST, OPTIONS", b"")


@SERVED
@pytest.mark.usefixtures("unasked")
def test_a_body_whose_length_is_a_lie(served: Any) -> None:
    body = b'{"question": "Why"}'
    with live(served(lms.Predict("question -> answer"), max_bytes=1000)) as site:
        assert status_of(site.raw(posted(b"500", body), then_close=True)) == 400  # it breaks off
        assert status_of(site.raw(posted(b"5", body))) == 400  # what is after it is not read
        assert status_of(site.raw(posted(b"1001", b""))) == 413  # refused before it is sent
        assert status_of(site.raw(posted(b"9" * 40, b""))) == 413
        assert status_of(site.raw(posted(b"0", body))) == 400


@SERVED
@pytest.mark.usefixtures("unasked")
def test_a_body_in_chunks_that_is_too_large(served: Any) -> None:
    with live(served(lms.Predict("question -> answer"), max_bytes=1000)) as site:
        assert status_of(site.raw(chunked(*[b"x" * 500] * 3))) == 413


@SERVED
def test_a_program_that_cannot_be_called_now(served: Any, caplog: Any) -> None:
    lms.configure(lm=None)
    with live(served(lms.Predict("question -> answer"))) as site:
        got = site.get("/ask?question=Why")
    assert (got.status, got.error["type"]) == (500, "ConfigurationError")
    assert "no LM" not in got.error["message"]
    assert any("no LM is configured" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    "wrong", [{"max_bytes": 0}, {"max_bytes": True}, {"on_end": 5}, {"format": "sso"}, {"heartbeat": 0}]
)
@SERVED
def test_an_app_that_cannot_work_is_refused_when_it_is_made(served: Any, wrong: Any) -> None:
    with pytest.raises(lms.ConfigurationError):
        served(lms.Predict("question -> answer"), **wrong)


@SERVED
@pytest.mark.parametrize("program", [5, lms.Predict, lambda **inputs: 1, lms.Signature("a -> b")])
def test_what_is_no_program_is_refused_too(served: Any, program: Any) -> None:
    with pytest.raises(lms.ConfigurationError):
        served(program)


# How much is read.


class Source(io.BytesIO):
    """Counts what is read, and gives at most so much at a time."""

    def __init__(self, data: bytes, at_a_time: int = 10_000_000) -> None:
        super().__init__(data)
        self.at_a_time = at_a_time

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None and size >= 0, "a read without a limit may never end"
        return super().read(min(size, self.at_a_time))


def reading(data: bytes, *, most: int = 100, at_a_time: int = 10_000_000, **environ: Any) -> tuple[bytes, int]:
    source = Source(data, at_a_time)
    body = read_body({"wsgi.input": source, **environ}, most)
    return body, source.tell()


def test_not_a_byte_after_the_body_is_read() -> None:
    assert reading(b"abcdef", CONTENT_LENGTH="3") == (b"abc", 3)
    assert reading(b"abcdef", CONTENT_LENGTH="3", at_a_time=1) == (b"abc", 3)
    assert reading(b"x" * 200_000, CONTENT_LENGTH="150000", most=200_000) == (b"x" * 150_000, 150_000)
    assert reading(b"abcdef", CONTENT_LENGTH="0") == (b"", 0)
    assert reading(b"abcdef", CONTENT_LENGTH="") == (b"", 0)
    assert reading(b"abcdef") == (b"", 0)
    assert reading(b"abcdef", **{"wsgi.input_terminated": True}) == (b"abcdef", 6)
    assert reading(b"abcdef", **{"wsgi.input_terminated": True}, CONTENT_LENGTH="2") == (b"ab", 2)


def refused(*args: Any, **kwargs: Any) -> int:
    with pytest.raises(RequestError) as caught:
        reading(*args, **kwargs)
    return caught.value.status


@pytest.mark.parametrize("length", ["-1", "+3", "3.0", "1_0", "three", " 3", "0x3", "٣", "3,3"])
def test_a_length_that_is_no_number(length: str) -> None:
    assert refused(b"abc", CONTENT_LENGTH=length) == 400


def test_no_more_is_read_than_is_taken() -> None:
    assert refused(b"", CONTENT_LENGTH="101") == 413
    assert refused(b"", CONTENT_LENGTH="9" * 5000) == 413
    source = Source(b"x" * 100_000)
    with pytest.raises(RequestError) as caught:
        read_body({"wsgi.input": source, "wsgi.input_terminated": True}, 100)
    assert (caught.value.status, source.tell()) == (413, 101)


def test_a_body_that_breaks_off() -> None:
    assert refused(b"ab", CONTENT_LENGTH="3") == 400

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise ConnectionResetError

    with pytest.raises(RequestError) as caught:
        read_body({"wsgi.input": Broken(), "CONTENT_LENGTH": "3"}, 100)
    assert caught.value.status == 400


def test_chunks_where_the_server_does_not_say_where_they_end() -> None:
    assert refused(b"abc", HTTP_TRANSFER_ENCODING="chunked") == 411


def test_a_server_that_cannot_send_the_headers_leaves_nothing_open(model: Any) -> None:
    server = model(Reply(chat(answer="word " * 1000), cut=5, delay=0.005))

    def broken(status: str, headers: Any) -> Any:
        raise BrokenPipeError

    environ = {"REQUEST_METHOD": "GET", "QUERY_STRING": "question=Why"}
    with pytest.raises(BrokenPipeError):
        wsgi_app(lms.Predict("question -> answer"))(environ, broken)
    server.wait_for_reader_left()


def test_the_error_says_it_in_json_of_one_line() -> None:
    def site_of(site: Site) -> Any:
        return json.loads(site.get("/?%0d%0a=1").body)

    with live(wsgi_app(lms.Predict("question -> answer"))) as site:
        assert site_of(site)["error"]["field"] == "\r\n"
