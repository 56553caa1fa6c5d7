"""`ToolCalls`: the calls of tools that a model asks for, read from text or from the wire format.

The wire format is that of OpenAI's chat completions (`message.tool_calls`); the other shapes
that are read are DSPy's. This module imports pydantic: whoever needs it loads it, in the
thread that makes a program.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import pydantic
from pydantic.json_schema import SkipJsonSchema

from lmstream_sync.errors import ToolError
from lmstream_sync.signatures.types.base import Type

__all__ = ["ToolCall", "ToolCalls", "call_parts"]

#: What models write where they call nothing.
_NOTHING = frozenset({"", "null", "none", "n/a"})


class ToolCall(pydantic.BaseModel):
    """One call of one tool.

    Attributes:
        name: of the tool.
        args: argument → value, as the model gave it.
        id: the provider's name for this call; `None` where it has none.
    """

    # What a schema tells the model: not the docstring, which is for the program's author.
    model_config = pydantic.ConfigDict(json_schema_extra={"description": "one call", "required": ["name", "args"]})

    name: str
    args: dict[str, Any] = pydantic.Field(default_factory=dict, json_schema_extra={"additionalProperties": True})
    id: SkipJsonSchema[str | None] = None

    @pydantic.model_validator(mode="before")
    @classmethod
    def _of_any_shape(cls, data: Any) -> Any:
        return call_parts(data) if isinstance(data, Mapping) else data

    @pydantic.model_serializer(mode="plain")
    def _as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "args": self.args} | ({} if self.id is None else {"id": self.id})

    def execute(self, functions: Mapping[str, Callable[..., Any]] | Sequence[Any]) -> Any:
        """Call the function that is meant and wait for it.

        Args:
            functions: name → function, or `Tool` objects.

        Raises:
            ToolError: there is none of that name.
            Exception: what the function raises, as it is.
        """
        known = functions if isinstance(functions, Mapping) else {tool.name: tool for tool in functions}
        if self.name not in known:
            raise ToolError(f"there is no tool {self.name!r}; the tools are: {', '.join(known) or 'none'}")
        return known[self.name](**self.args)


_Call = ToolCall  # within `ToolCalls` the name means its attribute


class ToolCalls(Type):
    """The tool calls of one reply, in order; none means that the model calls nothing.

        class Act(lms.Signature):
            question: str = lms.InputField()
            tools: list[lms.Tool] = lms.InputField()
            calls: lms.ToolCalls = lms.OutputField()

    Validation takes `{"tool_calls": [...]}`, a list, or a single call; each call as
    `{"name": ..., "args": {...}}`, with `arguments` instead of `args`, or as the wire format
    has it. Arguments may be JSON text.

    Attributes:
        tool_calls: the calls.
    """

    model_config = pydantic.ConfigDict(
        json_schema_extra={
            "description": "the calls of tools, in order; an empty list where none is to be called",
            "required": ["tool_calls"],
        }
    )

    #: As in DSPy: `ToolCalls.ToolCall(name="search", args={})`.
    ToolCall: ClassVar[type[_Call]] = _Call

    #: What models may give beside their text: calls of tools.
    native_feature: ClassVar[str | None] = "tool_calls"

    tool_calls: list[_Call] = pydantic.Field(default_factory=list)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _of_any_shape(cls, data: Any) -> Any:
        if data is None or (isinstance(data, str) and data.strip().lower() in _NOTHING) or data == {}:
            return {"tool_calls": []}
        if isinstance(data, _Call):
            return {"tool_calls": [data]}
        if isinstance(data, Mapping):
            if "tool_calls" in data:
                return {**data, "tool_calls": data["tool_calls"] or []}
            return {"tool_calls": [data]}
        return {"tool_calls": data} if isinstance(data, (list, tuple)) else data

    @classmethod
    def from_wire(cls, calls: Iterable[Mapping[str, Any]]) -> ToolCalls:
        """The calls of a message in the wire format.

        Args:
            calls: `{"id": ..., "type": "function", "function": {"name": ..., "arguments": "{...}"}}` each;
                arguments that are nearly JSON are repaired, empty ones are none.

        Raises:
            ValueError: a call without a name, or with arguments that are no JSON object.
        """
        return cls(tool_calls=[_call_of(call) for call in calls])

    @classmethod
    def from_dict_list(cls, tool_calls_dicts: Iterable[Mapping[str, Any]]) -> ToolCalls:
        """The same, under DSPy's name: of dicts with `name` and `args`."""
        return cls.from_wire(tool_calls_dicts)

    def to_wire(self) -> list[dict[str, Any]]:
        """The calls as a message has them; those without an id are numbered."""
        return [
            {
                "id": call.id or f"call_{index}",
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.args, ensure_ascii=False, default=str)},
            }
            for index, call in enumerate(self.tool_calls)
        ]

    @classmethod
    def description(cls) -> str:
        """What a prompt says of the form."""
        return (
            'a JSON object with the calls of tools in order, {"tool_calls": [{"name": "search", "args": '
            '{"query": "cats"}}]}; with an empty list where no tool is to be called'
        )

    def __bool__(self) -> bool:
        return bool(self.tool_calls)

    def __len__(self) -> int:
        return len(self.tool_calls)


def _call_of(call: Mapping[str, Any]) -> ToolCall:
    made = call_parts(call)
    if not made["name"] or not isinstance(made["name"], str):
        raise ValueError(f"a tool call has no name: {call!r:.200}")
    if not isinstance(made["args"], dict):
        raise ValueError(f"the arguments of the call of {made['name']!r} are no JSON object: {made['args']!r:.200}")
    return ToolCall(**made)


def call_parts(data: Mapping[str, Any]) -> dict[str, Any]:
    """A call as `name`, `args` and `id`, whatever shape it has; arguments that cannot be read stay as they are."""
    function = data.get("function")
    inner: Mapping[str, Any] = function if isinstance(function, Mapping) else data
    arguments = next((inner[key] for key in ("args", "arguments") if key in inner), None)
    return {
        "name": inner.get("name") or (function if isinstance(function, str) else data.get("name")),
        "args": _arguments(arguments),
        "id": data.get("id") or data.get("call_id"),
    }


def _arguments(given: Any) -> Any:
    """Arguments as a dict, where they can be read as one; else as they are."""
    if given is None:
        return {}
    if not isinstance(given, str):
        return dict(given) if isinstance(given, Mapping) else given
    text = given.strip()
    if not text:
        return {}
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        read = _mended(text)
    if isinstance(read, str):  # JSON within JSON: some models encode twice
        try:
            read = json.loads(read)
        except (ValueError, RecursionError):
            return given
    return {} if read is None else read if isinstance(read, dict) else given


def _mended(text: str) -> Any:
    import json_repair  # in memory since a field of this type was made

    try:
        return json_repair.loads(text) if text.startswith("{") else text
    except (ValueError, RecursionError):
        return text
