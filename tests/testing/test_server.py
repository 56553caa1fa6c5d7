"""The scripted server speaks the chat-completions wire format and says what it was told to."""

from __future__ import annotations

import http.client
import json
import threading
from typing import Any

import pytest

from lmstream_sync import errors
from lmstream_sync.testing import Reply, ScriptedServer

from .client import Client, ask, deltas, stream

TEXT = "To get to the other side."


def test_a_whole_reply_is_a_chat_completion() -> None:
    with ScriptedServer(TEXT) as server:
        reply = ask(server, model="some-model")
    assert reply["object"] == "chat.completion"
    assert reply["model"] == "some-model"
    (choice,) = reply["choices"]
    assert choice["message"] == {"role": "assistant", "content": TEXT}
    assert choice["finish_reason"] == "stop"
    assert reply["usage"] == {"prompt_tokens": 3, "completion_tokens": 6, "total_tokens": 9}


def test_a_streamed_reply_is_its_pieces_then_a_finish_reason_then_done() -> None:
    with ScriptedServer(TEXT) as server, Client(server, stream=True) as client:
        assert client.response.headers.get_content_type() == "text/event-stream"
        body = client.read().decode()
    assert body.endswith("\n\ndata: [DONE]\n\n")
    chunks = [json.loads(event.removeprefix("data: ")) for event in body.split("\n\n")[:-2]]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert deltas(chunks) == ["To", " get", " to", " the", " other", " side."]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * 7 + ["stop"]
    assert not any("usage" in chunk for chunk in chunks)


@pytest.mark.parametrize("text", ["", " ", "one", "  a  b \n\n c\n", "x\u2028y\r\nz 🐔"])
@pytest.mark.parametrize("cut", [None, 1, 2, 100])
def test_the_pieces_joined_are_the_text(text: str, cut: int | None) -> None:
    with ScriptedServer(Reply(text, cut=cut)) as server:
        assert "".join(deltas(stream(server))) == text
        assert ask(server)["choices"][0]["message"]["content"] == text


def test_pieces_are_cut_where_the_test_wants_it() -> None:
    pieces = ["[[ ## ans", "wer ##", "", " ]]\nyes"]
    with ScriptedServer(Reply(pieces=pieces)) as server:
        assert deltas(stream(server)) == pieces
        assert ask(server)["choices"][0]["message"]["content"] == "".join(pieces)
    with ScriptedServer(Reply("abcdef", cut=4)) as server:
        assert deltas(stream(server)) == ["abcd", "ef"]


def test_halves_of_a_surrogate_pair_come_in_two_pieces() -> None:
    with ScriptedServer(Reply(pieces=["a\ud83d", "\udc14b"])) as server:
        assert deltas(stream(server)) == ["a\ud83d", "\udc14b"]


def test_usage_comes_in_a_chunk_of_its_own_when_asked_for() -> None:
    with ScriptedServer(TEXT) as server:
        chunks = stream(server, stream_options={"include_usage": True})
        assert chunks[-1]["choices"] == []
        assert chunks[-1]["usage"] == {"prompt_tokens": 3, "completion_tokens": 6, "total_tokens": 9}
        assert all(chunk["usage"] is None for chunk in chunks[:-1])
        server.replies = Reply(TEXT, usage={"total_tokens": 1})
        assert stream(server, stream_options={"include_usage": True})[-1]["usage"] == {"total_tokens": 1}
        server.replies = Reply(TEXT, usage=False)
        assert not any("usage" in chunk for chunk in stream(server, stream_options={"include_usage": True}))
        assert "usage" not in ask(server)


def test_n_choices_take_turns() -> None:
    with ScriptedServer(Reply("a b", alternatives=["c d e"])) as server:
        chunks = stream(server, n=3)
        assert [deltas(chunks, choice=choice) for choice in range(3)] == [
            ["a", " b"],
            ["c", " d", " e"],
            ["c", " d", " e"],
        ]
        assert [choice["message"]["content"] for choice in ask(server, n=2)["choices"]] == ["a b", "c d e"]


def test_reasoning_comes_ahead_of_the_text() -> None:
    with ScriptedServer(Reply("yes", reasoning="Let me see.")) as server:
        chunks = stream(server)
        assert deltas(chunks, "reasoning_content") == ["Let", " me", " see."]
        assert "reasoning_content" in chunks[1]["choices"][0]["delta"]
        whole = ask(server)
    assert whole["choices"][0]["message"]["reasoning_content"] == "Let me see."
    assert whole["usage"]["completion_tokens_details"] == {"reasoning_tokens": 3}


