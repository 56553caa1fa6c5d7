"""`ReAct`: its turns, what it makes of everything that goes wrong in one, and when it ends."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, get_args

import pydantic
import pytest

import lmstream_sync as lms
from lmstream_sync.runtime.crossing import run
from lmstream_sync.testing import Reply

from .conftest import Hooks, reply


class Place(pydantic.BaseModel):
    """A city in a country."""

    city: str
    country: str = "CH"


def weather(place: Place, days: int = 1) -> str:
    """The weather of the next days."""
    return f"{type(place).__name__} {place.city}, {place.country}: {days + 0} x rain"


async def distance(start: str, to: str) -> float:
    """Kilometres between two cities."""
    return 95.5


def fails(key: str = "") -> None:
    """Raises."""
    raise KeyError(f"no such place, {key}")


def turn(thought: str, name: str, args: Any = None) -> str:
    """The reply of a turn."""
    return reply(next_thought=thought, next_tool_name=name, next_tool_args=json.dumps(args or {}))


DONE = turn("That is all.", "finish")
ANSWER = reply(reasoning="It rains.", answer="Take one.")
OVERFLOW = Reply(
    status=400,
    body={
        "error": {
            "message": "This model's maximum context length is 128 tokens.",
            "type": "invalid_request_error",
            "code": "context_length_exceeded",
        }
    },
)


def agent(*tools: Any, **options: Any) -> lms.ReAct:
    return lms.ReAct("question -> answer", tools=tools or [weather, distance, fails], **options)


def called(program: Any, **inputs: Any) -> Any:
    return program(**inputs)


def awaited(program: Any, **inputs: Any) -> Any:
    return asyncio.run(program.acall(**inputs))


def on_our_loop(program: Any, **inputs: Any) -> Any:
    return run(lambda: program.acall(**inputs), instead="")


def in_a_module(program: Any, **inputs: Any) -> Any:
    class Outer(lms.Module):
        def __init__(self) -> None:
            self.agent = program

        def forward(self, **inputs: Any) -> Any:
            return self.agent(**inputs)

    return run(lambda: Outer().acall(**inputs), instead="")


@pytest.mark.parametrize("way", [called, awaited, on_our_loop, in_a_module])
def test_it_thinks_calls_tools_and_answers(serve: Any, way: Callable[..., Any]) -> None:
    server = serve(
        [
            turn("Look.", "weather", {"place": {"city": "Bern"}, "days": "2"}),
            turn("How far?", "distance", {"start": "Bern", "to": "Basel"}),
            DONE,
            ANSWER,
        ]
    )
    made = way(agent(), question="Umbrella?")
    assert isinstance(made, lms.Prediction)
    assert (made.reasoning, made.answer) == ("It rains.", "Take one.")
    assert made.trajectory == {
        "thought_0": "Look.",
        "tool_name_0": "weather",
        "tool_args_0": {"place": {"city": "Bern"}, "days": "2"},
        "observation_0": "Place Bern, CH: 2 x rain",
        "thought_1": "How far?",
        "tool_name_1": "distance",
        "tool_args_1": {"start": "Bern", "to": "Basel"},
        "observation_1": 95.5,
        "thought_2": "That is all.",
        "tool_name_2": "finish",
        "tool_args_2": {},
        "observation_2": "Completed.",
    }
    assert json.loads(json.dumps(made.toDict()))["trajectory"] == made.trajectory
    assert made.raw("answer") == "Take one."
    # Each turn is shown those before it, the last step all of them.
    assert ["Place Bern, CH: 2 x rain" in request.prompt for request in server.requests] == [False, True, True, True]
    assert "Completed." in server.requests[-1].prompt and "Umbrella?" in server.requests[-1].prompt


@pytest.mark.parametrize("adapter", [lms.ChatAdapter(), lms.JSONAdapter(), lms.XMLAdapter()])
def test_with_every_adapter_also_what_goes_wrong(serve: Any, adapter: lms.Adapter) -> None:
    program = agent()
    turns: list[dict[str, Any]] = [
        {"next_thought": "a <b>", "next_tool_name": "weather", "next_tool_args": {"place": {"city": "Bern"}}},
        {"next_thought": "c", "next_tool_name": "umbrella", "next_tool_args": {"size": 3}},
        {"next_thought": "d", "next_tool_name": "weather", "next_tool_args": "Bern"},
        {"next_thought": "e", "next_tool_name": "finish"},
    ]
    replies = [adapter.render(program.react.signature, values) for values in turns]
    server = serve([*replies, adapter.render(program.extract.predict.signature, {"reasoning": "", "answer": "yes"})])
    with lms.context(adapter=adapter):
        made = program(question="?")
    assert made.answer == "yes" and len(server.requests) == 5
    assert [made.trajectory[f"thought_{number}"] for number in range(4)] == ["a <b>", "c", "d", "e"]
    assert [made.trajectory[f"observation_{number}"] for number in range(4)] == [
        "Place Bern, CH: 1 x rain",
        "There is no tool 'umbrella'; the tools are: weather, distance, fails, finish.",
        "The arguments are no JSON object; they must be one, value by argument, {} for none.",
        "Completed.",
    ]
    assert made.trajectory["tool_args_2"] == "Bern" and made.trajectory["tool_args_3"] == {}


def test_its_predictors_and_fields_are_those_of_dspy() -> None:
    program = agent()
    assert [name for name, _ in program.named_predictors()] == ["react", "extract.predict"]
    assert list(program.react.signature.input_fields) == ["question", "trajectory"]
    outputs = program.react.signature.output_fields
    assert list(outputs) == ["next_thought", "next_tool_name", "next_tool_args"]
    types = [get_args(outputs[name].annotation)[0] for name in ("next_tool_name", "next_tool_args")]
    assert types == [Literal["weather", "distance", "fails", "finish"], dict[str, Any]]
    assert list(program.extract.predict.signature.fields) == ["question", "trajectory", "reasoning", "answer"]
    assert list(program.tools) == ["weather", "distance", "fails", "finish"]


def test_the_prompt_says_what_the_tools_are(serve: Any) -> None:
    server = serve([DONE, ANSWER])
    agent()(question="Umbrella?")
    told = json.dumps(server.requests[0].body["messages"])
    for text in ("The weather of the next days.", "Kilometres between two cities.", "country", "finish", "Umbrella?"):
        assert text in told


@pytest.mark.parametrize(
    ("name", "args", "said"),
    [
        ("fails", {}, "Execution error in fails: KeyError: 'no such place, '"),
        ("fails", {"key": "sk-proj-abcdefgh12345678"}, r"no such place, \*\*\*'"),
        ("weather", {"town": "Bern"}, "Execution error in weather: .*missing.*place.*its arguments are: place, days"),
        ("weather", {"place": "Bern"}, "Execution error in weather: the argument 'place' .* does not fit: .*Place"),
        ("weather", {"place": {"town": 1}}, "the argument 'place' .*does not fit: city: Field required"),
        ("umbrella", {"size": 3}, "There is no tool 'umbrella'; the tools are: weather, distance, fails, finish."),
    ],
)
def test_what_goes_wrong_is_what_the_model_observes(serve: Any, name: str, args: dict[str, Any], said: str) -> None:
    server = serve([turn("Try.", name, args), DONE, ANSWER])
    made = agent()(question="?")
    assert (made.trajectory["tool_name_0"], made.trajectory["tool_args_0"]) == (name, args)
    observed = made.trajectory["observation_0"]
    assert re.search(said, observed)
    assert "Traceback" not in observed and observed in server.requests[-1].prompt
    assert made.answer == "Take one." and made.trajectory["tool_name_1"] == "finish"


def test_arguments_that_are_no_object_are_told_to_the_model(serve: Any) -> None:
    serve([reply(next_thought="Try.", next_tool_name="weather", next_tool_args="Bern"), DONE, ANSWER])
    made = agent()(question="?")
    assert made.trajectory["tool_args_0"] == "Bern" and made.trajectory["thought_0"] == "Try."
    assert "no JSON object" in made.trajectory["observation_0"]


def test_a_reply_without_a_next_step_ends_the_loop_with_a_warning(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    server = serve([turn("Look.", "distance", {"start": "a", "to": "b"}), "I do not know.", "Really not.", ANSWER])
    made = agent()(question="?")
    assert made.answer == "Take one." and "thought_1" not in made.trajectory
    assert len(server.requests) == 4
    assert "ReAct ends the trajectory here" in caplog.text


@pytest.mark.parametrize("per_call", [True, False])
def test_an_endless_agent_ends_at_max_iters(serve: Any, per_call: bool) -> None:
    step = turn("Again.", "distance", {"start": "a", "to": "b"})
    server = serve([step, step, step, ANSWER])
    if per_call:
        made = agent()(question="?", max_iters=3)
    else:
        made = agent(max_iters=3)(question="?")
    assert len(server.requests) == 4 and made.answer == "Take one."
    assert [key for key in made.trajectory if key.startswith("thought_")] == ["thought_0", "thought_1", "thought_2"]


def test_finish_ends_it_whatever_comes_with_it(serve: Any) -> None:
    server = serve([turn("Done.", "finish", {"answer": "Take one."}), ANSWER])
    made = agent()(question="?")
    assert made.trajectory["observation_0"] == "Completed." and len(server.requests) == 2


def test_an_input_named_max_iters_is_an_input(serve: Any) -> None:
    server = serve([DONE, ANSWER])
    program = lms.ReAct("max_iters -> answer", tools=[distance])
    assert program(max_iters="a dozen").answer == "Take one."
    assert "a dozen" in server.requests[0].prompt


def test_options_of_a_predictor_reach_both(serve: Any) -> None:
    server = serve([DONE, ANSWER])
    agent()(question="?", config={"temperature": 0.25})
    assert [request.body["temperature"] for request in server.requests] == [0.25, 0.25]


# The context window.


def test_overflow_drops_the_oldest_turn_and_asks_again(serve: Any) -> None:
    step = [turn(f"Step {number}.", "distance", {"start": str(number), "to": "b"}) for number in range(3)]
    server = serve([*step, OVERFLOW, OVERFLOW, DONE, ANSWER])
    made = agent()(question="?")
    assert sorted(key for key in made.trajectory if key.startswith("thought_")) == ["thought_2", "thought_3"]
    assert not any(key.endswith(("_0", "_1")) for key in made.trajectory)
    assert "Step 0." in server.requests[3].prompt and "Step 0." not in server.requests[4].prompt
    assert "Step 1." in server.requests[4].prompt and "Step 1." not in server.requests[5].prompt
    assert made.answer == "Take one."


def test_overflow_at_the_last_step_drops_turns_too(serve: Any) -> None:
    server = serve([turn("Look.", "distance", {"start": "a", "to": "b"}), DONE, OVERFLOW, ANSWER])
    made = agent()(question="?")
    assert made.answer == "Take one." and list(made.trajectory)[0] == "thought_1"
    assert "Look." not in server.requests[-1].prompt


def test_with_one_turn_left_it_answers_from_that(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    serve([turn("Look.", "distance", {"start": "a", "to": "b"}), OVERFLOW, ANSWER])
    made = agent()(question="?")
    assert made.answer == "Take one." and "observation_0" in made.trajectory
    assert "does not fit the context window" in caplog.text


@pytest.mark.parametrize("replies", [[OVERFLOW], [turn("Look.", "distance", {"start": "a", "to": "b"}), OVERFLOW]])
def test_overflow_with_nothing_left_to_drop_is_an_error(serve: Any, replies: list[Any]) -> None:
    serve(replies)
    with pytest.raises(lms.ContextWindowExceededError, match="nothing more to leave out") as caught:
        agent()(question="?")
    assert caught.value.status_code == 400


def test_another_rule_of_truncation_may_be_written(serve: Any) -> None:
    class Forgetful(lms.ReAct):
        def truncate_trajectory(self, trajectory: dict[str, Any]) -> dict[str, Any]:
            return {"summary": "much was done"}

    server = serve([turn("Look.", "distance", {"start": "a", "to": "b"}), OVERFLOW, DONE, ANSWER])
    made = Forgetful("question -> answer", tools=[distance])(question="?")
    assert made.trajectory["summary"] == "much was done" and "observation_0" not in made.trajectory
    assert "much was done" in server.requests[2].prompt


def test_a_rule_that_leaves_nothing_out_does_not_go_on_for_ever(serve: Any) -> None:
    class Stubborn(lms.ReAct):
        def truncate_trajectory(self, trajectory: dict[str, Any]) -> dict[str, Any]:
            return trajectory

    server = serve([turn("Look.", "distance", {"start": "a", "to": "b"}), OVERFLOW])
    with pytest.raises(lms.ContextWindowExceededError, match="nothing more"):
        Stubborn("question -> answer", tools=[distance])(question="?")
    assert len(server.requests) == 3  # the turn, the next one, and the answer from that one turn


# Faults.


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: lms.ReAct("q -> a", tools=[]), "without tools"),
        (lambda: agent(weather, lms.Tool(distance, name="weather")), "two tools are named 'weather'"),
        (lambda: agent(lms.Tool(weather, name="finish")), "'finish' is the tool by which"),
        (lambda: agent(3), "give a function"),
        (lambda: lms.ReAct("q -> a", tools=weather), "give a list"),  # type: ignore[arg-type]
        (lambda: lms.ReAct("q -> a", tools=None), "tools=None"),  # type: ignore[arg-type]
        (lambda: agent(weather, max_iters=0), "max_iters=0"),
        (lambda: agent(lambda x: x, native_tools=True), "no function named '<lambda>'"),
    ],
)
def test_what_cannot_work_is_refused_at_once(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(lms.ConfigurationError, match=said):
        make()


@pytest.mark.parametrize("signature", ["trajectory -> answer", "question -> next_thought", "question -> trajectory"])
def test_names_of_its_own_fields_are_taken(signature: str) -> None:
    with pytest.raises(lms.SignatureError, match="rename yours"):
        lms.ReAct(signature, tools=[weather])


@pytest.mark.parametrize(
    ("args", "inputs", "said"),
    [
        (("?",), {}, r"agent\(question=\.\.\.\)"),
        ((), {}, "missing: question"),
        ((), {"question": "?", "town": 1}, "unknown: town"),
        ((), {"question": "?", "trajectory": {}}, "unknown: trajectory"),
    ],
)
@pytest.mark.parametrize("streamed", [True, False])
def test_a_call_that_does_not_fit_is_refused(args: Any, inputs: Any, said: str, streamed: bool, serve: Any) -> None:
    serve([DONE, ANSWER])
    program: Any = lms.streamify(agent(), False) if streamed else agent()
    with pytest.raises(lms.SignatureError, match=said):
        program(*args, **inputs)  # at the call, before anything is read


def test_max_iters_of_a_call_is_checked_at_the_call(serve: Any) -> None:
    serve([DONE, ANSWER])
    with pytest.raises(lms.ConfigurationError, match="max_iters='3'"):
        lms.streamify(agent())(question="?", max_iters="3")


def test_a_provider_that_fails_is_an_error_and_no_observation(serve: Any) -> None:
    serve([turn("Look.", "distance", {"start": "a", "to": "b"}), Reply(status=401)])
    with pytest.raises(lms.AuthenticationError):
        agent()(question="?")


def test_hooks_see_each_tool_once(serve: Any, hooks: Hooks) -> None:
    serve([turn("Look.", "distance", {"start": "a", "to": "b"}), DONE, ANSWER])
    agent()(question="?")
    assert [each[:2] for each in hooks.seen if each[0] == "tool"] == [("tool", "distance"), ("tool", "finish")]
    assert hooks.seen[0] == ("start", "ReAct", {"question": "?"}) and hooks.seen[-1] == ("end", "Prediction")


def test_a_tool_may_be_an_agent(serve: Any) -> None:
    serve([turn("Ask.", "expert", {"question": "rain?"}), DONE, reply(reasoning="so", answer="inner"), DONE, ANSWER])
    inner = agent(distance)

    def expert(question: str) -> str:
        """Knows."""
        answer: str = inner(question=question).answer
        return answer

    made = agent(expert)(question="?")
    assert (made.trajectory["observation_0"], made.answer) == ("inner", "Take one.")


def test_many_threads_may_use_one_agent_at_once(serve: Any) -> None:
    def answer(request: dict[str, Any]) -> str:
        prompt = request["messages"][-1]["content"]
        mine = re.findall(r"number (\d+)", prompt)[0]
        if "reasoning" in prompt:
            return reply(reasoning="so", answer=re.findall(r"(\w+), CH", prompt)[0])
        return DONE if "observation_0" in prompt else turn("Look.", "weather", {"place": {"city": f"Bern{mine}"}})

    serve(answer)
    program = agent()
    with ThreadPoolExecutor(8) as pool:
        context = [contextvars.copy_context() for _ in range(16)]
        made = pool.map(lambda n: context[n].run(program, question=f"number {n}"), range(16))
        assert [each.answer for each in made] == [f"Bern{n}" for n in range(16)]


def test_usage_and_cost_are_those_of_all_turns(serve: Any) -> None:
    server = serve([DONE, ANSWER])
    with lms.context(track_usage=True):
        made = agent()(question="?")
    [usage] = made.get_lm_usage().values()
    assert usage["completion_tokens"] >= 10 and len(server.requests) == 2


def test_what_no_request_can_hold_does_not_end_it(serve: Any) -> None:
    half, odd = json.loads('"\\ud83d"'), "a\u2028b\r\n\x00"
    server = serve([turn("Look.", "give", {"n": half}), DONE, ANSWER])
    made = agent(lms.Tool(lambda n: [half, odd], name="give"))(question="?")
    assert made.trajectory["observation_0"] == [half, odd] and made.trajectory["tool_args_0"] == {"n": half}
    assert "\ufffd" in server.requests[1].prompt


def test_it_is_saved_and_loaded_with_what_it_learned(tmp_path: Path) -> None:
    program, other = agent(), agent()
    program.react.demos = [{"question": "?", "trajectory": "", "next_thought": "Done.", "next_tool_name": "finish"}]
    program.save(tmp_path / "agent.json")
    other.load(tmp_path / "agent.json")
    assert [dict(demo.items()) for demo in other.react.demos] == program.react.demos


def test_a_copy_shares_its_tools_functions(serve: Any) -> None:
    class Counter:
        count = 0

        def add(self, n: int) -> int:
            self.count += n
            return self.count

    counter = Counter()
    serve([turn("Add.", "add", {"n": 2}), DONE, ANSWER])
    copied = agent(counter.add).deepcopy()
    assert copied(question="?").trajectory["observation_0"] == 2 == counter.count


def test_no_log_line_has_a_traceback(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    serve([turn("Try.", "fails"), DONE, ANSWER])
    with caplog.at_level(logging.DEBUG, logger="lmstream_sync"):
        agent()(question="?")
    assert "Traceback" not in caplog.text
