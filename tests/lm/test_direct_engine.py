"""The direct engine at its sockets: connections, addresses, proxies, leaving, what it imports."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.errors import BadRequestError, LMConnectionError, LMError, LMInterrupted, LMProtocolError
from lmstream_sync.lm import LM, direct_body, direct_http
from lmstream_sync.runtime import crossing
from lmstream_sync.testing import Gate, Reply, ScriptedServer
from tests.lm.conftest import RecordingTap
from tests.lm.raw_server import read_request, speaking
from tests.lm.test_secrets import KEY, everything_shown
from tests.runtime.programs import SOON, in_thread, let_the_loop_settle

ASKED = [{"role": "user", "content": "q"}]


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    body = {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


END = [chunk({}, "stop"), b"data: [DONE]\n\n"]


def ask(raw: list[bytes], tap: RecordingTap | None = None, **options: Any) -> Any:
    with ScriptedServer(Reply(raw=raw)) as server:
        return server.lm(engine="direct", num_retries=0).request(ASKED, options, tap or RecordingTap())


# What is understood.


def test_reasoning_has_two_names(tap: RecordingTap) -> None:
    pieces = [chunk({"reasoning_content": "a"}), chunk({"reasoning": "b", "content": None}), chunk({"content": "c"})]
    choice = ask([*pieces, *END], tap).choices[0]
    assert (choice.reasoning, choice.text) == ("ab", "c")
    assert [(delta.reasoning, delta.content) for delta in tap.deltas[:3]] == [("a", None), ("b", None), (None, "c")]


def test_chunks_of_another_shape_are_understood_too(tap: RecordingTap) -> None:
    pieces = [
        b'data: {"choices":[{"index":null,"delta":{"content":"a"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":[{"type":"text","text":"b"}]},"index":0}]}\n\n',
        b'data: {"choices":[{"delta":null,"index":0}]}\n\n',
        b'data: {"choices":null}\n\n',
        b"data: {}\n\n",
        b"data:\n\n",
        b'data: {"choices":[],"prompt_filter_results":[]}\n\n',
        b'data: {"choices":[{"delta":{"content":"c"},"index":0,"logprobs":{"x":NaN}}]}\n\n',
    ]
    assert ask([*pieces, *END], tap).choices[0].text == "abc"


def test_what_it_cost_is_the_providers_word() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "cost": 0.25}
    assert ask([chunk({"content": "a"}), chunk({}, "stop", usage=usage), END[1]]).cost == 0.25


@pytest.mark.parametrize("end", [[b"data: [DONE]"], [b"data: [DONE]\n"], [b"data: [DO", b"NE]\r\n\r\n"]])
def test_the_last_event_may_lack_its_empty_line(end: list[bytes]) -> None:
    assert ask([chunk({"content": "a"}), *end]).choices[0].text == "a"


@pytest.mark.parametrize(
    ("raw", "kind", "words"),
    [
        ([chunk({"content": "a"}), b'data: {"choices":[{"ind'], LMInterrupted, "inside a line"),
        ([chunk({"content": "a"}), b": ping\n\n"], LMInterrupted, "neither a finish reason"),
        ([b": ping\n\n"], LMInterrupted, "sent nothing"),
        ([chunk({"content": "a"}), b"data: {oops}\n\n"], LMProtocolError, "not what it says"),
        ([b'data: {"object":"error","message":"too hot","code":503}\n\n'], lms.ServerError, "too hot"),
        ([chunk({"content": "a"}), b'data: {"error":{"message":"too hot"}}\n\n'], LMInterrupted, "too hot"),
        ([b'{"error":{"message":"too many","code":429}}'], lms.RateLimitError, "too many"),
        ([b"data: 5\n\n"], LMProtocolError, "int"),
    ],
)
def test_what_breaks_off_has_a_name_and_gives_what_came(raw: list[bytes], kind: type[LMError], words: str) -> None:
    tap = RecordingTap()
    with pytest.raises(kind, match=words) as caught:
        ask([b"".join(raw)], tap)
    assert "".join(tap.pieces) == ("a" if b"data" in raw[0] and b'"a"' in raw[0] else "")
    assert caught.value.model == "openai/scripted" and caught.value.provider == "openai"


@pytest.mark.parametrize("begin", [b"data: ", b": ", b"nonsense"])
def test_an_event_that_does_not_end_is_held_up_to_a_bound(begin: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct_body, "LONGEST", 10_000)
    with ScriptedServer(Reply(raw=[begin, *[b"x" * 1_000] * 20], stall_after=21)) as server:
        with pytest.raises(LMProtocolError, match="more than 10000 bytes"):
            server.lm(engine="direct", num_retries=0, timeout=SOON).request(ASKED, {}, RecordingTap())
        server.wait_for_reader_left()


def test_events_one_after_the_other_may_be_longer_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct_body, "LONGEST", 10_000)
    body = direct_body.StreamedBody()
    assert [len(body.feed(chunk({"content": "x" * 1_000}))) for _ in range(30)] == [1] * 30


@pytest.mark.parametrize("begin", [b"x-note: hello\n", b"data\n\n", b"note\n"])
def test_a_stream_that_says_it_is_one_may_begin_with_any_line(begin: bytes) -> None:
    """A field that nobody knows is left out. Source: HTML standard, 9.2.6."""
    pieces = [begin, chunk({"content": "a"}), *END]
    for raw in (pieces, [b"".join(pieces)]):
        with ScriptedServer(Reply(raw=raw, content_type="text/event-stream; charset=utf-8")) as server:
            assert server.lm(engine="direct").request(ASKED, {}, RecordingTap()).choices[0].text == "a"
        with ScriptedServer(Reply(raw=raw, content_type="text/plain")) as server, pytest.raises(LMProtocolError):
            server.lm(engine="direct", num_retries=0).request(ASKED, {}, RecordingTap())


def test_every_place_of_one_cut_gives_the_same() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    call = {"index": 0, "id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = b"".join(
        [
            b": hello\r\n\r\n",
            chunk({"role": "assistant", "content": ""}),
            'data: {"choices":[{"index":0,"delta":{"content":"größe 😀"}}]}\n\n'.encode(),
            b'data: {"choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}\r\n\r\n',
            b'data: {"choices":[{"index":0,\ndata: "delta":{"content":"\\ude00"}}]}\n\n',
            chunk({"reasoning": "hm", "tool_calls": [call]}),
            chunk({}, "stop", usage=usage),
            b"data: [DONE]\n\n",
        ]
    )
    from lmstream_sync.lm.direct_body import StreamedBody
    from lmstream_sync.lm.direct_chunks import DirectReader

    def read(pieces: list[bytes]) -> list[Any]:
        source, reader = StreamedBody(), DirectReader()
        found = [delta for piece in pieces for delta in reader.read(source.feed(piece))] + reader.finish()
        assert reader.done and reader.complete
        return found

    whole = read([body])
    assert "".join(delta.content or "" for delta in whole) == "größe 😀😀"
    for at in range(len(body) + 1):
        assert read([body[:at], body[at:]]) == whole, at


def test_raw_chunks_are_made_where_they_are_wanted(tap: RecordingTap) -> None:
    import litellm

    vars(tap)["wants_raw"] = True
    pieces = [chunk({"content": "a\ud83d"}), chunk({"content": "\ude00", "reasoning": "r"})]
    ask([*pieces, *END], tap)
    assert all(type(delta.raw) is litellm.ModelResponseStream for delta in tap.deltas)
    shown = [delta.raw.choices[0].delta for delta in tap.deltas]
    assert "".join(each.content or "" for each in shown) == "a😀"
    assert shown[1].reasoning_content == "r"
    assert tap.deltas[-1].raw.choices[0].finish_reason == "stop"


def test_no_raw_chunk_is_made_where_nobody_wants_it(tap: RecordingTap) -> None:
    ask([chunk({"content": "a"}), *END], tap)
    assert [delta.raw for delta in tap.deltas] == [None] * len(tap.deltas)


def test_a_long_read_is_split_and_lets_others_run(tap: RecordingTap) -> None:
    ask([b"".join([chunk({"content": "x"})] * 500 + END)], tap)
    assert max(map(len, tap.batches)) <= 256 and len(tap.pieces) == 500


# Signs of life.

SAYS_NOTHING = {
    "a comment": b": ping\n\n",
    "an empty event": b"data:\n\n",
    "an event without choices": b'data: {"choices":[]}\n\n',
    "many of them in one read": b'data: {"choices":[]}\n\n' * 300,
    "half a line": b": pi",
}


@pytest.mark.parametrize("heartbeat", SAYS_NOTHING)
def test_whatever_the_provider_sends_keeps_a_call_alive(heartbeat: str, tap: RecordingTap) -> None:
    beats = [SAYS_NOTHING[heartbeat]] * 6  # for longer than `idle`
    raw = [chunk({"content": "a"}), *beats, b"\n\n" + chunk({"content": "b"}), *END]
    with ScriptedServer(Reply(raw=raw, delay=0.15)) as server:
        server.lm(engine="direct", timeout=lms.Timeout(idle=0.5)).request(ASKED, {}, tap)
    assert tap.pieces == ["a", "b"]


def test_silence_ends_it() -> None:
    """After a heartbeat too: what stands still is a server that says nothing any more."""
    raw = [chunk({"content": "a"}), b": ping\n\n", *END]
    with ScriptedServer(Reply(raw=raw, stall_after=2)) as server:
        lm = server.lm(engine="direct", timeout=lms.Timeout(idle=0.2))
        with pytest.raises(lms.StreamTimeout, match="nothing moved"):
            lm.request(ASKED, {}, RecordingTap())


# Connections.


def test_a_thousand_models_leave_one_connection() -> None:
    with ScriptedServer("fine") as server:
        for number in range(100):
            LM("openai/x", engine="direct", api_base=server.url, api_key=f"key-{number}", cache=False)("q")
            server.lm(engine="direct").request(ASKED, {}, RecordingTap())
        gc.collect()
        assert server.open_connections == 1


def test_a_thousand_models_leave_no_more_connections_than_there_are_endpoints() -> None:
    with ScriptedServer("a") as one, ScriptedServer("b") as two, ScriptedServer("c") as three:
        servers = {"a": one, "b": two, "c": three}
        for number in range(334):
            for text, server in servers.items():
                lm = server.lm(engine="direct", api_key=f"key-{number}", temperature=number / 1_000)
                assert lm("q") == [text]
        assert [server.open_connections for server in servers.values()] == [1, 1, 1]
        assert len({request.headers["authorization"] for request in one.requests}) == 334


def test_a_connection_that_was_left_is_closed_and_one_read_to_the_end_is_kept() -> None:
    with ScriptedServer(Reply("a b c d", stall_after=2)) as server:
        stream = lms.stream(server.lm(engine="direct"), "q")
        assert next(stream)
        server.wait_for_stall()
        stream.close()
        server.wait_for_reader_left()
        assert server.open_connections == 0
        server.replies = "fine"
        server.lm(engine="direct").request(ASKED, {}, RecordingTap())
        assert server.open_connections == 1


def test_leaving_needs_no_collector() -> None:
    gate = Gate()
    with ScriptedServer(Reply("a b c d", pauses={2: gate})) as server:
        gc.disable()
        try:
            for _ in lms.stream(server.lm(engine="direct"), "q"):
                gate.wait()
                break
            server.wait_for_reader_left()
        finally:
            gc.enable()


def test_what_follows_the_end_is_not_waited_for() -> None:
    """A server that says `[DONE]` and keeps the response open."""
    with ScriptedServer(Reply(raw=[chunk({"content": "a"}), *END], stall_after=3)) as server:
        assert server.lm(engine="direct").request(ASKED, {}, RecordingTap()).choices[0].text == "a"


# Servers that are no model's.


class Handler(BaseHTTPRequestHandler):
    """Answers by the function that its server was given."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status, headers, body = self.server.answer(self)  # type: ignore[attr-defined]
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Nothing is logged."""


FINE = json.dumps({"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}]}).encode()
Answer = Callable[[Handler], tuple[int, dict[str, str], bytes]]


@contextmanager
def answering(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server; gives its address without a path."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    server.answer = answer  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http{'s' if tls is not None else ''}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def direct(base: str, **options: Any) -> LM:
    return LM("openai/m", engine="direct", api_base=base, cache=False, num_retries=0, **options)


def test_a_version_is_added_where_there_is_nothing_without_and_remembered() -> None:
    asked: list[str] = []

    def answer(request: Handler) -> tuple[int, dict[str, str], bytes]:
        asked.append(request.path)
        return (200, {}, FINE) if request.path == "/v1/chat/completions" else (404, {}, b"no such page")

    with answering(answer) as base:
        for given in (base, base + "/"):
            assert direct(given)("q") == direct(given)("q") == ["fine"]
        with pytest.raises(BadRequestError, match="no such page"):
            direct(base + "/other")("q")
    tried = ["/chat/completions", "/v1/chat/completions", "/v1/chat/completions"]
    assert asked == [*tried, *tried, "/other/chat/completions", "/other/v1/chat/completions"]


def test_an_address_is_used_as_it_stands_first() -> None:
    asked: list[str] = []

    def answer(request: Handler) -> tuple[int, dict[str, str], bytes]:
        asked.append(request.path)
        return 200, {}, FINE

    with answering(answer) as base:
        for given in (base, base + "/v1", base + "/v1/", base + "/v1/chat/completions", base + "/v1?api-version=7"):
            assert direct(given)("q") == ["fine"]
    v1 = "/v1/chat/completions"
    assert asked == ["/chat/completions", v1, v1, v1, v1 + "?api-version=7"]


def test_a_redirect_takes_no_key_to_another_host() -> None:
    keys: list[tuple[str, str | None]] = []

    def answer(request: Handler) -> tuple[int, dict[str, str], bytes]:
        keys.append((request.path, request.headers["Authorization"]))
        if request.path == "/here/chat/completions":
            return 307, {"Location": "/there/chat/completions"}, b""
        if request.path == "/away/chat/completions":
            return 308, {"Location": f"http://localhost:{request.server.server_port}/lost"}, b""  # type: ignore[attr-defined]
        return 200, {}, FINE

    with answering(answer) as base:
        assert direct(base + "/here", api_key="k")("q") == ["fine"]
        with pytest.raises(BadRequestError, match="api_base"):
            direct(base + "/away", api_key="k")("q")
    assert [path for path, _ in keys] == ["/here/chat/completions", "/there/chat/completions", "/away/chat/completions"]


def test_the_environments_proxy_is_used_and_bypassed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, str | None]] = []

    def proxy(request: Handler) -> tuple[int, dict[str, str], bytes]:
        seen.append((request.path, request.headers["Proxy-Authorization"]))
        return 200, {}, FINE

    with answering(proxy) as base:
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "other.invalid")
        monkeypatch.setenv("http_proxy", base.replace("://", "://me:pw@"))
        assert direct("http://model.invalid/v1")("q") == ["fine"]
        with pytest.raises(LMConnectionError):
            direct("http://other.invalid/v1")("q")
    assert seen == [("http://model.invalid/v1/chat/completions", "Basic bWU6cHc=")]


@pytest.mark.parametrize("status", [418, 500])
def test_a_page_of_html_is_not_repeated(status: int) -> None:
    with (
        answering(lambda _: (status, {}, b"<html><body>" + b"x" * 9_999)) as base,
        pytest.raises(LMError, match="a page of HTML") as caught,
    ):
        direct(base + "/v1")("q")
    assert caught.value.status_code == status and len(str(caught.value)) < 200


def test_the_certificates_of_the_environment_are_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """A server that speaks no TLS is one that could not be reached; a bundle that is none is named."""
    with answering(lambda _: (200, {}, FINE)) as base:
        with pytest.raises(LMConnectionError):
            direct(base.replace("http", "https") + "/v1")("q")
        empty = tmp_path / "none.pem"
        empty.write_text("")
        for wrong in (empty, tmp_path / "nowhere.pem"):
            monkeypatch.setenv("SSL_CERT_FILE", str(wrong))
            with pytest.raises(lms.ConfigurationError, match=f"SSL_CERT_FILE={wrong}"):
                direct(base.replace("http", "https") + "/v1")("q")


needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")


def certified(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """What a server needs to be `127.0.0.1`, with a new certificate in this file, which nobody is told of yet."""
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    key = certificate.with_name("key.pem")
    made = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout {key} -out {certificate}"
    subprocess.run([*made.split(), "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@needs_openssl
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_server_with_a_certificate_of_ones_own_is_trusted_where_the_environment_says_so(
    variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate = tmp_path / f"{variable}.pem"
    with answering(lambda _: (200, {}, FINE), certified(certificate, monkeypatch)) as base:
        with pytest.raises(LMConnectionError, match="certificate"):
            direct(base + "/v1")("q")
        monkeypatch.setenv(variable, str(certificate))
        assert direct(base + "/v1")("q") == ["fine"]


@needs_openssl
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxy_of_the_environment_opens_a_tunnel_and_is_told_who_asks(
    variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    heads: list[bytes] = []
    sent: list[Any] = []

    def answer(request: Handler) -> tuple[int, dict[str, str], bytes]:
        sent.append(request.headers)
        return 200, {}, FINE

    def relay(source: socket.socket, to: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                to.sendall(data)

    def proxy(connection: socket.socket) -> None:
        heads.append(read_request(connection))
        host, port = heads[-1].split()[1].decode().split(":")
        with socket.create_connection((host, int(port))) as there:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            threading.Thread(target=relay, args=(there, connection), daemon=True).start()
            relay(connection, there)

    tls = certified(tmp_path / "behind.pem", monkeypatch)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "behind.pem"))
    for name in ("NO_PROXY", "no_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with answering(answer, tls) as base, speaking(proxy) as place:
        monkeypatch.setenv(variable, f"http://me:p%40w@{place}")
        assert direct(base + "/v1", api_key="the-key")("q") == ["fine"]
    assert len(heads) == 1 and heads[0].startswith(b"CONNECT 127.0.0.1:")
    assert b"Proxy-Authorization: Basic bWU6cEB3" in heads[0] and b"the-key" not in heads[0]
    assert sent[0]["Authorization"] == "Bearer the-key" and sent[0]["Proxy-Authorization"] is None


@pytest.mark.parametrize("safe", [False, pytest.param(True, marks=needs_openssl)])
def test_a_connection_that_is_kept_keeps_nothing_of_the_call_that_opened_it(
    safe: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Held:
        pass

    variable: ContextVar[Held] = ContextVar("variable")
    ports: list[int] = []
    begun, over = threading.Event(), threading.Event()

    def answer(request: Handler) -> tuple[int, dict[str, str], bytes]:
        ports.append(request.client_address[1])
        if len(ports) == 2:
            begun.set()
            over.wait(SOON)
        return 200, {}, FINE

    tls = None
    if safe:
        tls = certified(tmp_path / "kept.pem", monkeypatch)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "kept.pem"))
    with answering(answer, tls) as base:
        # asyncio keeps a timer that was cancelled, that of the connecting, until its time.
        lm = direct(base + "/v1", timeout=lms.Timeout(connect=1))
        lm("q")  # aiohttp keeps what the first to give a connection back made: the timer of its pool
        other = in_thread(lambda: lm("q"))  # takes the connection that there is
        assert begun.wait(SOON)
        held, context = Held(), copy_context()
        still = weakref.ref(held)
        context.run(variable.set, held)
        assert context.run(lm, "q") == ["fine"]
        del held, context
        over.set()
        assert other() == ["fine"]
        until = time.monotonic() + SOON
        while still() is not None and time.monotonic() < until:
            let_the_loop_settle()
            gc.collect()
        assert still() is None
        assert lm("q") == ["fine"]
    assert len(ports) == 4 and len(set(ports)) == 2


# Secrets.


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=401, body={"error": {"message": f"bad {KEY}"}}),
        Reply("a b", malformed_after=0),
        Reply("a b", error_after=1, body={"error": {"message": f"bad {KEY}"}}),
        Reply(raw=[f'{{"detail": "{KEY} HEADER-SECRET"}}'.encode()]),
        Reply(raw=[f"data: {{{KEY}\n\n".encode()]),
    ],
)
def test_no_error_shows_a_key(reply: Reply, streamed: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with ScriptedServer(reply) as server:
        base = server.url.replace("://", "://me:hunter22@") + f"?key={KEY}"
        lm = direct(base, api_key=KEY, extra_headers={"X-Api-Key": "HEADER-SECRET"})
        with pytest.raises(LMError) as caught:
            lm.request(ASKED, {}, RecordingTap() if streamed else None)
    shown = everything_shown(caught.value) + caplog.text + repr(list(lm.history))
    for secret in (KEY, "hunter22", "HEADER-SECRET"):
        assert secret not in shown
    assert caught.value.__context__ is None


def test_an_error_of_the_connection_shows_none_either() -> None:
    password = "pass" + "word22"  # in parts: a traceback shows the lines of this file too
    lm = direct(f"http://me:{password}@127.0.0.1:9/v1?key={KEY}", api_key=KEY)
    with pytest.raises(LMConnectionError) as caught:
        lm("q")
    shown = everything_shown(caught.value)
    assert KEY not in shown and password not in shown


# What is imported, and where.

FIRST_USE = """
import sys, threading, importlib.abc
import lmstream_sync as lms
from lmstream_sync.lm import LM
heavy = ("litellm", "aiohttp", "pydantic")
program = lms.Predict("q -> answer")
made = lms.LM("openai/gpt-4o-mini", api_base=sys.argv[1], api_key="k", cache=False)
assert made.engine == "direct"
print([name for name in heavy if name in sys.modules])
on_loop = []
class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread().name == "lmstream-loop": on_loop.append(name)
sys.meta_path.insert(0, Watch())
reply = made.request([{"role": "user", "content": "q"}], {})
print([name for name in heavy if name in sys.modules], on_loop)
print(reply.cost > 0, "litellm" in sys.modules, on_loop)
"""


def test_only_the_first_request_imports_and_nothing_on_the_loop() -> None:
    usage = {"prompt_tokens": 1_000, "completion_tokens": 1_000, "total_tokens": 2_000}
    with ScriptedServer(Reply("fine", usage=usage)) as server:
        done = subprocess.run(
            [sys.executable, "-c", FIRST_USE, server.url], capture_output=True, text=True, timeout=50, check=False
        )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["[]", "['aiohttp'] []", "True True []"]


RAW_USE = """
import sys, threading, importlib.abc
import lmstream_sync as lms
lm = lms.LM("openai/m", api_base=sys.argv[1], api_key="k", cache=False)
lm("q")
on_loop, raw = [], []
class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread().name == "lmstream-loop": on_loop.append(name)
sys.meta_path.insert(0, Watch())
class Tap:
    wants_raw = True
    async def feed(self, deltas): raw.extend(delta.raw for delta in deltas)
    async def end(self, reply): pass