def test_a_refusal_comes_in_its_own_field() -> None:
    with ScriptedServer(Reply(refusal="I will not.")) as server:
        assert "".join(deltas(stream(server), "refusal")) == "I will not."
        assert ask(server)["choices"][0]["message"]["refusal"] == "I will not."


def test_tool_calls_come_whole_or_with_their_arguments_in_pieces() -> None:
    call = {"name": "weather", "arguments": {"city": "Ulm"}}
    with ScriptedServer(Reply(tool_calls=[call, call], cut=5)) as server:
        choice = ask(server)["choices"][0]
        chunks = stream(server)
    assert choice["finish_reason"] == "tool_calls" == chunks[-1]["choices"][0]["finish_reason"]
    assert [each["id"] for each in choice["message"]["tool_calls"]] == ["call_0", "call_1"]
    assert json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"]) == {"city": "Ulm"}
    fragments: list[Any] = [part for parts in deltas(chunks, "tool_calls") for part in parts]
    first = [part for part in fragments if part["index"] == 0]
    assert first[0]["id"] == "call_0" and first[0]["function"] == {"name": "weather", "arguments": ""}
    assert json.loads("".join(part["function"]["arguments"] for part in first)) == {"city": "Ulm"}


def test_a_list_is_said_in_order_and_its_last_repeats() -> None:
    with ScriptedServer(["one", Reply("two")]) as server:
        assert ["".join(deltas(stream(server))) for _ in range(3)] == ["one", "two", "two"]


def test_a_dict_goes_by_the_last_user_message() -> None:
    with ScriptedServer({"chicken": "side", "egg": "shell", "": "whatever"}) as server:

        def said(*contents: Any) -> str:
            messages = [{"role": "user", "content": content} for content in contents]
            return str(ask(server, messages=messages)["choices"][0]["message"]["content"])

        assert said("the egg") == "shell"
        assert said("the egg", "and the chicken") == "side"
        assert said([{"type": "text", "text": "an egg"}, {"type": "image_url", "image_url": {"url": "x"}}]) == "shell"
        assert said("else") == "whatever"


def test_a_function_sees_the_request() -> None:
    with ScriptedServer(lambda body: f"at {body['temperature']}") as server:
        assert ask(server, temperature=0.5)["choices"][0]["message"]["content"] == "at 0.5"


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ({"egg": "shell"}, "no scripted reply fits the prompt 'How are you?'"),
        ([], "no reply was scripted"),
        (lambda body: body["nothing"], "KeyError: 'nothing'"),
        (lambda body: 42, "a reply is a string or a Reply, not 42"),
    ],
)
def test_what_the_script_does_not_foresee_is_a_refusal_that_says_so(script: Any, says: str) -> None:
    with ScriptedServer(script) as server, Client(server) as client:
        assert client.response.status == 400
        assert says in client.json()["error"]["message"]


def test_the_script_can_be_replaced_at_any_time() -> None:
    with ScriptedServer("one") as server:
        ask(server)
        server.replies = "two"
        assert server.replies == "two"
        assert ask(server)["choices"][0]["message"]["content"] == "two"


def test_requests_are_recorded_as_they_came() -> None:
    with ScriptedServer(TEXT) as server:
        with Client(server, headers={"X-Trace": "7"}, temperature=0.5) as client:
            client.read()
        stream(server, messages=[{"role": "system", "content": "s"}])
        first, second = server.requests
        assert server.request_count == 2
        assert server.wait_for_request(2) == second
    assert first.body["temperature"] == 0.5
    assert first.headers["x-trace"] == "7"
    assert first.path == "/v1/chat/completions"
    assert (first.prompt, first.stream) == ("How are you?", False)
    assert (second.prompt, second.stream) == ("", True)


def test_a_prompt_of_many_megabytes_is_taken() -> None:
    with ScriptedServer(TEXT) as server:
        long = "x" * 5_000_000
        ask(server, messages=[{"role": "user", "content": long}])
        assert server.requests[0].prompt == long


def test_the_version_in_the_path_may_be_left_out() -> None:
    with ScriptedServer(TEXT) as server, Client(server, path="/chat/completions") as client:
        assert client.json()["choices"][0]["message"]["content"] == TEXT


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/models", None, 200),
        ("GET", "/v1/nothing", None, 404),
        ("GET", "/v1/chat/completions", None, 404),
        ("POST", "/v1/chat/completions", "{", 400),
        ("POST", "/v1/chat/completions", "[]", 400),
        ("POST", "/v1/chat/completions", '{"model": "m"}', 400),
    ],
)
def test_other_requests_are_answered_as_a_provider_does(method: str, path: str, body: str | None, status: int) -> None:
    with ScriptedServer(TEXT) as server:
        connection = http.client.HTTPConnection(server.url.split("/")[2], timeout=5)
        connection.request(method, path, body)
        response = connection.getresponse()
        assert response.status == status
        assert json.loads(response.read())
        connection.close()
        assert server.request_count == 0


