"""What each door of WSGI and Flask promises, on a real server with real clients."""

from __future__ import annotations

import functools
import json
import logging
import queue
import socket
import threading
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.testing import Gate, Reply, read_sse

from ..streaming.replies import chat
from .doors import DOORS, Door
from .live import live

#: Slow, and without an end that a test would see.
ENDLESS = Reply(chat(answer="word " * 3000), cut=5, delay=0.005)


@pytest.fixture(params=DOORS, ids=lambda door: door.name)
def door(request: Any) -> Door:
    found: Door = request.param
    return found


def asking() -> Any:
    return lms.streamify(lms.Predict("question -> answer"), stream_listeners=[lms.StreamListener("answer")])


def counting(program: Any) -> tuple[Any, list[Any]]:
    """A streamified program that notes the inputs of each call."""
    calls: list[Any] = []

    @functools.wraps(program)
    def noting(**inputs: Any) -> Any:
        calls.append(inputs)
        return program(**inputs)

    return noting, calls


def text_of(body: bytes) -> str:
    return "".join(event["chunk"]["chunk"] for event in read_sse(body) if "chunk" in event)


class Ends:
    """Collects what `on_end` is called with."""

    def __init__(self) -> None:
        self._seen: queue.Queue[tuple[str | None, str]] = queue.Queue()

    def __call__(self, stream: lms.Stream) -> None:
        self._seen.put((stream.outcome, stream.partial.get("answer", "")))

    def next(self) -> tuple[str | None, str]:
        """The next one: outcome and text."""
        return self._seen.get(timeout=10)

    def only(self) -> tuple[str | None, str]:
        """The next one, after which there is none."""
        found = self.next()
        assert self._seen.empty()
        return found


# A stream.


def test_a_stream_with_the_right_headers(model: Any, door: Door) -> None:
    model(Reply(chat(answer="It was there, and the road was free."), cut=4))
    ends = Ends()
    with live(door.app(asking(), on_end=ends)) as site:
        got = site.get("/ask?question=Why")
    assert got.status == 200
    assert got.headers["content-type"] == "text/event-stream"
    assert got.headers["cache-control"] == "no-cache, no-transform"
    assert got.headers["x-accel-buffering"] == "no"
    assert "content-length" not in got.headers
    assert text_of(got.body) == "It was there, and the road was free."
    assert read_sse(got.body)[-1] == {"prediction": {"answer": "It was there, and the road was free."}}
    assert got.body.endswith(b"data: [DONE]\n\n")
    assert ends.only() == ("completed", "It was there, and the road was free.")


def test_the_first_piece_arrives_while_the_model_still_thinks(model: Any, door: Door) -> None:
    gate = Gate()
    model(Reply(pieces=["[[ ## answer ## ]]\nfirst ", "and ", "last", "\n\n[[ ## completed ## ]]"], pauses={2: gate}))
    with live(door.app(asking())) as site, site.opened("GET", "/ask?question=Why") as response:
        seen = response.read1()
        assert text_of(seen)
        gate.wait()
        gate.release()
        assert text_of(seen + response.read()) == "first and last"


def test_own_headers_win(model: Any, door: Door) -> None:
    model(chat(answer="yes"))
    with live(door.app(asking(), headers={"cache-control": "no-store", "X-Mine": "1"})) as site:
        got = site.get("/ask?question=Why")
    assert (got.headers["cache-control"], got.headers["x-mine"]) == ("no-store", "1")


def test_fifteen_readers_at_once_get_each_their_own(model: Any, door: Door) -> None:
    model({f"number {n}.": Reply(chat(answer=f"It is {n}, of course."), cut=3, delay=0.002) for n in range(15)})
    texts: dict[int, str] = {}
    with live(door.app(asking())) as site:

        def read(n: int) -> None:
            texts[n] = text_of(site.get(f"/ask?question=number+{n}.").body)

        readers = [threading.Thread(target=read, args=(n,)) for n in range(15)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(30)
    assert texts == {n: f"It is {n}, of course." for n in range(15)}


# Before the headers.


def test_a_wrong_key_is_401(model: Any, door: Door, caplog: Any) -> None:
    model(chat(answer="yes"), api_key="sk-right-and-secret")
    lms.configure(lm=lms.settings.lm.copy(api_key="sk-wrong-and-secret"))
    ends = Ends()
    with live(door.app(asking(), on_end=ends)) as site, caplog.at_level(logging.ERROR, "lmstream_sync.streaming"):
        got = site.get("/ask?question=Why")
    assert got.status == 401
    assert got.error == {"type": "AuthenticationError", "message": "The answer could not be completed."}
    assert got.headers["cache-control"] == "no-store"
    assert ends.only()[0] == "failed"
    [line] = [record.getMessage() for record in caplog.records if record.name == "lmstream_sync.streaming"]
    assert "AuthenticationError" in line and "sk-wrong-and-secret" not in line


def test_a_provider_that_is_too_busy_is_429_and_says_when(model: Any, door: Door) -> None:
    server = model(Reply(status=429, retry_after=7))
    with live(door.app(asking())) as site:
        got = site.get("/ask?question=Why")
    assert (got.status, got.headers["retry-after"], got.error["type"]) == (429, "7", "RateLimitError")
    assert server.request_count == 1


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(status=503), "ServerError"),
        (Reply(status=400), "BadRequestError"),
        (Reply("x", drop_after=0), "LMConnectionError"),
        (Reply("no field at all"), "AdapterParseError"),
    ],
    ids=["503", "400", "dropped", "unreadable"],
)
def test_what_fails_on_the_models_side_is_502(model: Any, door: Door, reply: Reply, error: str) -> None:
    model(reply)
    lms.configure(adapter=lms.ChatAdapter(use_json_adapter_fallback=False))
    with live(door.app(asking())) as site:
        got = site.get("/ask?question=Why")
    assert got.status == 502
    assert got.error["message"] == "The answer could not be completed."
    if error != "LMConnectionError":
        assert got.error["type"] == error


