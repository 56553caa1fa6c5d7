"""What an agent asks a model each turn: its signature, and what becomes of an answer that cannot be acted on.

Such an answer is let through and told to the model, which a reply that does not parse is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from lmstream_sync.errors import SignatureError
from lmstream_sync.program.tool import Tool
from lmstream_sync.signatures import InputField, OutputField, Signature, SignatureMeta
from lmstream_sync.signatures.values import parse_value

__all__ = ["FINISH", "TRAJECTORY", "Call", "complaint_about", "step_signature", "with_trajectory"]

#: The tool that ends the loop.
FINISH = "finish"

TRAJECTORY = "trajectory"
_THOUGHT = "next_thought"
_NAMED = ("next_tool_name", "next_tool_args")
_NATIVE = ("tools", "tool_calls")


class Call(NamedTuple):
    """A call as a reply asks for it.

    Attributes:
        name: of the tool; what the model wrote, where there is no such tool.
        args: argument → value; what the model wrote, where it is no JSON object.
    """

    name: str
    args: Any


def step_signature(asks: SignatureMeta, tools: Mapping[str, Tool], *, native: bool) -> type[Signature]:
    """The signature of one turn.

    Args:
        asks: the agent's.
        tools: name → tool, `finish` among them.
        native: calls come as `tool_calls`, which models give beside their text.

    Raises:
        SignatureError: the agent's signature has a field of a name used here.
    """
    own = (TRAJECTORY, _THOUGHT, *(_NATIVE if native else _NAMED))
    if taken := [name for name in own if name in asks.fields]:
        raise SignatureError(f"{asks.signature!r}: ReAct has fields of its own named {', '.join(taken)}; rename yours")
    goal = ", ".join(f"`{name}`" for name in asks.output_fields)
    told = [
        asks.instructions,
        f"You are an agent: turn by turn you use tools to find out what is needed for {goal}, which you will be "
        f"asked for at the end. `{TRAJECTORY}` shows the turns so far; what came of a call stands there as its "
        "observation.",
    ]
    fields: dict[str, Any] = {name: (field.annotation, field) for name, field in asks.input_fields.items()}
    fields[TRAJECTORY] = (str, _trajectory())
    thought = "what is known, what is missing, and what to do next"
    if native:
        # Imports pydantic, which a program of plain strings does without.
        from lmstream_sync.program.asked_calls import AskedCalls

        calls = OutputField(desc="several at once where none needs another's result", default_factory=AskedCalls)
        fields |= {
            "tools": (list[Tool], InputField(desc="what can be called")),
            _THOUGHT: (str, OutputField(desc=thought, default="")),
            "tool_calls": (AskedCalls, calls),
        }
        told.append("Call the tools that help now; when nothing is missing any more, call none.")
    else:
        arguments = OutputField(desc="its arguments by name, as a JSON object", default_factory=dict)
        fields |= {
            _THOUGHT: (str, OutputField(desc=thought)),
            "next_tool_name": (_name_type(tools), OutputField(desc="the tool to call")),
            "next_tool_args": (_args_type(), arguments),
        }
        told.append("\n".join(["The tools:", *(f"{number}. {tool}" for number, tool in enumerate(tools.values(), 1))]))
    made: Any = Signature(fields, "\n\n".join(told))
    found: type[Signature] = made
    return found


def with_trajectory(asks: type[Signature]) -> type[Signature]:
    """The signature of the last step: the agent's, with the trajectory among the inputs."""
    return asks.append(TRAJECTORY, _trajectory(), str)


def _trajectory() -> Any:
    return InputField(desc="what was thought, done and observed so far")


def _name_type(names: Iterable[str]) -> Any:
    """The type of `next_tool_name`: a `Literal` of the tools, that lets another name through.

    A name that does not exist is told to the model, which a reply that does not parse is not.
    """
    import pydantic  # a program without an agent does without it

    return Annotated[Literal[tuple(names)], pydantic.WrapValidator(_any_name)]


def _args_type() -> Any:
    """The type of `next_tool_args`: `dict[str, Any]`, that lets what is no JSON object through."""
    import pydantic

    return Annotated[dict[str, Any], pydantic.WrapValidator(_any_args)]


def _any_name(value: Any, fits: Callable[[Any], Any]) -> str:
    try:
        name: str = fits(value.strip(" \t\n\"'`") if isinstance(value, str) else value)
    except ValueError:
        return str(value)
    return name


def _any_args(value: Any, fits: Callable[[Any], Any]) -> Any:
    if value is None or (isinstance(value, str) and value.strip().lower() in ("", "none", "null")):
        return {}
    try:
        return fits(value) if not isinstance(value, str) else parse_value(dict[str, Any], value)
    except ValueError:
        return value


def complaint_about(name: str, args: Any, tools: Iterable[str]) -> str:
    """What is to be told to the model of a call that cannot be made; empty where it can."""
    if name not in tools:
        return f"There is no tool {name!r}; the tools are: {', '.join(tools)}."
    if not isinstance(args, dict):
        return "The arguments are no JSON object; they must be one, value by argument, {} for none."
    return ""
