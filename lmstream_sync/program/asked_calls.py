"""`AskedCalls`: the tool calls of a reply as an agent takes them, also those that cannot be made.

A call whose arguments are no JSON object, or that names no tool, is told to the model; a reply
that does not parse is not. Imports pydantic, so an agent that needs it loads it when it is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lmstream_sync.signatures.types.tool_calls import ToolCall, ToolCalls, call_parts

__all__ = ["AskedCalls"]


class AskedCall(ToolCall):
    """A call; `args` is what the model wrote, where that is no JSON object."""

    name: str = ""
    args: Any = None


class AskedCalls(ToolCalls):
    """The calls of one reply, in order."""

    tool_calls: list[AskedCall] = []  # type: ignore[assignment]

    @classmethod
    def from_wire(cls, calls: Iterable[Mapping[str, Any]]) -> AskedCalls:
        """The calls of a message in the wire format, whatever they hold."""
        parts = [call_parts(call) for call in calls]
        return cls(tool_calls=[AskedCall(**{**each, "name": str(each["name"] or "")}) for each in parts])