def test_a_program_that_fails_at_once_is_500_and_tells_nothing(door: Door, caplog: Any) -> None:
    def broken(question: str) -> str:
        raise RuntimeError("the vault's code is 1234")

    ends = Ends()
    with live(door.app(lms.streamify(broken), on_end=ends)) as site, caplog.at_level(logging.ERROR):
        got = site.get("/ask?question=Why")
    assert got.status == 500
    assert got.error == {"type": "ProgramError", "message": "The answer could not be completed."}
    assert ends.only() == ("failed", "")
    assert sum("the vault's code is 1234" in record.getMessage() for record in caplog.records) == 1


def test_an_error_is_told_where_that_is_asked_for(door: Door) -> None:
    def broken(question: str) -> str:
        raise RuntimeError("the kettle is cold")

    with live(door.app(lms.streamify(broken), expose_errors=True)) as site:
        got = site.get("/ask?question=Why")
    assert (got.status, got.error) == (500, {"type": "RuntimeError", "message": "the kettle is cold"})


def test_inputs_that_a_program_gives_a_predictor_wrongly_are_its_own_fault(model: Any, door: Door) -> None:
    model(chat(answer="yes"))
    ask = lms.Predict("question -> answer")

    def wrong(question: str) -> Any:
        return ask(query=question)

    with live(door.app(lms.streamify(wrong))) as site:
        got = site.get("/ask?question=Why")
    assert (got.status, got.error["message"]) == (500, "The answer could not be completed.")


def test_a_model_that_takes_its_time_gets_200_and_heartbeats(model: Any, door: Door) -> None:
    gate = Gate()
    model(Reply(chat(answer="at last"), pauses={0: gate}))
    app = door.app(asking(), wait_first=0.05, heartbeat=0.05)
    with live(app) as site, site.opened("GET", "/ask?question=Why") as response:
        assert response.status == 200
        gate.wait()
        beats = response.read1()
        assert beats.startswith(b":") and not read_sse(beats)
        gate.release()
        assert text_of(beats + response.read()) == "at last"


def test_without_a_wait_an_error_comes_in_the_stream(model: Any, door: Door) -> None:
    model(Reply(status=429, retry_after=7))
    with live(door.app(asking(), wait_first=False)) as site:
        got = site.get("/ask?question=Why")
    assert got.status == 200
    assert [event["error"]["type"] for event in read_sse(got.body)] == ["RateLimitError"]
    assert got.body.endswith(b"data: [DONE]\n\n")


def test_status_messages_met_while_waiting_keep_their_place(model: Any, door: Door) -> None:
    model(chat(answer="found it"))
    look, ask = lms.Tool(lambda place: f"nothing in {place}", name="look"), lms.Predict("question -> answer")

    class Searches(lms.Module):
        def __init__(self) -> None:
            self.ask = ask

        def forward(self, question: str) -> Any:
            look(place="pantry")
            lms.emit({"step": 2})
            look(place="cellar")
            return self.ask(question=question)

    with live(door.app(lms.streamify(Searches(), stream_listeners=[lms.StreamListener("answer")]))) as site:
        got = site.get("/ask?question=Why")
    kinds = [next(iter(event)) for event in read_sse(got.body)]
    assert kinds[:5] == ["status", "status", "event", "status", "status"]
    assert {*kinds[5:-1]} == {"chunk"} and kinds[-1] == "prediction"


# HEAD, coming again, and closing before the first byte.


def test_head_is_answered_at_once(model: Any, door: Door) -> None:
    gate = Gate()
    server = model(Reply(chat(answer="yes"), pauses={0: gate}))
    ends = Ends()
    program, calls = counting(asking())
    with live(door.app(program, on_end=ends)) as site:
        got = site.request("HEAD", "/ask?question=Why")
        assert (got.status, got.body) == (200, b"")
        assert got.headers["content-type"] == "text/event-stream"
        assert "content-length" not in got.headers
        if door.calls:
            assert calls == []
        else:
            assert ends.only() == ("left", "")
            server.wait_until_idle()
    gate.release()


