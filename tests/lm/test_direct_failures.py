"""What keeps the direct engine from a reply, and the words that say what to look at."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

import lmstream_sync as lms
from lmstream_sync.errors import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    LMConnectionError,
    LMProtocolError,
    RateLimitError,
    ServerError,
)
from lmstream_sync.lm import LM, direct_failures
from lmstream_sync.testing import Reply, ScriptedServer
from tests.lm.conftest import RecordingTap
from tests.lm.raw_server import HEAD, chunked, read_request, speaking
from tests.lm.test_secrets import everything_shown
from tests.runtime.programs import SOON

ASKED = [{"role": "user", "content": "q"}]
PIECE = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
DEEP = b"[" * 100_000 + b"]" * 100_000


def direct(base: str, **options: object) -> LM:
    return LM("openai/m", engine="direct", api_base=base, cache=False, **{"num_retries": 0, **options})  # type: ignore[arg-type]


def saying(data: bytes) -> Callable[[socket.socket], None]:
    def speak(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(data)

    return speak


def whole(body: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers, b"", body])


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nfoo bar\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"nonsense\r\n\r\n",
        HEAD + b"zz\r\n",
        whole(b"abcd", b"Content-Encoding: gzip"),
        whole(b"abcd", b"Content-Encoding: br"),
        whole(DEEP),
        whole(b'data: {"choices":' + DEEP + b"}\n\n", b"Content-Type: text/event-stream"),
    ],
    ids=["header", "length", "status line", "chunk size", "gzip", "br", "deep", "deep event"],
)
def test_what_is_no_reply_is_said_to_be_none(data: bytes, streamed: bool) -> None:
    with speaking(saying(data)) as place, pytest.raises(LMProtocolError, match="not what it says it is"):
        direct(f"http://{place}/v1").request(ASKED, {}, RecordingTap() if streamed else None)


def test_a_chunk_that_is_none_in_the_midst_of_a_reply_is_not_waited_for(tap: RecordingTap) -> None:
    def speak(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(HEAD + chunked(PIECE))
        assert tap.fed.wait(SOON)
        connection.sendall(b"zz\r\n")
        read_request(connection)

    with speaking(speak) as place, pytest.raises(LMProtocolError):
        direct(f"http://{place}/v1", timeout=SOON).request(ASKED, {}, tap)
    assert tap.pieces == ["a"]


def test_a_refusal_that_is_nested_too_deep_is_a_refusal() -> None:
    with speaking(saying(whole(DEEP).replace(b"200 OK", b"500 No"))) as place, pytest.raises(ServerError):
        direct(f"http://{place}/v1")("q")


@pytest.mark.parametrize("streamed", [True, False])
def test_a_refusal_whose_body_does_not_end_is_known_by_its_status(
    streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct_failures, "REFUSAL_SECONDS", 0.2)
    over = threading.Event()

    def speak(connection: socket.socket) -> None:
        read_request(connection)
        head = b"HTTP/1.1 429 No\r\nContent-Type: text/plain\r\nRetry-After: 7\r\nContent-Length: 99\r\n\r\n"
        connection.sendall(head + b"too many")
        over.wait(SOON)

    with speaking(speak) as place:
        with pytest.raises(RateLimitError, match="too many") as caught:
            direct(f"http://{place}/v1", timeout=SOON).request(ASKED, {}, RecordingTap() if streamed else None)
        over.set()
    assert caught.value.retry_after == 7


@pytest.mark.parametrize("location", [b"http://[bad", b"http://127.0.0.1:none/"])
def test_a_redirect_to_what_is_no_address_leads_nowhere(location: bytes) -> None:
    data = b"HTTP/1.1 307 Away\r\nContent-Length: 0\r\nLocation: %b\r\n\r\n" % location
    with speaking(saying(data)) as place, pytest.raises(BadRequestError, match="redirects to another address"):
        direct(f"http://{place}/v1")("q")


# Keys.


def test_white_space_round_a_key_is_no_part_of_it(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is read from a file ends in a line break."""
    with ScriptedServer("fine") as server:
        server.lm(engine=engine, api_key=" the-key\r\n")("q")
        monkeypatch.setenv("OPENAI_API_KEY", "the-key\n")
        if engine == "direct":
            server.lm(engine=engine, api_key=None)("q")
        server.lm(engine=engine, api_key="another")("q", api_key="the-key\n")
        assert {request.headers["authorization"] for request in server.requests} == {"Bearer the-key"}


@pytest.mark.parametrize("key", ["first-line\nsecond-line", "first-line\x7f", "first-line-ü"])
def test_a_key_that_no_header_can_carry_is_refused_at_once(engine: str, key: str) -> None:
    lm = LM("openai/m", engine=engine, api_base="http://127.0.0.1:9/v1")
    with pytest.raises(ConfigurationError, match=r"api_key=\.\.\..*copy it once more"):
        lm("q", api_key=key)
    with pytest.raises(ConfigurationError, match=r"api_key=\.\.\..*copy it once more") as caught:
        LM("openai/m", engine=engine, api_key=key)
    assert "first-line" not in everything_shown(caught.value)


def test_nor_one_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "first-line\nsecond-line")
    with ScriptedServer("fine") as server, pytest.raises(ConfigurationError, match="line break") as caught:
        direct(server.url)("q")
    assert "first-line" not in everything_shown(caught.value)


def test_a_header_that_cannot_be_sent_is_named_and_not_shown() -> None:
    headers = {"X-Key": "first-line\n"}
    with ScriptedServer("fine") as server, pytest.raises(ConfigurationError, match="X-Key") as caught:
        direct(server.url, extra_headers=headers)("q")
    assert "first-line" not in everything_shown(caught.value)


