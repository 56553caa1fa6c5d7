"""What is litellm's: its raw chunks, stand-ins for it, its callbacks and caches, its first use."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from lmstream_sync.errors import (
    LMProtocolError,
    ServerError,
)
from lmstream_sync.lm import LM
from lmstream_sync.testing import Reply, ScriptedServer
from tests.lm.conftest import RecordingTap

ASKED = [{"role": "user", "content": "q"}]


def sse(*data: str) -> list[bytes]:
    return [f"data: {line}\n\n".encode() for line in data]


def piece(delta: str, finish: str = "null", index: int = 0) -> str:
    return f'{{"id":"c","choices":[{{"index":{index},"delta":{delta},"finish_reason":{finish}}}]}}'


def test_halves_of_a_character_are_joined_in_the_raw_chunk_too(tap: RecordingTap) -> None:
    raw = sse(piece('{"content":"a\\ud83d"}'), piece('{"content":"\\ude00b"}'), piece("{}", '"stop"'), "[DONE]")
    with ScriptedServer(Reply(raw=raw)) as server:
        assert (
            server.lm(
                engine="litellm",
            )
            .request(ASKED, {}, tap)
            .choices[0]
            .text
            == "a😀b"
        )
    assert tap.pieces == ["a", "😀b"]
    assert "".join(delta.raw.choices[0].delta.content or "" for delta in tap.deltas) == "a😀b"


def test_a_stand_in_need_not_be_a_coroutine(tap: RecordingTap, monkeypatch: pytest.MonkeyPatch) -> None:
    import litellm

    async def pieces(**options: Any) -> AsyncIterator[Any]:
        for text in "abc":
            yield {"choices": [{"delta": {"content": text}}]}

    monkeypatch.setattr(litellm, "acompletion", pieces)
    assert LM("openai/x", cache=False).request(ASKED, {}, tap).choices[0].text == "abc"


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
        assert (
            server.lm(
                engine="litellm",
            )
            .request(ASKED, {}, tap)
            .choices[0]
            .text
            == "one two three"
        )
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
        server.lm(
            engine="litellm",
        ).request(ASKED, {}, RecordingTap())
        assert came.acquire(timeout=10)
        server.lm(
            engine="litellm",
        ).request(ASKED, {})
        assert came.acquire(timeout=10)
    assert heard == ["one two", "one two"]


def test_a_stream_that_has_not_begun_is_priced_for_listeners_only(
    litellm_as_it_was: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import litellm

    priced: list[str] = []
    price = litellm.response_cost_calculator

    def pricing(**options: Any) -> Any:
        priced.append(type(options["response_object"]).__name__)
        return price(**options)

    monkeypatch.setattr(litellm, "response_cost_calculator", pricing)
    with ScriptedServer("one two") as server:
        lm = server.lm(engine="litellm", cache=False)
        assert lm.request(ASKED, {}, RecordingTap()).choices[0].text == "one two"
        assert priced == []
        litellm.success_callback.append(lambda *_: None)
        lm.request(ASKED, {}, RecordingTap())
        assert "CustomStreamWrapper" in priced


def test_no_banner_of_ours_and_the_users_switch_untouched(
    capsys: pytest.CaptureFixture[str], tap: RecordingTap
) -> None:
    import litellm

    before = litellm.suppress_debug_info
    with ScriptedServer(Reply(status=500)) as server, pytest.raises(ServerError):
        server.lm(engine="litellm", num_retries=0).request(ASKED, {}, tap)
    assert litellm.suppress_debug_info is before
    assert "Give Feedback" not in capsys.readouterr().out


def test_litellms_cache_serves_and_streams_where_asked(litellm_as_it_was: None) -> None:
    import litellm

    vars(litellm)["cache"] = None
    with ScriptedServer("one two three") as server:
        lm = server.lm(engine="litellm", cache=True, cache_in_memory=False)
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
        # The cache that was set for this model is asked by no other, and makes none of them litellm's.
        assert server.lm(engine="auto", cache=True).engine == "direct"


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
    lm = server.lm(engine="litellm", )
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