assert "litellm" not in sys.modules
lm.request([{"role": "user", "content": "q"}], {}, Tap())
print({type(each).__name__ for each in raw}, on_loop)
"""


def test_raw_chunks_import_litellm_and_not_on_the_loop() -> None:
    with ScriptedServer(Reply("a b", reasoning="c", tool_calls=[{"name": "f", "arguments": {}}])) as server:
        done = subprocess.run(
            [sys.executable, "-c", RAW_USE, server.url], capture_output=True, text=True, timeout=50, check=False
        )
    assert (done.stdout, done.stderr) == ("{'ModelResponseStream'} []\n", "")


def test_price_is_looked_up_when_somebody_asks_and_never_on_the_loop() -> None:
    usage = {"prompt_tokens": 1_000, "completion_tokens": 1_000, "total_tokens": 2_000}
    with ScriptedServer(Reply("fine", usage=usage)) as server:
        lm = LM("openai/gpt-4o-mini", engine="direct", api_base=server.url, cache=False)
        reply = lm.request(ASKED, {}, RecordingTap())

    async def on_the_loop() -> float | None:
        return reply.cost

    assert crossing.run(on_the_loop, instead="") is None
    assert reply.cost is not None and reply.cost > 0


def test_any_number_of_requests_at_once() -> None:
    with ScriptedServer("fine") as server:
        lm = server.lm(engine="direct")

        async def many() -> list[list[str]]:
            return await asyncio.gather(*(lm.acall("q") for _ in range(200)))

        assert asyncio.run(many()) == [["fine"]] * 200


def test_a_reader_who_was_slow_gets_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiohttp stops reading where nobody takes what it read, and reads on afterwards."""
    paused, resumed = threading.Event(), threading.Event()
    pause, resume = direct_http.ResponseHandler.pause_reading, direct_http.ResponseHandler.resume_reading

    def pausing(self: Any, *args: Any) -> None:
        pause(self, *args)
        paused.set()

    def resuming(self: Any, *args: Any) -> None:
        resume(self, *args)
        resumed.set()

    monkeypatch.setattr(direct_http.ResponseHandler, "pause_reading", pausing)
    monkeypatch.setattr(direct_http.ResponseHandler, "resume_reading", resuming)
    words = [f"{number:07d} " * 2_000 for number in range(500)]  # 8 MB
    with ScriptedServer(Reply(raw=[*(chunk({"content": each}) for each in words), *END])) as server:
        lm = server.lm(engine="direct")
        with lms.context(queue_size=4), lms.stream(lm, "q") as stream:
            first = next(iter(stream))
            assert paused.wait(SOON)
            resumed.clear()
            got = first.chunk + "".join(event.chunk for event in stream if isinstance(event, lms.StreamResponse))
    assert resumed.is_set() and got == "".join(words)


def test_where_nothing_was_paused_nothing_is_asked_to_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bool] = []
    whole = direct_http.ResponseHandler.resume_reading

    def counted(self: Any, *args: Any) -> None:
        calls.append(self._reading_paused)
        whole(self, *args)

    monkeypatch.setattr(direct_http.ResponseHandler, "resume_reading", counted)
    with ScriptedServer(Reply(pieces=[f"w{number} " for number in range(50)])) as server:
        server.lm(engine="direct")("q")
        "".join(lms.stream(server.lm(engine="direct"), "q").text("text"))
    assert not calls or all(calls)