def test_who_gave_no_key_to_litellm_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with ScriptedServer([Reply(status=401, body={"error": {"message": "who are you"}})] * 2) as server:
        lm = LM("openai/m", engine="litellm", api_base=server.url, cache=False)
        for _ in range(2):
            with pytest.raises(AuthenticationError, match="no key was given.*OPENAI_API_KEY.*who are you"):
                lm("q")
        with pytest.raises(AuthenticationError, match="does not accept the key"):
            lm("q", api_key="some-key")


def test_who_gave_no_key_is_told_so() -> None:
    with ScriptedServer(Reply(status=401, body={"error": {"message": "who are you"}})) as server:
        with pytest.raises(AuthenticationError, match="no key was given.*GROQ_API_KEY.*who are you"):
            LM("groq/m", engine="direct", api_base=server.url, cache=False)("q")
        with pytest.raises(AuthenticationError, match="no key was given; give api_key=: who are you"):
            LM("elsewhere/m", engine="direct", api_base=server.url, cache=False)("q")
        for given in (
            {"api_key": "some-key"},
            {"extra_headers": {"api-key": "some-key"}},
            {"extra_query": {"key": "k"}},
        ):
            with pytest.raises(AuthenticationError, match="does not accept the key"):
                LM("groq/m", engine="direct", api_base=server.url, cache=False, **given)("q")


# What is not reached.


def test_an_unreachable_place_is_shown_without_user_password_and_query() -> None:
    user, password, key = "some" + "body", "hunter" + "22", "query" + "-key-1"  # a traceback shows these lines too
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(LMConnectionError, match=f"127.0.0.1:{port}; look at api_base") as caught:
        direct(f"http://{user}:{password}@127.0.0.1:{port}/v1?key={key}")("q")
    shown = everything_shown(caught.value)
    assert not any(each in shown for each in (user, password, key))


def test_a_connection_that_does_not_come_is_said_to_be_so_with_the_limit() -> None:
    """A server that takes the connection and does not answer the greeting of TLS."""
    over = threading.Event()

    def silent(connection: socket.socket) -> None:
        over.wait(SOON)

    with speaking(silent) as place:
        with pytest.raises(LMConnectionError, match=f"no connection to {place} came within 0.2 s"):
            direct(f"https://{place}/v1", timeout=lms.Timeout(connect=0.2))("q")
        over.set()


def test_who_asks_a_plain_server_for_tls_is_told_at_once() -> None:
    greetings: list[bytes] = []

    def plain(connection: socket.socket) -> None:
        greetings.append(connection.recv(9))
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.recv(65536)
        connection.recv(65536)

    with speaking(plain) as place, pytest.raises(LMConnectionError, match=f"{place} does not speak TLS; write http://"):
        direct(f"https://{place}/v1", num_retries=3)("q")
    assert len(greetings) == 1


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Sets one variable of a proxy, and no other."""
    names = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"]

    def say(variable: str, value: str) -> None:
        for name in [*names, *map(str.upper, names)]:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(variable, value)

    return say


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_wants_a_password_is_named(scheme: str, proxied: Callable[[str, str], None]) -> None:
    asked: list[bytes] = []

    def proxy(connection: socket.socket) -> None:
        asked.append(read_request(connection))
        connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    with speaking(proxy) as place:
        proxied(f"{scheme}_proxy", f"http://me:hunter22@{place}")
        with pytest.raises(LMConnectionError, match="HTTPS_PROXY") as caught:
            direct(f"{scheme}://model.invalid/v1", num_retries=3)("q")
    assert caught.value.status_code == 407 and len(asked) == 1
    assert "hunter22" not in everything_shown(caught.value)


def test_a_proxy_that_is_not_there_is_named(proxied: Callable[[str, str], None]) -> None:
    proxied("ALL_PROXY", "http://me:hunter22@127.0.0.1:9")
    with pytest.raises(LMConnectionError, match="the proxy at 127.0.0.1:9 could not be reached; .*ALL_PROXY") as caught:
        direct("https://model.invalid/v1")("q")
    assert "hunter22" not in everything_shown(caught.value)


# What is imported, and where.

ON_THE_LOOP = """
import importlib.abc, ssl, sys, threading
class NoCertificates:
    cafile = capath = None
ssl.get_default_verify_paths = lambda: NoCertificates
import lmstream_sync as lms
on_loop = []
class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread().name == "lmstream-loop": on_loop.append(name)
sys.meta_path.insert(0, Watch())
try:
    lms.LM("openai/m", engine="direct", api_base=sys.argv[1], cache=False, num_retries=0)("q")
except lms.LMError as error:
    print(type(error).__name__)
print("certifi" in sys.modules, on_loop)
"""


@pytest.mark.parametrize("variable", ["no_proxy", "https_proxy"])
def test_nothing_is_imported_on_the_loop_for_tls(variable: str) -> None:
    pytest.importorskip("certifi")

    def proxy(connection: socket.socket) -> None:
        """Then it hangs up: one that opens a tunnel, or one that is greeted as if it spoke TLS."""
        if connection.recv(65536).startswith(b"CONNECT"):
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    with speaking(proxy) as place:
        done = subprocess.run(
            [sys.executable, "-c", ON_THE_LOOP, f"https://{place}/v1" if variable == "no_proxy" else "https://h/v1"],
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
            env={
                "PYTHONPATH": ":".join(sys.path),
                variable: "127.0.0.1" if variable == "no_proxy" else f"http://{place}",
            },
        )
    assert (done.stdout, done.stderr) == ("LMConnectionError\nTrue []\n", "")