@pytest.mark.parametrize("path", ["/v1/messages", "/v1beta/models/m:streamGenerateContent?alt=sse", "/api/chat"])
def test_raw_bytes_and_refusals_stand_in_for_another_provider(path: str) -> None:
    raw = [b'{"message":{"content":"hel', b'lo"}}\n']
    refusal = Reply(status=529, body={"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    with ScriptedServer([Reply(raw=raw, content_type="application/x-ndjson"), refusal]) as server:
        with Client(server, path=path, stream=True) as client:
            assert client.response.getheader("Content-Type") == "application/x-ndjson"
            assert client.response.read() == b"".join(raw)
        with Client(server, path=path, stream=True) as client:
            assert client.response.status == 529 and client.json() == refusal.body
        assert [request.path for request in server.requests] == [path.partition("?")[0]] * 2


def test_another_providers_route_is_unknown_where_no_raw_reply_is_scripted() -> None:
    for replies in (TEXT, [TEXT, Reply(raw=[b""])], lambda _: TEXT):
        with ScriptedServer(replies) as server, Client(server, path="/v1/messages") as client:
            assert client.response.status == 404 and "/v1/messages" in client.json()["error"]["message"]


@pytest.mark.parametrize("header", ["Authorization", "x-api-key", "x-goog-api-key"])
def test_a_key_is_found_where_each_provider_wants_it(header: str) -> None:
    with ScriptedServer(TEXT, api_key="right") as server:
        for key, status in (("right", 200), ("wrong", 401)):
            with Client(server, headers={header: f"Bearer {key}" if header == "Authorization" else key}) as client:
                assert client.response.status == status


def test_another_key_is_refused_and_echoed_as_providers_do() -> None:
    with ScriptedServer(TEXT, api_key="sk-right") as server:
        with Client(server, headers={"Authorization": "Bearer sk-wrong"}) as client:
            assert client.response.status == 401
            assert "sk-wrong" in client.json()["error"]["message"]
        with Client(server, headers={"Authorization": "Bearer sk-right"}) as client:
            assert client.response.status == 200


def test_streams_at_once_do_not_mix() -> None:
    with ScriptedServer(lambda body: Reply(body["messages"][-1]["content"] * 20, cut=3, delay=0.001)) as server:
        said: dict[str, str] = {}

        def read(word: str) -> None:
            said[word] = "".join(deltas(stream(server, messages=[{"role": "user", "content": word}])))

        threads = [threading.Thread(target=read, args=(f"{number} ",)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert said == {word: word * 20 for word in said} and len(said) == 20
        assert server.request_count == 20


def test_a_server_that_was_stopped_leaves_no_thread_and_no_port_behind() -> None:
    server = ScriptedServer(TEXT)
    with pytest.raises(errors.ConfigurationError, match="not started"):
        _ = server.url
    with server:
        ask(server)
        port = int(server.url.split(":")[2].split("/")[0])
        assert any(thread.name == "lmstream-scripted-server" for thread in threading.enumerate())
        with pytest.raises(OSError), ScriptedServer(TEXT, port=port):
            pass
    assert not any(thread.name == "lmstream-scripted-server" for thread in threading.enumerate())
    assert server.request_count == 1
    server.stop()
    with pytest.raises(errors.ConfigurationError, match="make a new one"):
        server.start()
    with ScriptedServer("again", port=port) as other:
        assert ask(other)["choices"][0]["message"]["content"] == "again"


@pytest.mark.parametrize("wrong", [{"cut": 0}, {"status": 99}, {"text": "a", "pieces": ["b"]}])
def test_a_reply_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(errors.ConfigurationError):
        Reply(**wrong)


def test_a_script_that_is_none_is_refused() -> None:
    with pytest.raises(errors.ConfigurationError, match="no script"):
        ScriptedServer(42)  # type: ignore[arg-type]


def test_an_lm_of_the_server_asks_it() -> None:
    with ScriptedServer(TEXT) as server:
        assert server.lm()("Why?") == [TEXT]
        assert server.lm(temperature=0.5)("Why?") == [TEXT]
        assert server.requests[1].body["temperature"] == 0.5
        assert server.requests[1].prompt == "Why?"
