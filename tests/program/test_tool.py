"""`Tool`: what it says of a function, and how it is called."""

from __future__ import annotations

import asyncio
import functools
import inspect
import math
import threading
from collections.abc import Iterator
from datetime import date
from enum import Enum
from typing import Any, Literal

import jsonschema
import pydantic
import pytest

import lmstream_sync as lms
from lmstream_sync.runtime.crossing import run

from .conftest import Hooks


def weather(city: str, days: int = 1, unit: Literal["C", "F"] = "C") -> str:
    """The weather of the next days.

    Args:
        city: where to look,
            as people call it
        days (int): how many

    Returns:
        nothing: of note
    """
    return f"{city} {days + 0} {unit}"


async def slow_weather(city: str, days: int = 1) -> str:
    """The weather, awaited."""
    await asyncio.sleep(0)
    return f"{city} {days + 0}"


def called(tool: lms.Tool, *args: Any, **kwargs: Any) -> Any:
    return tool(*args, **kwargs)


def awaited(tool: lms.Tool, *args: Any, **kwargs: Any) -> Any:
    return asyncio.run(tool.acall(*args, **kwargs))


def on_our_loop(tool: lms.Tool, *args: Any, **kwargs: Any) -> Any:
    return run(lambda: tool.acall(*args, **kwargs), instead="")


WAYS = [called, awaited, on_our_loop]


def test_it_says_what_the_function_says() -> None:
    tool = lms.Tool(weather)
    assert tool.name == "weather" and tool.desc.startswith("The weather of the next days.")
    assert tool.args == {
        "city": {"type": "string", "description": "where to look, as people call it"},
        "days": {"type": "integer", "default": 1, "description": "how many"},
        "unit": {"enum": ["C", "F"], "type": "string", "default": "C"},
    }
    assert tool.arg_types == {"city": str, "days": int, "unit": Literal["C", "F"]}
    assert repr(tool) == "Tool(weather(city, days, unit))"


def test_what_is_given_wins() -> None:
    tool = lms.Tool(weather, name="w", desc="d", args={"city": {"type": "string"}}, arg_desc={"city": "a town"})
    assert (tool.name, tool.desc, tool.args) == ("w", "d", {"city": {"type": "string", "description": "a town"}})
    assert lms.Tool(weather, arg_types={"days": float}).args["days"]["type"] == "number"


