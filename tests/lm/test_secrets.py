"""Keys: known by name, found in texts, shown to nobody."""

from __future__ import annotations

import copy
import json
import logging
import socket
import traceback
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from lmstream_sync.callbacks import BaseCallback
from lmstream_sync.errors import AuthenticationError, LMConnectionError, LMError, LMStreamError
from lmstream_sync.lm import LM
from lmstream_sync.lm.cache import cache_key
from lmstream_sync.lm.failures import translated
from lmstream_sync.lm.secrets import Secret, hide, is_secret_name, known_secrets, public, reveal, scrub
from lmstream_sync.lm.state import dump_lm
from lmstream_sync.testing import Reply, ScriptedServer
from tests.lm.raw_server import read_request, speaking

KEY = "sk-very-secret-0123456789"


@pytest.mark.parametrize(
    "name",
    ["api_key", "API_KEY", "x-api-key", "OPENAI_API_KEY", "aws_secret_access_key", "aws_session_token", "Authorization"]
    + ["azure_ad_token", "token", "password", "vertex_credentials", "hf_token", "Cookie", "client_secret"],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["max_tokens", "max_completion_tokens", "temperature", "api_base", "model", "prompt_cache_key", "logit_bias"],
)
def test_names_of_other_things(name: str) -> None:
    assert not is_secret_name(name)


def test_a_secret_shows_itself_to_nobody() -> None:
    secret = Secret(KEY)
    assert KEY not in f"{secret} {secret!r} {[secret]} {secret:>10} {secret!s}"
    assert secret.reveal() == KEY
    assert copy.deepcopy(secret) == secret


def test_options_are_hidden_at_any_depth_and_come_back_whole() -> None:
    options = {"api_key": KEY, "top_p": 1, "extra_headers": {"Authorization": f"Bearer {KEY}", "X-Team": "a"}}
    hidden = hide(options)
    assert KEY not in repr(hidden)
    assert public(hidden) == {"top_p": 1, "extra_headers": {"X-Team": "a"}}
    assert reveal(hidden) == options


def test_and_in_lists_of_options() -> None:
    models = [{"model": "openai/b", "api_key": KEY}, "openai/c", f"https://me:{KEY}@host/v1"]
    options = {"model_list": models, "tools": [{"type": "mcp", "headers": {"Authorization": KEY}}], "stop": ["a"]}
    hidden = hide(options)
    assert KEY not in repr(hidden) and KEY in known_secrets(hidden)
    assert public(hidden) == {
        "model_list": [{"model": "openai/b"}, "openai/c", "https://***@host/v1"],
        "tools": [{"type": "mcp", "headers": {}}],
        "stop": ["a"],
    }
    assert reveal(hidden) == options
    lm = LM("openai/a", tools=options["tools"])
    assert KEY not in repr(lm) and KEY not in repr(lm.kwargs)


@pytest.mark.parametrize(
    "text",
    [
        f"Incorrect API key provided: {KEY}.",
        f"Authorization: Bearer {KEY}",
        f"https://host/v1?key={KEY}&alt=sse",
        f"https://user:{KEY}@host/v1",
    ],
)
def test_a_known_secret_is_taken_out_of_a_text(text: str) -> None:
    assert KEY not in scrub(text, known_secrets(hide({"api_key": KEY})))


@pytest.mark.parametrize(
    "text", ["sk-proj-abc****xyz", "AIzaSyA1234567890", "Bearer abcdef123456", "hf_abcdefgh", "://me:pw123@host"]
)
def test_what_looks_like_a_secret_is_taken_out_too(text: str) -> None:
    assert text not in scrub(f"provider said {text} is wrong", ())


def test_keys_of_the_environment_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_PROVIDER_API_KEY", "environment-value-1")
    assert scrub("you sent environment-value-1", known_secrets({})) == "you sent ***"


PASSWORD = "correct-horse+battery"


@pytest.mark.parametrize("secret", [PASSWORD, "p@ss/w+rd", "größe%20x"])
@pytest.mark.parametrize(
    "address", ["http://me:{}@{}/v1", "http://{}@{}/v1", "http://{1}/v1?api-key={0}", "http://{1}/v1?a=1&auth={0}&b=2"]
)
def test_a_secret_of_an_address_is_shown_in_no_form(address: str, secret: str, engine: str) -> None:
    """A provider, or a proxy before it, that echoes it alone: as it is, and as it stood in the address."""
    written = quote(secret, safe="")
    both = f"no {secret} and no {written} here"
    with ScriptedServer(Reply(status=401, body={"error": {"message": both}})) as server:
        base = address.format(written, server.url.removeprefix("http://").removesuffix("/v1"))
        lm = server.lm(api_base=base, engine=engine, num_retries=0)
        with pytest.raises(LMError) as caught:
            lm("q")
    if engine == "direct":  # litellm sends nothing to an address with a user
        assert "no *** and no *** here" in str(caught.value)
    shown = everything_shown(caught.value) + repr(list(lm.history)) + repr(lm) + repr(lm.kwargs)
    assert secret not in shown and written not in shown


