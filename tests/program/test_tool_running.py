"""Running the tool calls that a model asks for, and what it is told of each."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import json
import re
import threading
from collections.abc import Iterator
from typing import Any

import pydantic
import pytest

import lmstream_sync as lms
from lmstream_sync.program import arun_tool_calls, run_tool_calls
from lmstream_sync.program.tool_running import OBSERVATION_LIMIT
from lmstream_sync.runtime.crossing import run
from lmstream_sync.signatures.types.tool_calls import ToolCalls
from lmstream_sync.testing import Reply


def calls(*names: str) -> ToolCalls:
    return ToolCalls.from_dict_list([{"name": name, "args": {}} for name in names])


def observed(value: Any) -> Any:
    """What is told of a tool that returns this."""
    [result] = run_tool_calls(calls("give"), [lms.Tool(lambda: value, name="give")])
    assert result.error is None and result.value is value
    json.dumps(result.observation)  # whatever it is, it can be written
    return result.observation


class Model(pydantic.BaseModel):
    n: int


@dataclasses.dataclass
class Data:
    n: int


class Silent:
    """Says nothing of itself."""


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class BrokenModel(Model):
    def model_dump(self, **options: Any) -> Any:
        raise RuntimeError("no text")


def generator() -> Iterator[int]:
    yield 1


RECURSIVE: list[Any] = []
RECURSIVE.append(RECURSIVE)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("text", "text"),
        (None, None),
        (3, 3),
        ({"a": [1, {2}]}, {"a": [1, [2]]}),
        (Model(n=1), {"n": 1}),
        ([Data(n=1)], [{"n": 1}]),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (b"caf\xc3\xa9", "café"),
        (lms.Prediction(answer="a"), {"answer": "a"}),
        ("\ud83d", "\ud83d"),
    ],
)
def test_a_value_is_told_as_plain_data(value: Any, told: Any) -> None:
    assert observed(value) == told


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Silent(), "a Silent, which has no text form"),
        (Broken(), r"a Broken that cannot be written as text \(RuntimeError\)"),
        ({"deep": Broken()}, "a dict that cannot be written"),
        (BrokenModel(n=1), "a BrokenModel that cannot be written"),
        (RECURSIVE, r"a list that cannot be written as text \(RecursionError\)"),
        (b"\xff\xfe\x00", r"a bytes that cannot be written as text \(UnicodeDecodeError\)"),
        pytest.param(10**5000, r"a int that cannot be written as text \(ValueError\)", id="long"),
        (generator(), "a generator, which cannot be written; it must return the values, as a list"),
        (map(str, [1]), "a map, which cannot be written"),
    ],
)
def test_what_cannot_be_written_is_said_so(value: Any, said: str) -> None:
    assert re.search(said, observed(value))


def test_a_huge_value_is_cut_and_says_so() -> None:
    for value in ("x" * 3_000_000, ["x" * 1000] * 3000):
        told = observed(value)
        assert OBSERVATION_LIMIT < len(told) < OBSERVATION_LIMIT + 100
        assert told.endswith("characters in all)")


def test_results_come_in_the_order_of_the_calls_and_errors_with_them() -> None:
    def fails() -> None:
        """Raises."""
        raise ValueError("x" * 10_000)

    async def wakes() -> str:
        """Lets the other wait no more."""
        awake.set()
        return "awake"

    def waits() -> str:
        """Waits for the other."""
        return "woken" if awake.wait(10) else "still asleep"

    awake = threading.Event()
    results = run_tool_calls(calls("waits", "fails", "wakes", "nothing"), [waits, fails, wakes])
    assert [result.call.name for result in results] == ["waits", "fails", "wakes", "nothing"]
    assert [result.value for result in results] == ["woken", None, "awake", None]
    assert isinstance(results[1].error, ValueError) and isinstance(results[3].error, lms.ToolError)
    assert results[1].observation.startswith("Execution error in fails: ValueError: xxx")
    assert len(results[1].observation) < 2_200
    assert results[3].observation == "There is no tool 'nothing'; the tools are: waits, fails, wakes."


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(("error", "said"), [(Mute(), "Mute"), (KeyError(), "KeyError"), (OSError(2, "gone"), "gone")])
def test_an_error_of_any_kind_is_told(error: Exception, said: str) -> None:
    def fails() -> None:
        """Raises."""
        raise error

    [result] = run_tool_calls(calls("fails"), [fails])
    assert result.observation.startswith("Execution error in fails: ") and said in result.observation


def test_a_key_in_an_error_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEATHER_API_KEY", "plain-and-secret")

    def fails() -> None:
        """Raises."""
        raise RuntimeError("401 for plain-and-secret and Bearer abcdefgh")

    [result] = run_tool_calls(calls("fails"), [fails])
    assert result.observation == "Execution error in fails: RuntimeError: 401 for *** and Bearer ***"


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_what_ends_a_process_is_no_observation(error: type[BaseException]) -> None:
    def leaves() -> None:
        """Leaves."""
        raise error

    with pytest.raises(error):
        run_tool_calls(calls("leaves"), [leaves])


def test_none_goes_on_when_one_ends_badly() -> None:
    ended = threading.Event()

    async def waits() -> None:
        """Waits."""
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def leaves() -> None:
        """Leaves."""
        raise SystemExit

    with pytest.raises(SystemExit):
        run_tool_calls(calls("waits", "leaves"), [waits, leaves])
    assert ended.wait(10)


def test_it_is_awaited_on_any_loop_and_refused_where_it_would_block() -> None:
    async def give() -> str:
        """Gives."""
        return "given"

    async def theirs() -> Any:
        return [result.value for result in await arun_tool_calls(calls("give", "give"), {"give": give})]

    assert asyncio.run(theirs()) == run(theirs, instead="") == ["given", "given"]

    async def blocks() -> Any:
        return run_tool_calls(calls("give"), [give])

    with pytest.raises(lms.StreamError, match="arun_tool_calls"):
        run(blocks, instead="")


def test_tools_may_be_given_by_name() -> None:
    tool = lms.Tool(lambda: 1, name="other")
    results = run_tool_calls(calls("one", "two"), {"one": tool, "two": lambda: 2})
    assert [result.value for result in results] == [1, 2] and tool.name == "other"


def test_what_a_tool_emits_stands_between_its_start_and_end() -> None:
    def works() -> None:
        """Works."""
        lms.emit("half")

    async def program() -> None:
        await arun_tool_calls(calls("works"), [works])

    events = list(lms.streamify(program)())
    assert [getattr(event, "kind", event) for event in events] == ["tool_start", "half", "tool_end"]


def test_no_calls_are_no_results() -> None:
    assert run_tool_calls([], [lambda: 1]) == []


@pytest.mark.parametrize("streamed", [True, False])
def test_a_predictors_calls_that_cannot_be_read_are_asked_for_once_more_then_an_error(
    serve: Any, streamed: bool
) -> None:
    wire = {"type": "function", "function": {"name": "find", "arguments": "cats"}}
    server = serve(Reply(tool_calls=[wire]))
    predict = lms.Predict("question, tools: list[dspy.Tool] -> calls: dspy.ToolCalls")
    program: Any = lms.streamify(predict, False, [lms.StreamListener("calls")]) if streamed else predict
    adapter = lms.ChatAdapter(use_native_function_calling=True)
    with (
        lms.context(adapter=adapter),
        pytest.raises(lms.AdapterParseError, match="'find' are no JSON object") as caught,
    ):
        made = program(question="?", tools=[lms.Tool(len, name="find")])
        list(made)
    assert caught.value.field == "calls" and "cats" in caught.value.lm_response
    assert len(server.requests) == 2