class Adds:
    """Adds what it was made with."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __call__(self, x: int) -> int:
        """Add."""
        return x + self.n


class AddsAsync(Adds):
    async def __call__(self, x: int) -> int:  # type: ignore[override]
        return x + self.n


@pytest.mark.parametrize(
    ("func", "name"),
    [
        (Adds(1), "Adds"),
        (AddsAsync(1), "AddsAsync"),
        (Adds(1).__call__, "__call__"),
        (functools.partial(lambda x, n: x + n, n=1), "<lambda>"),
        (lambda x: x + 1, "<lambda>"),
        (lambda x: asyncio.sleep(0, x + 1), "<lambda>"),
    ],
    ids=["object", "async object", "method", "partial", "lambda", "function that gives an awaitable"],
)
@pytest.mark.parametrize("way", WAYS)
def test_anything_that_can_be_called_is_a_tool(func: Any, name: str, way: Any) -> None:
    tool = lms.Tool(func)
    assert tool.name == name and "x" in tool.args
    assert way(tool, x=2) == 3


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("func", [weather, slow_weather])
def test_arguments_come_as_their_types(way: Any, func: Any) -> None:
    assert way(lms.Tool(func), city="Bern", days="3").startswith("Bern 3")
    assert way(lms.Tool(func), "Bern", 2).startswith("Bern 2")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "missing.*city.*its arguments are: city, days, unit"),
        ({"city": "Bern", "town": 1}, "town"),
        ({"city": "Bern", "days": "many"}, "'days' of the tool weather does not fit: .*integer"),
        ({"city": "Bern", "unit": "K"}, "'unit'"),
    ],
)
def test_arguments_that_do_not_fit_are_named(way: Any, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(lms.ToolError, match=said):
        way(lms.Tool(weather), **arguments)


def test_any_argument_is_taken_by_a_function_that_takes_any() -> None:
    assert lms.Tool(lambda **kwargs: kwargs)(a=1, b=2) == {"a": 1, "b": 2}
    assert lms.Tool(lambda *args, last=0: (args, last))(1, 2, last=3) == ((1, 2), 3)


class Colour(Enum):
    RED = "red"


class Unknown:
    """A class that pydantic knows nothing of."""


def test_types_of_every_kind_are_taken() -> None:
    value = Unknown()

    def paint(colour: Colour, thing: Unknown, coats: list[int] | None = None) -> tuple[Any, ...]:
        return colour, thing, coats

    tool = lms.Tool(paint, arg_types={"colour": Colour, "thing": Unknown})
    assert tool(colour="red", thing=value, coats=["1"])[:2] == (Colour.RED, value)
    assert tool.args["thing"] == {} and tool.args["colour"]["enum"] == ["red"]


def test_a_plain_function_runs_in_a_worker_when_awaited_and_in_the_callers_thread_when_called() -> None:
    tool = lms.Tool(lambda: threading.current_thread().name, name="where")
    assert called(tool) == threading.current_thread().name
    assert awaited(tool) == on_our_loop(tool) == "lmstream-worker"


def test_an_asynchronous_tool_called_on_the_loop_names_acall() -> None:
    for func in (slow_weather, lambda city: slow_weather(city)):
        tool = lms.Tool(func, name="slow")

        async def blocks(tool: lms.Tool = tool) -> Any:
            return tool(city="Bern")

        with pytest.raises(lms.StreamError, match=r"await slow\.acall"):
            run(blocks, instead="")


def test_a_slow_tool_called_on_the_loop_is_named_in_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    nobody = threading.Event()
    tool = lms.Tool(lambda: nobody.wait(0.15), name="sleepy")

    async def blocks() -> Any:
        return tool()

    run(blocks, instead="")
    assert "the tool sleepy took" in caplog.text and "await sleepy.acall" in caplog.text


@pytest.mark.parametrize("way", WAYS)
def test_hooks_see_its_start_and_end(hooks: Hooks, way: Any) -> None:
    own = Hooks()
    way(lms.Tool(weather, callbacks=[own]), "Bern", days=2)
    assert hooks.seen == own.seen
    assert own.seen == [("tool", "weather", {"city": "Bern", "days": 2}), ("tool end", "Bern 2 C", "NoneType")]


@pytest.mark.parametrize("way", WAYS)
def test_what_it_raises_comes_as_it_is_and_is_told(hooks: Hooks, way: Any) -> None:
    def fails() -> None:
        raise KeyError("own")

    with pytest.raises(KeyError, match="own"):
        way(lms.Tool(fails))
    assert hooks.seen == [("tool", "fails", {}), ("tool end", None, "KeyError")]


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(lms.ConfigurationError, match="give a function"):
        lms.Tool(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_it_does_not_begin_for_a_reader_who_has_gone(asynchronous: bool) -> None:
    ran: list[int] = []
    tool = lms.Tool(lambda n: ran.append(n), name="step")
    gone, ended = threading.Event(), threading.Event()

    def program() -> Iterator[str]:
        try:
            tool(n=1)
            yield "one"
            gone.wait(10)
            try:
                tool(n=2)
            except Exception:
                tool(n=3)
        finally:
            ended.set()

    async def asynchronous_program() -> Any:
        try:
            await tool.acall(n=1)
            await lms.aemit("one")
            while True:
                try:
                    await tool.acall(n=1)
                except Exception:
                    ran.append(3)
        finally:
            ended.set()

    stream = lms.streamify(asynchronous_program if asynchronous else program, False)()
    assert next(stream) == "one"
    closing = threading.Thread(target=stream.close)
    closing.start()
    while not stream._call.stopping:  # `closed` is true before the loop has heard of it
        threading.Event().wait(0.001)
    gone.set()
    closing.join(10)
    assert ended.wait(10)
    assert set(ran) == {1}


def test_what_was_emitted_on_the_loop_goes_out_before_an_awaited_tool() -> None:
    async def nothing() -> None:
        return None

    tool = lms.Tool(nothing)

    async def program() -> None:
        for i in range(50):
            lms.emit(i)
            await tool.acall()

    assert list(lms.streamify(program, False, queue_size=2)()) == list(range(50))


# What models and requests are told, and what they send.


class Leaf(pydantic.BaseModel):
    """Holds others of its kind."""

    name: str
    inner: list[Leaf] = []


class Stay(pydantic.BaseModel):
    city: str
    colour: Colour = Colour.RED


def book(stay: Stay, leaf: Leaf | None = None, since: date = date(2026, 1, 2), /, *, nights: int = 1) -> str:
    """Books.

    Args:
        stay: where
    """
    return f"{type(stay).__name__} {type(leaf).__name__} {since} {nights + 0}"


def test_the_wire_format_has_one_schema_of_all_arguments() -> None:
    said = lms.Tool(book).format_as_litellm_function_call()
    assert said["type"] == "function"
    assert (said["function"]["name"], said["function"]["description"]) == ("book", inspect.getdoc(book))
    schema = said["function"]["parameters"]
    assert schema["type"] == "object" and schema["required"] == ["stay"]
    assert schema["properties"]["stay"]["properties"]["colour"]["enum"] == ["red"]
    assert schema["properties"]["since"]["default"] == "2026-01-02"
    jsonschema.validate({"stay": {"city": "Bern"}, "leaf": {"name": "a", "inner": [{"name": "b"}]}}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"stay": {"city": "Bern"}, "leaf": {"name": "a", "inner": [{"nom": "b"}]}}, schema)


def test_two_types_of_one_name_that_cannot_be_told_apart_are_refused() -> None:
    def other() -> type[Any]:
        class Leaf(pydantic.BaseModel):
            size: int
            inner: list[Leaf] = []

        return Leaf

    tool = lms.Tool(lambda a, b: None, name="both", arg_types={"a": Leaf, "b": other()})
    with pytest.raises(lms.ConfigurationError, match="named Leaf"):
        tool.format_as_litellm_function_call()


def test_the_prompt_has_name_description_and_arguments() -> None:
    said = str(lms.Tool(weather))
    assert said == lms.Tool(weather).format()
    assert said.startswith("weather: The weather of the next days.") and '"city": {"type": "string"' in said
    assert "\n" not in said
    assert str(lms.Tool(lambda: 1, name="none")) == "none (arguments, each with its JSON schema: none)"


@pytest.mark.parametrize("way", WAYS)
def test_arguments_of_models_come_as_dicts_or_json(way: Any) -> None:
    for stay in ({"city": "Bern"}, '{"city": "Bern"}', Stay(city="Bern")):
        assert way(lms.Tool(book), stay=stay, leaf={"name": "a"}, since="2026-01-03", nights="2") == (
            "Stay Leaf 2026-01-03 2"
        )


def test_types_that_only_the_function_around_knows_are_found() -> None:
    class Here(pydantic.BaseModel):
        n: int

    def tool(here: Here, hidden: NowhereKnown = None, n: int = 0) -> str:  # type: ignore[name-defined]  # noqa: F821
        return f"{type(here).__name__} {n + 0}"

    assert lms.Tool(tool)(here={"n": 1}, n="2") == "Here 2"
    assert lms.Tool(tool).args["here"]["properties"]["n"] == {"title": "N", "type": "integer"}


def test_a_class_and_a_builtin_are_tools() -> None:
    made = lms.Tool(Stay)(city="Bern", colour="red")
    assert made == Stay(city="Bern") and list(lms.Tool(Stay).args) == ["city", "colour"]
    assert lms.Tool(Adds)(n="3").n == 3
    assert lms.Tool(math.sqrt)(x=9) == 3.0


def test_a_function_that_takes_any_argument_says_so() -> None:
    tool = lms.Tool(lambda a, **more: (a, more), name="any")
    assert tool.has_kwargs and not lms.Tool(weather).has_kwargs
    assert tool.format_as_litellm_function_call()["function"]["parameters"] == {
        "type": "object",
        "properties": {"a": {}},
        "required": ["a"],
        "additionalProperties": True,
    }
    assert tool(a=1, b=2) == (1, {"b": 2})
