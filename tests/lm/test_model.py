"""`LM` as its users call it."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import datetime
import threading
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.errors import ConfigurationError, ServerError, StreamError
from lmstream_sync.lm import LM, LMRequestLRUCache
from lmstream_sync.lm.tap import direct_tap
from lmstream_sync.lm.usage import UsageTally, current_tally
from lmstream_sync.runtime import crossing
from lmstream_sync.testing import Reply, ScriptedServer
from tests.lm.conftest import RecordingTap

ASKED = [{"role": "user", "content": "q"}]


@pytest.mark.parametrize(
    "call",
    [
        lambda lm: lm(5),
        lambda lm: lm(ASKED),
        lambda lm: lm(messages="q"),
        lambda lm: lm(messages=["q"]),
        lambda lm: lm("q", model="openai/other"),
        lambda lm: lm("q", engine="direct"),
        lambda lm: lm("q", num_retries="many"),
    ],
)
def test_a_call_that_cannot_work_is_told_so_and_sends_nothing(call: Any) -> None:
    with ScriptedServer("fine") as server:
        with pytest.raises(ConfigurationError):
            call(server.lm())
        assert server.request_count == 0


def test_a_prompt_or_messages_from_any_thread_and_any_loop() -> None:
    with ScriptedServer("fine") as server:
        lm = server.lm()
        assert lm("q") == ["fine"]
        assert lm(messages=ASKED) == ["fine"]
        assert asyncio.run(lm.acall("q")) == ["fine"]
        found: list[str] = []
        thread = threading.Thread(target=lambda: found.extend(lm("q")))
        thread.start()
        thread.join(10)
        assert found == ["fine"]
        assert crossing.run(lambda: lm.acall("q"), instead="") == ["fine"]


def test_on_the_loop_thread_a_blocking_call_names_the_other_one() -> None:
    lm = LM("openai/x", api_base="http://127.0.0.1:9", cache=False)

    async def block() -> None:
        lm("q")

    with pytest.raises(StreamError, match="acall"):
        crossing.run(block, instead="")


@pytest.mark.parametrize(
    "wrong",
    [{"model": ""}, {"model": "m", "num_retries": -1}, {"model": "m", "engine": "other"}]
    + [{"model": "m", "engine": "direct"}, {"model": "m", "timeout": "soon"}],
)
def test_what_cannot_work_is_said_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        LM(**wrong)


@pytest.mark.parametrize("arguments", [{}, {"prompt": "q", "messages": ASKED}])
def test_one_of_prompt_and_messages(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="one of the two"):
        LM("openai/x")(**arguments)


def test_options_of_the_call_go_over_those_of_the_lm() -> None:
    with ScriptedServer("fine") as server:
        lm = server.lm(temperature=0.1, top_p=0.5)
        lm("q", temperature=0.9)
        body = server.requests[0].body
    assert (body["temperature"], body["top_p"]) == (0.9, 0.5)
    assert lm.engine == "direct"


def test_a_copy_has_other_options_and_its_own_history() -> None:
    with ScriptedServer("fine") as server:
        lm = server.lm(temperature=0.1)
        lm("q")
        other = lm.copy(temperature=None, model="openai/other")
        other("q")
        body = server.requests[1].body
        assert "temperature" not in body and body["model"] == "other"
        assert len(lm.history) == len(other.history) == 1
        assert copy.deepcopy(lm)("q") == ["fine"]
        assert lm.kwargs["temperature"] == 0.1


def test_the_cache_answers_the_same_request_and_feeds_no_tap() -> None:
    with ScriptedServer(["one", "two", "three"]) as server, lms.context(cache=LMRequestLRUCache()):
        lm = server.lm(cache=True)
        tap = RecordingTap()
        assert lm("q") == ["one"]
        again = lm.request(ASKED, {}, tap)
        assert (again.cached, again.cost, again.choices[0].text, tap.deltas) == (True, 0.0, "one", [])
        assert asyncio.run(lm.acall("q")) == ["one"]
        assert lm("q", rollout_id=1) == ["two"]
        assert lm("q", rollout_id=1) == ["two"]
        assert lm("q", cache=False) == ["three"]
        assert len(server.requests) == 3
        assert all("rollout_id" not in request.body for request in server.requests)
        assert [entry["cached"] for entry in lm.history] == [False, True, True, False, True, False]


def test_a_streamed_reply_is_kept_too() -> None:
    with ScriptedServer(["one", "two"]) as server, lms.context(cache=LMRequestLRUCache()):
        lm = server.lm(cache=True)
        lm.request(ASKED, {}, RecordingTap())
        assert lm("q") == ["one"]


def test_an_empty_reply_is_not_kept(engine: str) -> None:
    with ScriptedServer([Reply(raw=[b"data: [DONE]\n\n"]), "fine"]) as server, lms.context(cache=LMRequestLRUCache()):
        lm = server.lm(engine=engine, num_retries=0, cache=True)
        replies = [lm.request(ASKED, {}, RecordingTap()) for _ in range(3)]
    assert [reply.choices[0].text for reply in replies] == ["", "fine", "fine"]
    assert [reply.cached for reply in replies] == [False, False, True]


def test_history_is_bounded_and_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedServer("fine") as server:
        lm = server.lm()
        for _ in range(30):
            lm("what?")
        assert len(lm.history) == 20
        lm.inspect_history(2)
    shown = capsys.readouterr().out
    assert shown.count("what?") == 2 and shown.count("fine") == 2


def test_what_was_sent_stands_in_the_history_though_the_caller_goes_on_with_his_list() -> None:
    with ScriptedServer(["one", "two"]) as server:
        lm = server.lm()
        talk: list[dict[str, Any]] = [{"role": "user", "content": "first"}]
        talk.append({"role": "assistant", "content": lm(messages=talk)[0]})
        talk[0]["content"] = "changed"
        lm(messages=talk)
        first, second = lm.history
        assert first["messages"] == [{"role": "user", "content": "first"}]
        assert [each["content"] for each in second["messages"]] == ["changed", "one"]


def test_callbacks_hear_starts_and_ends_without_keys() -> None:
    heard: list[tuple[str, Any]] = []

    class Listening(lms.BaseCallback):
        def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
            heard.append((call_id, inputs))

        def on_lm_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
            heard.append((call_id, exception or outputs))

    with ScriptedServer(["fine", Reply(status=500)]) as server:
        lm = server.lm(callbacks=[Listening()], num_retries=0, api_key="sk-secret-1")
        lm("q")
        with pytest.raises(ServerError):
            asyncio.run(lm.acall("q"))
    assert [call for call, _ in heard][0] == heard[1][0] != heard[2][0] == heard[3][0]
    assert heard[0][1]["prompt"] == "q" and heard[0][1]["messages"] == ASKED
    assert heard[1][1] == ["fine"] and isinstance(heard[3][1], ServerError)
    assert "sk-secret-1" not in repr(heard)


def test_every_tally_in_the_context_counts_a_request() -> None:
    outer = UsageTally()
    inner = UsageTally(outer)

    def ask() -> None:
        current_tally.set(inner)
        with ScriptedServer(
            Reply("a b", usage={"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5})
        ) as server:
            server.lm()("q")
            server.lm().request(ASKED, {}, RecordingTap())

    contextvars.copy_context().run(ask)
    assert inner.usage == outer.usage
    assert inner.usage["openai/scripted"]["total_tokens"] == 10
    assert inner.cost is None


def test_a_reply_that_was_left_is_counted_as_an_estimate() -> None:
    tally = UsageTally()

    class Leaving(RecordingTap):
        async def feed(self, deltas: Any) -> None:
            raise KeyError

    def ask() -> None:
        current_tally.set(tally)
        with ScriptedServer(Reply("a b c d", stall_after=2)) as server, pytest.raises(KeyError):
            server.lm().request(ASKED, {}, Leaving())

    contextvars.copy_context().run(ask)
    (counts,) = tally.usage.values()
    assert counts["estimated"] is True and counts["completion_tokens"] >= 1


def test_a_known_model_has_a_price() -> None:
    usage = {"prompt_tokens": 1_000, "completion_tokens": 1_000, "total_tokens": 2_000}
    with ScriptedServer(Reply("a", usage=usage)) as server:
        lm = LM("openai/gpt-4o-mini", api_base=server.url, api_key="k", cache=False)
        streamed, whole = lm.request(ASKED, {}, RecordingTap()), lm.request(ASKED, {})
    assert streamed.cost is not None and streamed.cost > 0
    assert streamed.cost == whole.cost


def test_a_direct_call_asks_for_a_tap() -> None:
    tap = RecordingTap()

    def ask() -> None:
        direct_tap.set(lambda lm: tap)
        with ScriptedServer(Reply(pieces=["a", "b"])) as server:
            assert server.lm()("q") == ["ab"]
            server.lm().request(ASKED, {})

    contextvars.copy_context().run(ask)
    assert tap.pieces == ["a", "b"]


def test_warming_up_may_be_done_by_many_at_once() -> None:
    lm = LM("openai/x")

    async def many() -> None:
        await asyncio.gather(*(lm.prepare() for _ in range(200)))

    asyncio.run(many())


@pytest.mark.parametrize(
    ("wrong", "right"),
    [({"temprature": 1}, "temperature"), ({"num_retry": 0}, "num_retries"), ({"max_retries": 1}, "num_retries")],
)
def test_a_misspelt_option_of_one_request_is_refused_too(wrong: dict[str, Any], right: str) -> None:
    with ScriptedServer("fine") as server:
        lm = server.lm()
        for ask in (
            lambda: lm("q", **wrong),
            lambda: lms.Predict("q -> a")(q="?", lm=lm, config=wrong),
            lambda: lms.Predict("q -> a", **wrong)(q="?", lm=lm),
            lambda: lms.stream(lm, "q", **wrong).result(),
        ):
            with pytest.raises(ConfigurationError, match=f"did you mean {right}="):
                ask()
        assert server.requests == []
        assert lm("q", top_p=0.5, seed=1) == ["fine"]


def test_the_history_says_when(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer("fine") as server:
        lm = server.lm()
        before = datetime.datetime.now()
        lm("q")
        said = datetime.datetime.fromisoformat(lm.history[-1]["timestamp"])
        assert before - datetime.timedelta(milliseconds=1) <= said <= datetime.datetime.now()
        for now in (1_700_000_000.25, 1_700_000_000.5, 1_700_000_001.0):
            monkeypatch.setattr("time.time", lambda now=now: now)
            lm("q")
            told = datetime.datetime.fromisoformat(lm.history[-1]["timestamp"])
            assert told == datetime.datetime.fromtimestamp(now) and len(lm.history[-1]["timestamp"]) == 23


def test_a_misspelt_option_is_refused_and_others_pass() -> None:
    with pytest.raises(ConfigurationError, match=r"num_retries="):
        LM("openai/x", num_retrys=1)
    assert LM("openai/x", top_p=0.5, max_completion_tokens=5).kwargs == {"top_p": 0.5, "max_completion_tokens": 5}


def test_an_address_without_a_scheme_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"http://localhost:8000"):
        LM("openai/x", api_base="localhost:8000")


def test_a_model_without_a_provider_says_how_to_name_one() -> None:
    with pytest.raises(lms.BadRequestError, match="'openai/nonsense'"):
        LM("nonsense", cache=False)("q")


@pytest.mark.parametrize("options", [{"temperature": "hot"}, {"max_tokens": -1}, {"temperature": True}])
def test_a_number_that_is_none_is_said_at_once(options: Any) -> None:
    with pytest.raises(lms.ConfigurationError, match="give a number"):
        lms.LM("openai/x", **options)


def test_arguments_of_dspys_lm_are_understood_and_not_sent(serve: Any) -> None:
    assert lms.LM("openai/x", model_type="chat", use_developer_role=False).kwargs == {}
    for options in ({"model_type": "responses"}, {"use_developer_role": True}):
        with pytest.raises(lms.ConfigurationError, match="leave"):
            lms.LM("openai/x", **options)
