"""An agent in a stream: its turns, its status messages in order, native calls, and what leaving stops."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.testing import Gate, Reply

from .conftest import reply
from .test_react import ANSWER, DONE, OVERFLOW, distance, fails, turn, weather

LOOK = turn("Look there.", "weather", {"place": {"city": "Bern"}})
FAR = turn("How far?", "distance", {"start": "a", "to": "b"})


def told(events: list[Any]) -> list[tuple[str, str]]:
    """What came, in order: kind and name of status messages, field and whole text of each run."""
    seen: list[tuple[str, str]] = []
    text = ""
    for event in events:
        if isinstance(event, lms.StatusMessage):
            seen.append((event.kind, event.name))
        elif isinstance(event, lms.StreamResponse):
            text += event.chunk
            if event.is_last_chunk:
                seen.append((event.signature_field_name, text))
                text = ""
        else:
            seen.append((type(event).__name__, ""))
    return seen


def test_thoughts_status_messages_reasoning_and_answer_come_in_order(serve: Any) -> None:
    serve([LOOK, FAR, DONE, ANSWER])
    program = lms.streamify(
        lms.ReAct("question -> answer", tools=[weather, distance]),
        stream_listeners=[
            lms.StreamListener("next_thought", allow_reuse=True),
            lms.StreamListener("reasoning"),
            lms.StreamListener("answer"),
        ],
    )
    events = list(program(question="?"))
    assert told(events) == [
        ("next_thought", "Look there."),
        ("tool_start", "weather"),
        ("tool_end", "weather"),
        ("next_thought", "How far?"),
        ("tool_start", "distance"),
        ("tool_end", "distance"),
        ("next_thought", "That is all."),
        ("reasoning", "It rains."),
        ("answer", "Take one."),
        ("Prediction", ""),
    ]
    start, end = [event for event in events if isinstance(event, lms.StatusMessage)][:2]
    assert start.call_id == end.call_id and start.message == "Calling tool weather..."
    assert start.inputs == {"place": {"city": "Bern"}} and end.outputs == "Place Bern, CH: 1 x rain"
    names = {event.predict_name for event in events if isinstance(event, lms.StreamResponse)}
    assert names == {"react", "extract.predict"}


def test_without_allow_reuse_the_first_turn_streams(serve: Any) -> None:
    serve([LOOK, DONE, ANSWER])
    listener = lms.StreamListener("next_thought")
    program = lms.streamify(lms.ReAct("question -> answer", tools=[weather]), False, [listener])
    assert told(list(program(question="?"))) == [("next_thought", "Look there."), ("Prediction", "")]


def test_the_name_of_the_next_tool_streams_as_text(serve: Any) -> None:
    serve([LOOK, DONE, ANSWER])
    listeners = [lms.StreamListener(name, allow_reuse=True) for name in ("next_tool_name", "next_tool_args")]
    program = lms.streamify(lms.ReAct("question -> answer", tools=[weather]), False, listeners)
    assert told(list(program(question="?"))) == [
        ("next_tool_name", "weather"),
        ("next_tool_args", '{"place": {"city": "Bern"}}'),
        ("next_tool_name", "finish"),
        ("next_tool_args", "{}"),
        ("Prediction", ""),
    ]


def test_the_end_of_a_failing_tool_is_told_with_its_error(serve: Any) -> None:
    serve([turn("Try.", "fails", {"key": "x"}), turn("Try.", "nothing"), DONE, ANSWER])
    program = lms.streamify(lms.ReAct("question -> answer", tools=[fails]))
    messages = [event for event in program(question="?") if isinstance(event, lms.StatusMessage)]
    assert [(event.kind, event.name) for event in messages] == [("tool_start", "fails"), ("tool_end", "fails")]
    assert isinstance(messages[1].error, KeyError) and messages[1].outputs is None


def test_the_answer_streams_though_its_first_prompt_did_not_fit(serve: Any) -> None:
    serve([FAR, FAR, DONE, OVERFLOW, ANSWER])
    program = lms.streamify(lms.ReAct("question -> answer", tools=[distance]), False, [lms.StreamListener("answer")])
    assert told(list(program(question="?"))) == [("answer", "Take one."), ("Prediction", "")]


def test_a_run_that_failed_with_nothing_shown_is_not_the_first(serve: Any) -> None:
    class Stubborn(lms.Module):
        def __init__(self) -> None:
            self.ask = lms.Predict("question -> answer")

        def forward(self, question: str) -> Any:
            try:
                return self.ask(question=question)
            except lms.LMError:
                return self.ask(question=question)

    serve([Reply(status=500), reply(answer="yes"), reply(answer="no")], num_retries=0)
    program = lms.streamify(Stubborn(), False, [lms.StreamListener("answer")])
    assert told(list(program(question="?"))) == [("answer", "yes"), ("Prediction", "")]


@pytest.mark.parametrize("asynchronous", [True, False])
def test_tools_in_a_module_of_the_users_send_status_messages_too(serve: Any, asynchronous: bool) -> None:
    tool, far = lms.Tool(weather), lms.Tool(distance)

    class Sync(lms.Module):
        def __init__(self) -> None:
            self.write = lms.Predict("facts -> answer")

        def forward(self, city: str) -> Any:
            return self.write(facts=[tool(place={"city": city}), str(far(start=city, to="Basel"))])

    class Async(Sync):
        async def aforward(self, city: str) -> Any:
            facts = [await tool.acall(place={"city": city}), str(await far.acall(start=city, to="Basel"))]
            return await self.write.acall(facts=facts)

    serve([reply(answer="Take one.")])
    program = lms.streamify(Async() if asynchronous else Sync(), stream_listeners=[lms.StreamListener("answer")])
    assert told(list(program(city="Bern"))) == [
        ("tool_start", "weather"),
        ("tool_end", "weather"),
        ("tool_start", "distance"),
        ("tool_end", "distance"),
        ("answer", "Take one."),
        ("Prediction", ""),
    ]


# Native function calling.


def calls(*named: tuple[str, dict[str, Any]], text: str = "") -> Reply:
    return Reply(text, tool_calls=[{"name": name, "arguments": args} for name, args in named], cut=3)


def native(**options: Any) -> lms.ReAct:
    return lms.ReAct("question -> answer", tools=[weather, distance, fails], native_tools=True, **options)


@pytest.mark.parametrize("adapter", [None, lms.JSONAdapter()])
def test_native_calls_of_one_reply_each_have_their_number(serve: Any, adapter: Any) -> None:
    thought = reply(next_thought="Both.") if adapter is None else json.dumps({"next_thought": "Both."})
    answer = ANSWER if adapter is None else json.dumps({"reasoning": "It rains.", "answer": "Take one."})
    server = serve(
        [
            calls(("weather", {"place": {"city": "Bern"}}), ("distance", {"start": "a", "to": "b"}), text=thought),
            calls(("fails", {"key": "x"}), ("nothing", {})),
            Reply(reply(next_thought="Enough.") if adapter is None else json.dumps({"next_thought": "Enough."})),
            answer,
        ]
    )
    with lms.context(adapter=adapter):
        made = native()(question="?")
    assert made.trajectory == {
        "thought_0": "Both.",
        "tool_name_0": "weather",
        "tool_args_0": {"place": {"city": "Bern"}},
        "observation_0": "Place Bern, CH: 1 x rain",
        "tool_name_1": "distance",
        "tool_args_1": {"start": "a", "to": "b"},
        "observation_1": 95.5,
        "thought_2": "",
        "tool_name_2": "fails",
        "tool_args_2": {"key": "x"},
        "observation_2": "Execution error in fails: KeyError: 'no such place, x'",
        "tool_name_3": "nothing",
        "tool_args_3": {},
        "observation_3": "There is no tool 'nothing'; the tools are: weather, distance, fails, finish.",
        "thought_4": "Enough.",
        "tool_name_4": "finish",
        "tool_args_4": {},
        "observation_4": "Completed.",
    }
    assert made.answer == "Take one."
    sent = server.requests[0].body["tools"]
    assert [tool["function"]["name"] for tool in sent] == ["weather", "distance", "fails"]
    assert sent[1]["function"]["parameters"] == {
        "type": "object",
        "properties": {"start": {"type": "string"}, "to": {"type": "string"}},
        "required": ["start", "to"],
    }
    assert "tools" not in server.requests[-1].body


def test_where_the_model_has_no_functions_its_text_asks_for_calls(serve: Any) -> None:
    refused = Reply(status=400, body={"error": {"message": "tools is not supported", "type": "invalid_request_error"}})
    text = json.dumps({"tool_calls": [{"name": "distance", "args": {"start": "a", "to": "b"}}]})
    step = [reply(next_thought="Far?", tool_calls=text), reply(next_thought="Done.", tool_calls="[]")]
    server = serve([refused, *step, ANSWER])
    made = native()(question="?")
    assert (made.trajectory["observation_0"], made.trajectory["tool_name_1"]) == (95.5, "finish")
    assert ["tools" in request.body for request in server.requests] == [True, False, False, False]
    assert "Kilometres between two cities." in server.requests[1].prompt


@pytest.mark.parametrize("streamed", [True, False])
def test_native_calls_that_cannot_be_made_are_told_to_the_model(serve: Any, streamed: bool) -> None:
    wire = [{"type": "function", "function": {"name": "distance", "arguments": text}} for text in ("Bern", "[1]", "")]
    serve([Reply(tool_calls=[*wire, {"function": {"name": "", "arguments": "{}"}}]), reply(next_thought="."), ANSWER])
    if streamed:
        made = list(lms.streamify(native(), stream_listeners=[lms.StreamListener("answer")])(question="?"))[-1]
    else:
        made = native()(question="?")
    assert [made.trajectory[f"tool_args_{number}"] for number in range(3)] == ["Bern", "[1]", {}]
    told = [made.trajectory[f"observation_{number}"] for number in range(4)]
    assert "no JSON object" in told[0] and told[0] == told[1] and "missing a required argument" in told[2]
    assert told[3].startswith("There is no tool ''") and made.answer == "Take one."


def test_native_calls_stream_with_their_status_messages(serve: Any) -> None:
    thought = reply(next_thought="Both.")
    serve([calls(("distance", {"start": "a", "to": "b"}), text=thought), Reply(reply(next_thought="Done.")), ANSWER])
    listeners = [lms.StreamListener("next_thought", allow_reuse=True), lms.StreamListener("answer")]
    assert told(list(lms.streamify(native(), stream_listeners=listeners)(question="?"))) == [
        ("next_thought", "Both."),
        ("tool_start", "distance"),
        ("tool_end", "distance"),
        ("next_thought", "Done."),
        ("answer", "Take one."),
        ("Prediction", ""),
    ]


def test_overflow_drops_a_thought_with_all_its_calls(serve: Any) -> None:
    both = [("distance", {"start": "a", "to": "b"}), ("distance", {"start": "c", "to": "d"})]
    serve([calls(*both), calls(*both), OVERFLOW, Reply(reply(next_thought="Done.")), ANSWER])
    made = native()(question="?")
    assert list(made.trajectory)[0] == "thought_2" and "tool_name_3" in made.trajectory


def test_calls_of_one_reply_run_at_the_same_time(serve: Any) -> None:
    async def meet_async(name: str) -> str:
        """Waits for the others."""
        await asyncio.get_running_loop().run_in_executor(None, together.wait, 10)
        return name

    def meet(name: str) -> str:
        """Waits for the others."""
        together.wait(10)
        return name

    together = threading.Barrier(3)
    named = [("meet", {"name": "b"}), ("meet_async", {"name": "a"}), ("meet", {"name": "c"})]
    serve([calls(*named), Reply(reply(next_thought="Done.")), ANSWER])
    made = lms.ReAct("question -> answer", tools=[meet, meet_async], native_tools=True)(question="?")
    assert [made.trajectory[f"observation_{number}"] for number in range(3)] == ["b", "a", "c"]


# Leaving, and time.


@pytest.mark.parametrize("asynchronous", [True, False])
def test_who_leaves_while_a_tool_runs_stops_the_agent(serve: Any, asynchronous: bool) -> None:
    goes_on, ended = threading.Event(), threading.Event()
    after: list[str] = []
    inner = lms.Tool(lambda: after.append("ran"), name="inner")

    def slow() -> str:
        """Takes its time."""
        try:
            goes_on.wait(10)
            try:
                inner()
            except Exception:
                after.append("swallowed")
            return "done"
        finally:
            ended.set()

    async def slow_async() -> str:
        """Takes its time."""
        try:
            await asyncio.sleep(60)
        except Exception:
            after.append("swallowed")
        finally:
            ended.set()
        return "done"

    server = serve([turn("Wait.", "slow"), DONE, ANSWER])
    tool = lms.Tool(slow_async if asynchronous else slow, name="slow")
    stream = lms.streamify(lms.ReAct("question -> answer", tools=[tool]))(question="?")
    for event in stream:
        if isinstance(event, lms.StatusMessage):
            break
    closing = threading.Thread(target=stream.close)
    closing.start()
    while not stream._call.stopping:  # `closed` is true before the loop has heard of it
        threading.Event().wait(0.001)
    goes_on.set()
    closing.join(10)
    assert ended.wait(10) and after == []
    assert len(server.requests) == 1


def test_who_leaves_while_calls_run_at_once_stops_them_all(serve: Any) -> None:
    begun, ended = threading.Semaphore(0), threading.Semaphore(0)

    async def wait(n: int) -> None:
        """Waits."""
        begun.release()
        try:
            await asyncio.sleep(60)
        finally:
            ended.release()

    serve([calls(("wait", {"n": 1}), ("wait", {"n": 2})), ANSWER])
    program = lms.ReAct("question -> answer", tools=[wait], native_tools=True)
    with lms.streamify(program)(question="?") as stream:
        next(stream)
        assert begun.acquire(timeout=10) and begun.acquire(timeout=10)
    assert ended.acquire(timeout=10) and ended.acquire(timeout=10)


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("asynchronous", [True, False])
def test_a_tool_that_hangs_ends_by_the_deadlines_of_the_call(serve: Any, asynchronous: bool, streamed: bool) -> None:
    let_go = threading.Event()

    async def hangs_async() -> None:
        """Hangs."""
        await asyncio.sleep(60)

    def hangs() -> None:
        """Hangs."""
        let_go.wait(30)

    serve([turn("Wait.", "hangs"), DONE, ANSWER])
    program = lms.ReAct("question -> answer", tools=[lms.Tool(hangs_async if asynchronous else hangs, name="hangs")])
    try:
        with lms.context(timeout=lms.Timeout(idle=0.3)), pytest.raises(lms.StreamTimeout) as caught:
            if streamed:
                list(lms.streamify(program)(question="?"))
            else:
                program(question="?")
        assert caught.value.which == "idle"
    finally:
        let_go.set()


def test_a_reply_under_way_is_cut_when_the_reader_leaves(serve: Any) -> None:
    gate = Gate()
    server = serve([LOOK, Reply(DONE, cut=2, pauses={20: gate})])
    program = lms.streamify(
        lms.ReAct("question -> answer", tools=[weather]),
        stream_listeners=[lms.StreamListener("next_thought", allow_reuse=True)],
    )
    with program(question="?") as stream:
        for event in stream:
            if isinstance(event, lms.StreamResponse) and event.chunk and gate.reached.is_set():
                break
            if isinstance(event, lms.StatusMessage) and event.kind == "tool_end":
                gate.wait()
    server.wait_for_reader_left()
    gate.release()
