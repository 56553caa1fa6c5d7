"""Real HTTP through litellm: what comes, what breaks, what is closed."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from lmstream_sync.errors import (
    BadRequestError,
    ContextWindowExceededError,
    LMConnectionError,
    LMError,
    LMInterrupted,
    LMProtocolError,
    RateLimitError,
    ServerError,
    StreamCancelled,
    StreamTimeout,
)
from lmstream_sync.lm import LM
from lmstream_sync.runtime import crossing
from lmstream_sync.runtime.call import cancel, current_call
from lmstream_sync.runtime.timeout import Timeout
from lmstream_sync.testing import Gate, Reply, ScriptedServer
from tests.lm.conftest import RecordingTap

ASKED = [{"role": "user", "content": "q"}]


def sse(*data: str) -> list[bytes]:
    return [f"data: {line}\n\n".encode() for line in data]


def piece(delta: str, finish: str = "null", index: int = 0) -> str:
    return f'{{"id":"c","choices":[{{"index":{index},"delta":{delta},"finish_reason":{finish}}}]}}'


def test_a_reply_comes_in_the_providers_pieces(tap: RecordingTap) -> None:
    with ScriptedServer(Reply(pieces=["he", "llo", " wor", "ld"])) as server:
        reply = server.lm().request(ASKED, {}, tap)
    assert tap.pieces == ["he", "llo", " wor", "ld"]
    assert reply.choices[0].text == "hello world" and reply.choices[0].finish_reason == "stop"
    assert tap.reply is reply


def test_what_one_read_brought_comes_as_one_list(tap: RecordingTap) -> None:
    body = b"".join(sse(*(piece(f'{{"content":"{n}"}}') for n in range(9)), piece("{}", '"stop"'), "[DONE]"))
    with ScriptedServer(Reply(raw=[body])) as server:
        server.lm().request(ASKED, {}, tap)
    assert [len(batch) for batch in tap.batches][0] >= 9


def test_usage_is_asked_for_and_comes(tap: RecordingTap) -> None:
    usage = {
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 2},
    }
    with ScriptedServer(Reply("a b c d", usage=usage)) as server:
        reply = server.lm().request(ASKED, {}, tap)
        assert server.requests[0].body["stream_options"] == {"include_usage": True}
    assert (reply.usage["total_tokens"], reply.usage["cached_tokens"], "estimated" in reply.usage) == (7, 2, False)


def test_an_endpoint_that_refuses_to_report_usage_is_asked_without(tap: RecordingTap) -> None:
    def answer(body: dict[str, Any]) -> Reply:
        if "stream_options" in body:
            return Reply(status=400, body={"error": {"message": "Unrecognized argument: stream_options"}})
        return Reply("fine", usage=False)

    with ScriptedServer(answer) as server:
        lm = server.lm()
        assert lm.request(ASKED, {}, tap).usage["estimated"] is True
        assert len(server.requests) == 2
        lm.request(ASKED, {}, tap)
        assert len(server.requests) == 3


def test_usage_that_nobody_reported_is_an_estimate(tap: RecordingTap) -> None:
    with ScriptedServer(Reply("a b c d", usage=False)) as server:
        assert server.lm().request(ASKED, {}, tap).usage["estimated"] is True


def test_reasoning_tool_calls_and_further_choices_come_whole(tap: RecordingTap) -> None:
    calls = [{"name": "find", "arguments": {"q": "x"}}]
    with ScriptedServer(
        [Reply("text", reasoning="hm hm"), Reply(tool_calls=calls), Reply("a b", alternatives=["c d"])]
    ) as server:
        lm = server.lm()
        assert lm.request(ASKED, {}, tap).choices[0].reasoning == "hm hm"
        assert any(delta.reasoning for delta in tap.deltas)
        choice = lm.request(ASKED, {}, RecordingTap()).choices[0]
        assert choice.tool_calls[0]["function"]["name"] == "find" and choice.finish_reason == "tool_calls"
        both = lm.request(ASKED, {"n": 2}, RecordingTap()).choices
        assert [(choice.text, choice.finish_reason) for choice in both] == [("a b", "stop"), ("c d", "stop")]


def test_halves_of_a_character_are_joined_in_the_raw_chunk_too(tap: RecordingTap) -> None:
    raw = sse(piece('{"content":"a\\ud83d"}'), piece('{"content":"\\ude00b"}'), piece("{}", '"stop"'), "[DONE]")
    with ScriptedServer(Reply(raw=raw)) as server:
        assert server.lm().request(ASKED, {}, tap).choices[0].text == "a😀b"
    assert tap.pieces == ["a", "😀b"]
    assert "".join(delta.raw.choices[0].delta.content or "" for delta in tap.deltas) == "a😀b"


def test_chunks_may_lack_role_index_and_model(tap: RecordingTap) -> None:
    raw = sse('{"choices":[{"delta":{"content":"bare"}}]}', '{"choices":[{"delta":{},"finish_reason":"stop"}]}')
    with ScriptedServer(Reply(raw=raw)) as server:
        assert server.lm().request(ASKED, {}, tap).choices[0].text == "bare"


def test_a_piece_that_repeats_is_no_error(tap: RecordingTap) -> None:
    with ScriptedServer(Reply(pieces=["-----"] * 250)) as server:
        assert server.lm().request(ASKED, {}, tap).choices[0].text == "-----" * 250


def test_a_whole_response_where_a_stream_was_asked_for_is_taken(tap: RecordingTap) -> None:
    with ScriptedServer(Reply("all at once", whole=True)) as server:
        assert server.lm().request(ASKED, {}, tap).choices[0].text == "all at once"
    assert tap.pieces == ["all at once"]


def test_no_key_is_demanded_before_the_provider_does() -> None:
    with ScriptedServer("fine") as server:
        assert LM("openai/x", api_base=server.url, cache=False)("q") == ["fine"]


@pytest.mark.parametrize(
    "ending", [{"finish_reason": None}, {"done": False}, {"finish_reason": None, "done": False}], ids=str
)
def test_an_end_is_believed_where_the_provider_said_it(ending: dict[str, Any], tap: RecordingTap) -> None:
    with ScriptedServer(Reply("a b c", **ending)) as server:
        if len(ending) == 1:
            assert server.lm().request(ASKED, {}, tap).choices[0].text == "a b c"
        else:
            with pytest.raises(LMInterrupted):
                server.lm().request(ASKED, {}, tap)
            assert not any(delta.finish_reason for delta in tap.deltas)
            assert len(server.requests) == 1


def test_a_choice_that_did_not_end_is_a_broken_reply(tap: RecordingTap) -> None:
    raw = sse(piece('{"content":"a"}'), piece('{"content":"x"}', index=1), piece("{}", '"stop"'))
    with ScriptedServer(Reply(raw=raw)) as server, pytest.raises(LMInterrupted):
        server.lm().request(ASKED, {"n": 2}, tap)


FAULTS: list[tuple[Reply, type[LMError], int | None]] = [
    (Reply(status=400), BadRequestError, 400),
    (Reply(status=404), BadRequestError, 404),
    (Reply(status=403), LMError, 403),
    (Reply(status=500), ServerError, 500),
    (Reply(status=503), ServerError, 503),
    (Reply(status=429), RateLimitError, 429),
    (
        Reply(
            status=400, body={"error": {"message": "maximum context length is 5", "code": "context_length_exceeded"}}
        ),
        ContextWindowExceededError,
        400,
    ),
    (Reply("x", drop_after=0), LMConnectionError, None),
    (Reply("a b c", drop_after=2), LMInterrupted, None),
    (Reply("a b c", malformed_after=2), LMProtocolError, None),
    (Reply("a b c", malformed_after=0), LMProtocolError, None),
    (Reply("a b c", error_after=2), LMInterrupted, None),
    (Reply(raw=[b"<html>hello</html>"], content_type="text/html"), LMProtocolError, None),
    (Reply(raw=[b'{"hello": 1}'], content_type="application/json"), LMProtocolError, None),
    (Reply(raw=[b"hello"], content_type="text/plain"), LMProtocolError, None),
    (Reply(raw=sse("[1, 2]", "[DONE]")), LMProtocolError, None),
    (Reply("a b c", error_after=0, body={"error": "overloaded"}), ServerError, 500),
    (Reply(raw=[]), LMInterrupted, None),
]


@pytest.mark.parametrize(("fault", "kind", "status"), FAULTS)
def test_faults_have_names(fault: Reply, kind: type[LMError], status: int | None, tap: RecordingTap) -> None:
    with ScriptedServer(fault) as server, pytest.raises(kind) as caught:
        server.lm(num_retries=0).request(ASKED, {}, tap)
    assert caught.value.model == "openai/scripted" or caught.value.model
    if kind is not LMInterrupted:
        assert caught.value.status_code == status


@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_a_whole_request_fails_by_the_same_names(status: int, tap: RecordingTap) -> None:
    kinds = []
    with ScriptedServer(Reply(status=status)) as server:
        for each in (tap, None):
            with pytest.raises(LMError) as caught:
                server.lm(num_retries=0).request(ASKED, {}, each)
            kinds.append((type(caught.value), caught.value.status_code))
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Reply("a b c", drop_after=0), LMConnectionError),
        (Reply("a b c", drop_after=2), LMInterrupted),
        (Reply("a b c", malformed_after=1), LMProtocolError),
        (Reply("a b c", error_after=0), ServerError),
        (Reply(raw=[b"{}"]), LMProtocolError),
        (Reply(raw=[b'{"choices": []}']), LMProtocolError),
        (Reply(raw=[b"<html>hello</html>"], content_type="text/html"), LMProtocolError),
    ],
)
def test_the_faults_of_a_whole_reply_have_names(fault: Reply, kind: type[LMError]) -> None:
    with ScriptedServer(fault) as server, pytest.raises(LMError) as caught:
        server.lm(num_retries=0)("q")
    assert type(caught.value) is kind
    assert (caught.value.provider, caught.value.status_code) == ("openai", None)
    assert "litellm." not in str(caught.value)


def test_a_stand_in_need_not_be_a_coroutine(tap: RecordingTap, monkeypatch: pytest.MonkeyPatch) -> None:
    import litellm

    async def pieces(**options: Any) -> AsyncIterator[Any]:
        for text in "abc":
            yield {"choices": [{"delta": {"content": text}}]}

    monkeypatch.setattr(litellm, "acompletion", pieces)
    assert LM("openai/x", cache=False).request(ASKED, {}, tap).choices[0].text == "abc"


def test_a_connection_opened_ahead_is_the_one_that_is_used(tap: RecordingTap) -> None:
    gate = Gate()
    with ScriptedServer(Reply("a b", pauses={1: gate})) as server:
        lm = server.lm()
        crossing.run(lm.connect, instead="await lm.connect()", name="connect")
        assert (server.open_connections, server.request_count) == (1, 0)
        asking = threading.Thread(target=lm.request, args=(ASKED, {}, tap))
        asking.start()
        gate.wait()
        assert server.open_connections == 1
        gate.release()
        asking.join()


@pytest.mark.parametrize("model", ["openai/x", "anthropic/claude-x", "no-such-provider"])
def test_what_fails_while_connecting_ahead_is_nobodys(model: str, capfd: pytest.CaptureFixture[str]) -> None:
    lm = LM(model, api_base="http://127.0.0.1:9/v1")
    crossing.run(lm.connect, instead="await lm.connect()", name="connect")
    assert capfd.readouterr().out == ""


def test_an_unreachable_server_is_said_to_be_so() -> None:
    with pytest.raises(LMConnectionError, match="could not be reached") as caught:
        LM("openai/x", api_base="http://127.0.0.1:9/v1", api_key="k", cache=False, num_retries=0)("q")
    assert caught.value.status_code is None


def test_before_the_first_token_it_is_tried_again(tap: RecordingTap) -> None:
    refused = Reply(status=429, retry_after=0.01)
    with ScriptedServer([refused, Reply("x", drop_after=0), refused, Reply("fine")]) as server:
        assert server.lm(num_retries=3).request(ASKED, {}, tap).choices[0].text == "fine"
        assert len(server.requests) == 4
    assert tap.pieces == ["fine"]


def test_after_the_first_token_it_is_not(tap: RecordingTap) -> None:
    with ScriptedServer([Reply("a b c", drop_after=2), Reply("fine")]) as server:
        with pytest.raises(LMInterrupted):
            server.lm(num_retries=3).request(ASKED, {}, tap)
        assert len(server.requests) == 1
    assert tap.pieces == ["a", " b"]


def test_a_long_retry_after_is_told_at_once(tap: RecordingTap) -> None:
    with ScriptedServer(Reply(status=429, retry_after=900)) as server:
        with pytest.raises(RateLimitError) as caught:
            server.lm(num_retries=3).request(ASKED, {}, tap)
        assert len(server.requests) == 1
    assert caught.value.retry_after == 900


# Leaving.


def in_a_thread(lm: LM, tap: RecordingTap) -> tuple[threading.Thread, list[BaseException]]:
    raised: list[BaseException] = []

    def work() -> None:
        try:
            lm.request(ASKED, {}, tap)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, raised


class NamingTap(RecordingTap):
    """Remembers the id of the call that it is fed in."""

    call_id = ""

    async def feed(self, deltas: Any) -> None:
        call = current_call.get()
        assert call is not None
        self.call_id = call.id
        await super().feed(deltas)


def test_a_cancelled_request_closes_the_providers_connection() -> None:
    gate = Gate()
    with ScriptedServer(Reply("a b c d", pauses={2: gate})) as server:
        tap = NamingTap()
        thread, raised = in_a_thread(server.lm(), tap)
        gate.wait()
        assert tap.fed.wait(5)
        assert cancel(tap.call_id)
        server.wait_for_reader_left()
        thread.join(5)
    assert isinstance(raised[0], StreamCancelled)
    assert server.counts.pieces_sent == 2


def test_a_tap_that_raises_closes_it_too() -> None:
    class Broken(RecordingTap):
        async def feed(self, deltas: Any) -> None:
            raise KeyError("the program's own")

    gate = Gate()
    with ScriptedServer(Reply("a b c d", pauses={1: gate})) as server:
        with pytest.raises(KeyError, match="the program's own"):
            server.lm().request(ASKED, {}, Broken())
        server.wait_for_reader_left()


@pytest.mark.parametrize("which", ["first", "total", "idle"])
def test_a_deadline_closes_it_too(which: str, tap: RecordingTap) -> None:
    stall = 0 if which == "first" else 1
    with ScriptedServer(Reply("a b c d", stall_after=stall)) as server:
        with pytest.raises(StreamTimeout) as caught:
            server.lm(timeout=Timeout(**{which: 0.3})).request(ASKED, {}, tap)
        assert caught.value.which == which
        server.wait_for_reader_left()


# Stand-ins for `litellm.acompletion`.


async def bare_generator() -> AsyncIterator[Any]:
    for text in ("a", "b"):
        yield {"choices": [{"delta": {"content": text}}]}


async def strings() -> AsyncIterator[str]:
    for text in ("a", "b"):
        yield text


def plain_iterator() -> Iterator[Any]:
    for text in ("a", "b"):
        assert threading.current_thread().name != "lmstream-loop"
        yield {"choices": [{"delta": {"content": text}}]}


@pytest.mark.parametrize("source", [bare_generator, strings, plain_iterator], ids=lambda fn: fn.__name__)
def test_stand_ins_are_looked_up_at_the_call(source: Any, tap: RecordingTap, litellm_as_it_was: None) -> None:
    import litellm

    async def stand_in(**arguments: Any) -> Any:
        assert arguments["stream"] is True and arguments["num_retries"] == 0
        return source()

    vars(litellm)["acompletion"] = stand_in
    assert LM("openai/x", cache=False).request(ASKED, {}, tap).choices[0].text == "ab"


def test_a_synchronous_stream_inside_litellm_is_pumped_from_a_worker(
    tap: RecordingTap, litellm_as_it_was: None
) -> None:
    import litellm

    original = litellm.acompletion
    threads: set[str] = set()

    async def stand_in(**arguments: Any) -> Any:
        wrapper = await original(**arguments)
        chunks = [chunk async for chunk in wrapper.completion_stream]

        def plain() -> Iterator[Any]:
            for chunk in chunks:
                threads.add(threading.current_thread().name)
                yield chunk

        wrapper.completion_stream = plain()
        return wrapper

    vars(litellm)["acompletion"] = stand_in
    with ScriptedServer("one two three") as server:
        assert server.lm().request(ASKED, {}, tap).choices[0].text == "one two three"
    assert threads and not any("loop" in name for name in threads)


@pytest.mark.parametrize("given", [None, 5])
def test_what_is_no_stream_is_said_to_be_none(given: Any, tap: RecordingTap, litellm_as_it_was: None) -> None:
    import litellm

    async def stand_in(**arguments: Any) -> Any:
        return given

    vars(litellm)["acompletion"] = stand_in
    with pytest.raises(LMProtocolError):
        LM("openai/x", cache=False, num_retries=0).request(ASKED, {}, tap)


# What is litellm's, and its user's.


def test_the_users_callbacks_hear_of_our_calls(litellm_as_it_was: None) -> None:
    import litellm
    from litellm.integrations.custom_logger import CustomLogger

    heard: list[str] = []
    came = threading.Semaphore(0)

    class Listening(CustomLogger):  # type: ignore[misc]
        async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
            heard.append(response_obj.choices[0].message.content)
            came.release()

    litellm.callbacks.append(Listening())
    with ScriptedServer("one two") as server:
        server.lm().request(ASKED, {}, RecordingTap())
        assert came.acquire(timeout=10)
        server.lm().request(ASKED, {})
        assert came.acquire(timeout=10)
    assert heard == ["one two", "one two"]


def test_no_banner_of_ours_and_the_users_switch_untouched(
    capsys: pytest.CaptureFixture[str], tap: RecordingTap
) -> None:
    import litellm

    before = litellm.suppress_debug_info
    with ScriptedServer(Reply(status=500)) as server, pytest.raises(ServerError):
        server.lm(num_retries=0).request(ASKED, {}, tap)
    assert litellm.suppress_debug_info is before
    assert "Give Feedback" not in capsys.readouterr().out


def test_litellms_cache_serves_and_streams_where_asked(litellm_as_it_was: None) -> None:
    import litellm

    vars(litellm)["cache"] = None
    with ScriptedServer("one two three") as server:
        lm = server.lm(cache=True, cache_in_memory=False)
        for asked_before in (0, 1):
            tap = RecordingTap()
            reply = lm.request(ASKED, {}, tap)
            assert "".join(tap.pieces) == reply.choices[0].text == "one two three"
            assert len(server.requests) == 1
            assert (reply.cost == 0.0) is bool(asked_before)
        assert [lm.request(ASKED, {}).cost for _ in range(2)] == [None, 0.0]  # litellm keeps whole replies apart
        assert len(server.requests) == 2
        lm.request(ASKED, {"rollout_id": 1}, RecordingTap())
        assert len(server.requests) == 3
        lm.copy(cache=False).request(ASKED, {}, RecordingTap())
        assert len(server.requests) == 4


def test_the_first_use_imports_nothing_on_the_loop_and_nothing_from_the_network() -> None:
    program = """
import sys, threading, importlib.abc, os, socket
import lmstream_sync as lms
from lmstream_sync.testing import ScriptedServer
assert "litellm" not in sys.modules and "pydantic" not in sys.modules
on_loop, reached = [], []
class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread().name == "lmstream-loop": on_loop.append(name)
sys.meta_path.insert(0, Watch())
def look(event, args):
    if event == "socket.connect" and args[1][0] != "127.0.0.1": reached.append(args[1])
    if event == "socket.getaddrinfo" and args[0] not in ("127.0.0.1", None): reached.append(args[0])
sys.addaudithook(look)
with ScriptedServer("fine") as server:
    lm = server.lm()
    barrier = threading.Barrier(8)
    def ask():
        barrier.wait()
        assert lm("q") == ["fine"]
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for t in threads: t.start()
    for t in threads: t.join()
print("LOOP", [n for n in on_loop if not n.startswith(("encodings.", "_"))])
print("NET", reached, os.environ.get("LITELLM_LOCAL_MODEL_COST_MAP"))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    assert "NET [] None" in done.stdout, done.stdout
    assert "LOOP []" in done.stdout, done.stdout
    assert done.stderr == ""