QUERY = {"code": "AZ+FUNC/KEY==", "sig": "signed-by-me", "key": "a-key-1", "JWT": ["one-jwt-1", "two-jwt-2"]}


def test_secrets_of_a_query_are_hidden_by_the_names_of_a_url() -> None:
    options = {"extra_query": {**QUERY, "api-version": "1", "page": 2, "code_names": "c"}, "code": "print(1)"}
    hidden = hide(options)
    assert public(hidden) == {
        "extra_query": {"api-version": "1", "page": 2, "code_names": "c"},
        "code": "print(1)",  # elsewhere than in a query these names mean other things
    }
    assert all(each in known_secrets(hidden) for each in ["AZ+FUNC/KEY==", "signed-by-me", "a-key-1", "two-jwt-2"])
    assert reveal(hidden) == options
    assert hide(hidden) == hidden


@pytest.mark.parametrize("per_request", [False, True])
def test_secrets_of_a_query_are_sent_and_not_shown(per_request: bool, engine: str) -> None:
    echo = "no AZ+FUNC/KEY== and no AZ%2BFUNC%2FKEY%3D%3D, no signed-by-me, a-key-1, one-jwt-1 here"
    body = json.dumps({"error": {"message": echo}}).encode()
    heard: list[bytes] = []

    def refuse(connection: socket.socket) -> None:
        heard.append(read_request(connection))
        head = f"HTTP/1.1 401 No\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        connection.sendall(head.encode() + b"Connection: close\r\n\r\n" + body)

    given: dict[str, Any] = {"extra_query": {**QUERY, "page": "2"}}
    of_lm, of_request = ({}, given) if per_request else (given, {})
    with speaking(refuse) as place:
        lm = LM("openai/m", engine=engine, api_base=f"http://{place}/v1", api_key="k", num_retries=0, **of_lm)
        with pytest.raises(AuthenticationError) as caught:
            lm("q", **of_request)
    assert "no *** and no ***, no ***, ***, *** here" in str(caught.value)
    if engine == "direct":
        sent = parse_qs(urlsplit(heard[0].split()[1].decode()).query)
        assert {name: each if len(each) > 1 else each[0] for name, each in sent.items()} == given["extra_query"]
    else:  # litellm puts the option itself into the body
        assert json.loads(heard[0].partition(b"\r\n\r\n")[2])["extra_query"] == given["extra_query"]
    shown = str(caught.value) + repr(caught.value.__cause__) + repr(list(lm.history))
    shown += repr(lm) + repr(lm.kwargs) + str(dump_lm(lm))
    if not per_request:  # else the caller's own arguments are in a frame
        shown += everything_shown(caught.value)
    assert not any(each in shown for each in ("AZ+FUNC", "AZ%2BFUNC", "signed-by-me", "a-key-1", "one-jwt-1"))
    assert lm.history[-1]["kwargs"]["extra_query"] == {"page": "2"}


def test_callbacks_are_not_told_a_key_of_a_query() -> None:
    told: list[Any] = []

    class Told(BaseCallback):
        def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
            told.append(inputs)

    with ScriptedServer("fine") as server:
        server.lm(callbacks=[Told()], extra_query={**QUERY, "page": "2"})("q")
    assert "'page': '2'" in repr(told)
    assert not any(each in repr(told) for each in ("AZ+FUNC", "signed-by-me", "a-key-1", "one-jwt-1"))


def test_the_header_of_a_password_is_known_too() -> None:
    known = known_secrets(hide({"api_base": "http://me:p%40w@host/v1"}))
    assert scrub("you sent bWU6cEB3", known) == "you sent ***"


def test_the_password_of_a_proxy_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{PASSWORD}@proxy:3128")
    assert scrub(f"no {PASSWORD}", known_secrets({})) == "no ***"


@pytest.mark.parametrize("kind", ["headers", "extra_headers"])
def test_what_a_header_of_ones_own_says_is_not_repeated(kind: str, engine: str) -> None:
    harmless = {"X-Title": "A Title of Mine", "User-Agent": "a-browser/1.0"}
    echo = {"error": {"message": "bad pc-config-123456 of A Title of Mine, a-browser/1.0"}}
    with ScriptedServer(Reply(status=401, body=echo)) as server:
        lm = server.lm(engine=engine, num_retries=0, **{kind: {"X-Portkey-Config": "pc-config-123456", **harmless}})
        with pytest.raises(AuthenticationError, match="bad \\*\\*\\* of A Title of Mine, a-browser/1.0") as caught:
            lm("q")
    assert "pc-config-123456" not in str(caught.value) + repr(caught.value.__cause__)
    assert "A Title of Mine" in repr(lm)


