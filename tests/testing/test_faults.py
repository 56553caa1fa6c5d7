"""It misbehaves on request, exactly where the test says."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest

from lmstream_sync.testing import Gate, Reply, ScriptedServer, read_sse

from .client import Client, ask, deltas, stream

BOTH = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


@BOTH
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 503])
def test_a_status_refuses_as_openai_words_it(status: int, streamed: bool) -> None:
    with ScriptedServer(Reply(status=status)) as server, Client(server, stream=streamed) as client:
        assert client.response.status == status
        assert client.response.headers.get_content_type() == "application/json"
        error = client.json()["error"]
        assert error["message"] and error["type"]


def test_a_refusal_has_the_body_and_headers_that_the_test_gives() -> None:
    reply = Reply(status=429, retry_after=1.5, body={"error": "mine"}, headers={"X-Request-Id": "r1"})
    with ScriptedServer([reply, Reply(status=502, body="<h1>Bad gateway</h1>", content_type="text/html")]) as server:
        with Client(server) as client:
            assert client.response.headers["Retry-After"] == "1.5"
            assert client.response.headers["X-Request-Id"] == "r1"
            assert client.json() == {"error": "mine"}
        with Client(server) as client:
            assert client.response.headers.get_content_type() == "text/html"
            assert client.read() == b"<h1>Bad gateway</h1>"


@BOTH
def test_a_connection_broken_before_the_first_byte(streamed: bool) -> None:
    with ScriptedServer(Reply("one two", drop_after=0)) as server, Client(server, stream=streamed) as client:
        with pytest.raises(http.client.RemoteDisconnected):
            client.read()
        assert server.readers_left == 0


@pytest.mark.parametrize(("after", "arrived"), [(1, ["one"]), (2, ["one", " two"]), (99, ["one", " two", " three"])])
def test_a_connection_broken_in_mid_stream_has_sent_all_before_it(after: int, arrived: list[str]) -> None:
    with ScriptedServer(Reply("one two three", drop_after=after)) as server, Client(server, stream=True) as client:
        with pytest.raises(http.client.IncompleteRead) as broken:
            client.read()
        chunks = read_sse(broken.value.partial)
        assert deltas(chunks) == arrived
        assert chunks[-1]["choices"][0]["finish_reason"] is None
        server.wait_until_idle()
        assert (server.readers_left, server.pieces_sent) == (0, len(arrived))


def test_a_connection_broken_within_a_whole_reply() -> None:
    with ScriptedServer(Reply("one two three", drop_after=1)) as server, Client(server) as client:
        with pytest.raises(http.client.IncompleteRead) as broken:
            client.read()
        assert broken.value.partial.startswith(b'{"id":')


def test_malformed_json_comes_at_its_place() -> None:
    with ScriptedServer(Reply("one two", malformed_after=1)) as server:
        with Client(server, stream=True) as client:
            events = client.read().decode().split("\n\n")
        with pytest.raises(ValueError):
            json.loads(events[2].removeprefix("data: "))
        assert json.loads(events[3].removeprefix("data: "))["choices"][0]["delta"] == {"content": " two"}
        with Client(server) as client, pytest.raises(ValueError):
            client.json()


def test_an_error_object_inside_a_stream_ends_it() -> None:
    with ScriptedServer(Reply("one two", error_after=1)) as server:
        with Client(server, stream=True) as client:
            assert client.response.status == 200
            body = client.read()
        assert b"[DONE]" not in body
        chunks = read_sse(body)
        assert deltas(chunks[:-1]) == ["one"] and chunks[-1]["error"]["message"]
        assert ask(server)["error"]["message"]
        server.replies = Reply("one two", error_after=0, body={"error": {"message": "mine"}})
        assert stream(server)[-1] == {"error": {"message": "mine"}}


def test_a_stream_may_lack_its_finish_reason_or_done_or_both() -> None:
    with ScriptedServer(
        [Reply("one", finish_reason=None), Reply("one", done=False), Reply("one", finish_reason=None, done=False)]
    ) as server:
        ends = []
        for _ in range(3):
            with Client(server, stream=True) as client:
                body = client.read()
            ends.append((read_sse(body)[-1]["choices"][0]["finish_reason"], b"[DONE]" in body))
    assert ends == [(None, True), ("stop", False), (None, False)]


def test_a_whole_response_where_a_stream_was_asked_for() -> None:
    with ScriptedServer(Reply("one two", whole=True)) as server, Client(server, stream=True) as client:
        assert client.response.headers.get_content_type() == "application/json"
        assert client.json()["choices"][0]["message"]["content"] == "one two"


@BOTH
def test_a_wrong_content_type(streamed: bool) -> None:
    reply = Reply("one", content_type="text/html")
    with ScriptedServer(reply) as server, Client(server, stream=streamed) as client:
        assert client.response.headers.get_content_type() == "text/html"


@BOTH
def test_raw_bytes_are_sent_as_they_are(streamed: bool) -> None:
    with ScriptedServer(Reply(raw=[b"data: \xff", b"\r\n"])) as server, Client(server, stream=streamed) as client:
        assert client.read() == b"data: \xff\r\n"


def test_raw_bytes_can_cut_within_an_event_and_a_character() -> None:
    event = 'data: {"choices":[{"index":0,"delta":{"content":"é"}}]}\n\n'.encode()
    with ScriptedServer(Reply(raw=[bytes([byte]) for byte in event])) as server:
        assert deltas(stream(server)) == ["é"]


@BOTH
@pytest.mark.parametrize("after", [0, 1, 99])
def test_a_stall_lasts_until_the_test_releases_it(after: int, streamed: bool) -> None:
    with ScriptedServer(Reply("one two", stall_after=after)) as server, Client(server, stream=streamed) as client:
        server.wait_for_stall()
        assert server.pieces_sent == (min(after, 2) if streamed else 0)
        assert server.open_streams == 1
        server.release()
        assert client.read()
        server.wait_until_idle()
        assert server.counts.stalled == 0
        stream(server)  # later ones do not stall either


def test_a_refusal_may_stall_too() -> None:
    with ScriptedServer(Reply(status=500, stall_after=0)) as server, Client(server) as client:
        server.wait_for_stall()
        server.release()
        assert client.response.status == 500


@BOTH
@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_gate_holds_one_place(place: int, streamed: bool) -> None:
    gate = Gate()
    reply = Reply("one two three", pauses={place: gate})
    with ScriptedServer(reply) as server, Client(server, stream=streamed) as client:
        gate.wait()
        assert server.pieces_sent == (place if streamed else 0)
        gate.release()
        assert client.read()
        stream(server)  # it stays open


def test_a_gate_nobody_came_to_says_so() -> None:
    with pytest.raises(TimeoutError, match="gate"):
        Gate().wait(0.01)


def test_a_gate_outlives_its_server() -> None:
    gate = Gate()
    with ScriptedServer(Reply("one", pauses={0: gate})) as server, Client(server):
        gate.wait()
    gate.release()


@BOTH
def test_pauses_and_delays_are_waited_for(streamed: bool) -> None:
    """Zero seconds each: that a wait does not lose or reorder a piece; how long it is, is asyncio's."""
    reply = Reply("one two three", delay=0.001, pauses={0: 0.001, 2: 0.001, 3: 0.001})
    with ScriptedServer(reply) as server:
        read: Any = stream if streamed else ask
        said = read(server)
    assert "".join(deltas(said)) == "one two three" if streamed else said["choices"][0]["message"]["content"]
