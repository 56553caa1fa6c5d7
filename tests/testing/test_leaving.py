"""It sees at once that a reader went away, and only then."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lmstream_sync.testing import Counts, Gate, Reply, ScriptedServer

from .client import Client, ask, stream

LONG = "word " * 1000


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def streamed(request: pytest.FixtureRequest) -> Iterator[bool]:
    yield request.param


@pytest.mark.parametrize("after", [0, 3, 99])
def test_in_a_stall(after: int, streamed: bool) -> None:
    with ScriptedServer(Reply("one two three four five", stall_after=after)) as server:
        client = Client(server, stream=streamed)
        server.wait_for_stall()
        assert (server.readers_left, server.open_streams) == (0, 1)
        client.leave()
        server.wait_for_reader_left()
        counts = server.counts
        assert (counts.readers_left, counts.open_streams, counts.stalled) == (1, 0, 0)
        server.wait_until(lambda counts: counts.open_connections == 0)


def test_at_a_gate(streamed: bool) -> None:
    gate = Gate()
    with ScriptedServer(Reply("one two three", pauses={2: gate})) as server:
        client = Client(server, stream=streamed)
        gate.wait()
        client.leave()
        server.wait_for_reader_left()
        assert server.pieces_sent == (2 if streamed else 0)


def test_between_two_pieces(streamed: bool) -> None:
    with ScriptedServer(Reply(LONG, delay=30)) as server:
        client = Client(server, stream=streamed)
        server.wait_for_request()
        if streamed:
            server.wait_until(lambda counts: counts.pieces_sent == 1)
        client.leave()
        server.wait_for_reader_left(timeout=5)
        assert server.pieces_sent == (1 if streamed else 0)


def test_while_it_writes_to_one_that_does_not_read() -> None:
    with ScriptedServer(Reply("x" * 50_000_000, cut=50_000)) as server:
        client = Client(server, stream=True)
        server.wait_until(lambda counts: counts.pieces_sent > 5)
        client.leave()
        server.wait_for_reader_left()
        assert server.pieces_sent < 1000


def test_each_of_several(streamed: bool) -> None:
    with ScriptedServer(Reply("one two three", stall_after=1)) as server:
        clients = [Client(server, stream=streamed) for _ in range(20)]
        server.wait_for_stall(20)
        assert server.open_connections == 20
        for client in clients[:7]:
            client.leave()
        server.wait_for_reader_left(7)
        assert server.open_streams == 13
        server.release()
        for client in clients[7:]:
            client.read()
            client.leave()
        server.wait_until_idle()
        assert server.readers_left == 7


def test_one_that_has_had_its_reply_did_not_leave(streamed: bool) -> None:
    with ScriptedServer("one two three") as server:
        for _ in range(20):
            (stream if streamed else ask)(server)
        server.wait_until(lambda counts: counts.open_streams == counts.open_connections == 0)
        assert server.counts == Counts(requests=20, pieces_sent=60 if streamed else 0, tokens_sent=60)


def test_one_that_goes_when_the_text_is_out_did_not_leave() -> None:
    """As a reader does that waits for no more than a finish reason; a vast usage keeps the server writing."""
    with ScriptedServer(Reply("one", usage={"vast": "x" * 50_000_000})) as server:
        client = Client(server, stream=True, stream_options={"include_usage": True})
        server.wait_until(lambda counts: counts.pieces_sent == 1)
        client.leave()
        server.wait_until_idle()
        assert server.readers_left == 0


def test_one_that_a_stopping_server_sends_away_did_not_leave(streamed: bool) -> None:
    with ScriptedServer(Reply("one two three", stall_after=1)) as server:
        client = Client(server, stream=streamed)
        server.wait_for_stall()
    assert (server.readers_left, server.open_streams) == (0, 0)
    client.leave()


def test_waiting_in_vain_tells_the_counts() -> None:
    with ScriptedServer("one") as server:
        for wait in (server.wait_for_request, server.wait_for_reader_left, server.wait_for_stall):
            with pytest.raises(TimeoutError, match="readers_left=0"):
                wait(timeout=0.01)