def test_no_key_in_repr_kwargs_and_cache_key() -> None:
    lm = LM("openai/x", api_key=KEY, api_base="https://me:hunter22@host/v1", extra_headers={"Authorization": KEY})
    assert KEY not in f"{lm!r}{lm.kwargs}{vars(lm)}"
    assert "hunter22" not in repr(lm)
    one = cache_key("m", [], hide({"api_key": KEY, "top_p": 1}), None)
    assert one == cache_key("m", [], hide({"api_key": "another", "top_p": 1}), None)


def everything_shown(error: BaseException) -> str:
    """What a debug page prints: the chain, and the locals of every frame in it."""
    shown = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        link = waiting.pop()
        if link is None or link in seen:
            continue
        seen.append(link)
        shown += repr(link) + repr(vars(link))
        for frame, _ in traceback.walk_tb(link.__traceback__):
            if "lmstream_sync" in frame.f_code.co_filename and "testing" not in frame.f_code.co_filename:
                shown += repr(frame.f_locals)
            else:
                assert "site-packages" not in frame.f_code.co_filename or "tenacity" in frame.f_code.co_filename
        waiting += [link.__cause__, link.__context__]
    return shown


@pytest.mark.parametrize("streamed", [True, False])
def test_a_refused_key_is_nowhere_in_the_error(streamed: bool) -> None:
    body = {"error": {"message": f"Incorrect API key provided: {KEY}", "code": "invalid_api_key"}}
    with ScriptedServer(Reply(status=401, body=body)) as server:
        lm = LM("openai/x", api_key=KEY, api_base=server.url, cache=False)
        with pytest.raises(AuthenticationError) as caught:
            lm.request([{"role": "user", "content": "q"}], {}, _Tap() if streamed else None)
        assert caught.value.status_code == 401
        assert caught.value.__cause__ is not None
        assert KEY not in everything_shown(caught.value)
        assert KEY not in repr(list(lm.history))


def test_an_unreachable_server_shows_no_key_either() -> None:
    lm = LM("openai/x", api_key=KEY, api_base=f"http://127.0.0.1:9/v1?key={KEY}", cache=False, num_retries=0)
    with pytest.raises(LMConnectionError) as caught:
        lm("q")
    assert KEY not in everything_shown(caught.value)


def test_a_deadline_has_no_foreign_frames_behind_it() -> None:
    from lmstream_sync.runtime.timeout import Timeout

    with ScriptedServer(Reply("late", stall_after=0)) as server:
        lm = LM("openai/x", api_key=KEY, api_base=server.url, cache=False, timeout=Timeout(first=0.2))
        with pytest.raises(LMStreamError) as caught:
            lm("q")
        assert caught.value.__context__ is None and caught.value.__cause__ is None
        assert KEY not in everything_shown(caught.value)


def test_causes_are_copies_without_traceback_request_and_response() -> None:
    class Foreign(Exception):
        def __init__(self) -> None:
            super().__init__(f"key {KEY}")
            self.request = {"headers": KEY}

    try:
        try:
            raise Foreign
        except Foreign as inner:
            raise ValueError(f"outer {KEY}") from inner
    except ValueError as error:
        ours = translated(error, model="p/m", secrets=[KEY], begun=False)
    cause = ours.__cause__
    assert cause is not None and type(cause).__name__ == "ValueError" and cause.__traceback__ is None
    assert type(cause.__cause__).__name__ == "Foreign" and not hasattr(cause.__cause__, "request")
    assert KEY not in everything_shown(ours)


def test_no_library_logs_a_key_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    echo = {"error": {"message": f"no {KEY} and no HEADER-SECRET"}}
    with ScriptedServer(
        [Reply(raw=[f'{{"detail": "{KEY} HEADER-SECRET"}}'.encode()]), Reply(status=401, body=echo)]
    ) as server:
        lm = server.lm(engine="litellm", api_key=KEY, num_retries=0, extra_headers={"X-Api-Key": "HEADER-SECRET"})
        for _ in range(2):
            with pytest.raises(LMStreamError):
                lm("q")
        for _ in range(2):
            with pytest.raises(LMStreamError):
                lm.request([{"role": "user", "content": "q"}], {}, _Tap())
    assert any(record.name == "openai._base_client" for record in caplog.records)
    assert KEY not in caplog.text and "HEADER-SECRET" not in caplog.text


class _Tap:
    async def feed(self, deltas: object) -> None: ...

    async def end(self, reply: object) -> None: ...
