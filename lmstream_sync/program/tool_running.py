"""Runs the tool calls that a model asks for, and says what came of each in words that a model can read.

Calls of one reply run at the same time: asynchronous tools on the loop, synchronous ones in
worker threads. What a tool returns or raises becomes an observation: plain data, as JSON has it.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from lmstream_sync.errors import ConfigurationError, LMStreamError, ToolError
from lmstream_sync.lm.secrets import known_secrets, scrub
from lmstream_sync.program.tool import Tool
from lmstream_sync.runtime import crossing
from lmstream_sync.runtime.workers import in_worker
from lmstream_sync.signatures.plain import jsonable
from lmstream_sync.signatures.values import text_of

__all__ = ["AskedCall", "ToolResult", "arun_tool_calls", "run_tool_calls", "tools_by_name"]

#: The longest observation: characters. What is longer is cut, and says so.
OBSERVATION_LIMIT = 100_000

#: The longest text of an error: characters.
ERROR_LIMIT = 2_000

_log = logging.getLogger("lmstream_sync.tool")

_AT_ONCE = (str, int, float, bool, type(None))


class AskedCall(Protocol):
    """A call that a model asks for, such as `ToolCalls.ToolCall`."""

    @property
    def name(self) -> str:
        """Of the tool."""
        ...

    @property
    def args(self) -> Mapping[str, Any]:
        """Argument → value."""
        ...


class ToolResult(NamedTuple):
    """What came of one call.

    Attributes:
        call: what was asked for.
        value: what the tool returned; `None` where it failed.
        error: what it raised, or the `ToolError` that says why it was not called; else `None`.
        observation: the value as plain data (dicts, lists, text, numbers), or the error in
            words; what has no text form, or more than 100,000 characters, says so instead.
    """

    call: AskedCall
    value: Any
    error: Exception | None
    observation: Any


def tools_by_name(tools: Iterable[Any] | Mapping[str, Any]) -> dict[str, Tool]:
    """Name → tool.

    Args:
        tools: `Tool` objects, or functions, which are made tools; or name → either.

    Raises:
        ConfigurationError: two have the same name, or one cannot be called.
    """
    if isinstance(tools, Mapping):
        return {name: _named(tool, name) for name, tool in tools.items()}
    if callable(tools) or not isinstance(tools, Iterable):
        raise ConfigurationError(f"tools={tools!r:.80}: give a list of functions or lms.Tool objects")
    found: dict[str, Tool] = {}
    listed: Iterable[Any] = tools
    for each in listed:
        tool = each if isinstance(each, Tool) else Tool(each)
        if tool.name in found:
            raise ConfigurationError(f"two tools are named {tool.name!r}; name one of them: lms.Tool(func, name=...)")
        found[tool.name] = tool
    return found


def _named(tool: Any, name: str) -> Tool:
    made = copy.copy(tool) if isinstance(tool, Tool) else Tool(tool, name=name)
    made.name = name
    return made


def run_tool_calls(calls: Any, tools: Iterable[Any] | Mapping[str, Any]) -> list[ToolResult]:
    """Run tool calls at the same time and wait for all of them.

    Args:
        calls: a `ToolCalls`, or a list of its calls.
        tools: `Tool` objects, functions, or name → either.

    Returns:
        A result for each call, in the order of the calls; a tool that fails has its error there.

    Raises:
        ConfigurationError: see `tools_by_name`.
        StreamError: on the event-loop thread, where it would have to wait.
    """
    known = tools_by_name(tools)
    return crossing.run(lambda: arun_tool_calls(calls, known), instead="await arun_tool_calls(...)", name="tool calls")


async def arun_tool_calls(calls: Any, tools: Iterable[Any] | Mapping[str, Any]) -> list[ToolResult]:
    """`run_tool_calls`, awaited; on any event loop."""
    known = tools_by_name(tools)
    asked: Sequence[AskedCall] = list(getattr(calls, "tool_calls", calls))
    if len(asked) == 1:
        return [await _result(asked[0], known)]
    running = [asyncio.ensure_future(_result(call, known)) for call in asked]
    try:
        return list(await asyncio.gather(*running))
    finally:
        # Left only where this was stopped: `gather` alone would let them go on for nobody.
        left = [task for task in running if not task.done()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)


async def _result(call: AskedCall, tools: Mapping[str, Tool]) -> ToolResult:
    try:
        if call.name not in tools:
            raise ToolError(f"There is no tool {call.name!r}; the tools are: {', '.join(tools) or 'none'}.")
        value = await tools[call.name].acall(**call.args)
        if isinstance(value, _AT_ONCE):
            observation = _observed(value)
        else:
            # Turning it into text may run the user's code, and take its time.
            observation = await in_worker(partial(_observed, value), name=f"writing what {call.name} returned")
    except Exception as error:
        told = await _told(call, error, call.name in tools)
        _log.warning("a tool call failed, and the model is told: %s", told)
        return ToolResult(call, None, error, told)
    return ToolResult(call, value, None, observation)


async def _told(call: AskedCall, error: Exception, known: bool) -> str:
    """An error in words, without its traceback and without keys."""
    text = scrub(await _text_of(error), known_secrets({}))
    if len(text) > ERROR_LIMIT:
        text = f"{text[:ERROR_LIMIT]}... ({len(text):,} characters)"
    return f"Execution error in {call.name}: {text}" if known else text


async def _text_of(error: Exception) -> str:
    if isinstance(error, LMStreamError):
        return str(error)  # it says itself what is wrong
    said = await in_worker(partial(_safely, str, error), name="an error's text")
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _safely(write: Callable[[Any], str], value: Any) -> str:
    try:
        return write(value)
    except Exception:
        return ""


def _observed(value: Any) -> Any:
    """What a tool returned as plain data, or what is to be said instead."""
    kind = type(value).__name__
    if isinstance(value, (Iterator, AsyncIterator, Awaitable)):
        return f"The tool returned a {kind}, which cannot be written; it must return the values, as a list."
    try:
        if isinstance(value, (bytes, bytearray)):
            bytes(value).decode()
        plain = jsonable(value)
        text = text_of(plain)
    except Exception as error:  # whatever a foreign `__str__` raises; a value that holds itself
        return f"The tool returned a {kind} that cannot be written as text ({type(error).__name__})."
    if isinstance(plain, str) and not isinstance(value, str) and _says_nothing(type(value)):
        return f"The tool returned a {kind}, which has no text form."
    if len(text) > OBSERVATION_LIMIT:
        return f"{text[:OBSERVATION_LIMIT]}... (cut here; {len(text):,} characters in all)"
    return plain


def _says_nothing(kind: Any) -> bool:
    """Whether all that a value of this class says of itself is where it lies in memory."""
    return kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__