def test_an_event_source_that_comes_again_is_sent_away(model: Any, door: Door) -> None:
    server = model(Reply(chat(answer="yes"), stall_after=0))
    ends = Ends()
    program, calls = counting(asking())
    with live(door.app(program, on_end=ends, on_leave="finish")) as site:
        got = site.get("/ask?question=Why", Last_Event_ID="7")
        assert (got.status, got.body) == (204, b"")
        if door.calls:
            assert calls == []
        else:
            assert ends.only()[0] == "left"
            server.wait_until_idle()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("read", [0, 1])
def test_close_before_or_after_the_first_piece(model: Any, door: Door, read: int) -> None:
    server = model(ENDLESS)
    ends = Ends()
    app = door.app(asking(), on_end=ends, wait_first=False)
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/ask",
        "QUERY_STRING": "question=Why",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
    }
    body: Any = app(environ, lambda status, headers: None)
    server.wait_for_request()
    for _ in range(read):
        next(iter(body))
    body.close()
    server.wait_until_idle()
    assert ends.only()[0] == "left"
    assert server.open_streams == 0


# Leaving.


def test_a_client_that_hangs_up_stops_the_model(model: Any, door: Door) -> None:
    server = model(ENDLESS)
    ends = Ends()
    with live(door.app(asking(), on_end=ends)) as site:
        with site.opened("GET", "/ask?question=Why") as response:
            response.read1()
        server.wait_for_reader_left()
        outcome, text = ends.only()
    assert outcome == "left"
    assert text.startswith("word ") and len(text) < 15_000


def test_a_client_that_hangs_up_while_nothing_comes_is_found_out_by_a_heartbeat(model: Any, door: Door) -> None:
    server = model(Reply(chat(answer="a b c d"), stall_after=8))
    with live(door.app(asking(), heartbeat=0.05)) as site:
        with site.opened("GET", "/ask?question=Why") as response:
            response.read1()
            server.wait_for_stall()
        server.wait_for_reader_left()


def test_on_leave_finish_lets_the_program_end(model: Any, door: Door) -> None:
    gate = Gate()
    server = model(Reply(chat(answer="one two three four"), pauses={8: gate}))
    ends = Ends()
    with live(door.app(asking(), on_end=ends, on_leave="finish", heartbeat=0.02)) as site:
        with site.opened("GET", "/ask?question=Why") as response:
            response.read1()
            gate.wait()
        assert site.closed.wait(10)
        gate.release()
        assert ends.only() == ("completed", "one two three four")
    assert server.readers_left == 0


def test_a_client_that_reads_slowly_holds_no_more_than_the_queue(model: Any, door: Door) -> None:
    piece = "x" * 65_536
    server = model(Reply(pieces=["[[ ## answer ## ]]\n", *[piece] * 2_000]))
    lms.configure(queue_size=8)
    with live(door.app(asking()), send_buffer=65_536) as site:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            client.connect(("127.0.0.1", site.port))
            client.sendall(b"GET /ask?question=Why HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(10).startswith(b"HTTP/1.")
            sent = 0
            while True:  # until the server can send no more
                try:
                    sent = server.wait_until(lambda counts, sent=sent: counts.pieces_sent > sent, 1.0).pieces_sent
                except TimeoutError:
                    break
            # Sixteen pieces are a megabyte; the rest is in the systems' socket buffers.
            assert sent < 400
        server.wait_for_reader_left()


def test_an_error_in_mid_stream_is_its_last_event(model: Any, door: Door, caplog: Any) -> None:
    model(Reply(chat(answer="one two three four five"), drop_after=7))
    ends = Ends()
    with live(door.app(asking(), on_end=ends)) as site, caplog.at_level(logging.ERROR, "lmstream_sync.streaming"):
        got = site.get("/ask?question=Why")
    assert got.status == 200
    *chunks, error = read_sse(got.body)
    assert error == {"error": {"type": "LMInterrupted", "message": "The answer could not be completed."}}
    assert chunks and all("chunk" in event for event in chunks)
    assert got.body.endswith(b"data: [DONE]\n\n")
    assert ends.only()[0] == "failed"
    assert len(caplog.records) == 1


@pytest.mark.parametrize("prefix", ["", "text/html, "])
def test_accept_picks_a_format_where_several_are_offered(model: Any, door: Door, prefix: str) -> None:
    model(chat(answer="yes"))
    with live(door.app(asking(), format=("sse", "ndjson", "text"))) as site:
        kinds = {
            wanted: site.get("/ask?question=Why", Accept=f"{prefix}{wanted}")
            for wanted in ("text/event-stream", "application/x-ndjson", "text/plain")
        }
    assert kinds["text/plain"].body == b"yes"
    assert kinds["text/plain"].headers["content-type"].startswith("text/plain")
    assert kinds["text/plain"].headers["vary"] == "Accept"
    assert json.loads(kinds["application/x-ndjson"].body.splitlines()[0])
    assert text_of(kinds["text/event-stream"].body) == "yes"
