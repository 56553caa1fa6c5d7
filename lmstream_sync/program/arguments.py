"""The arguments of a tool: what its function says of them, as JSON schemas, and whether a call's fit.

Reads annotations and docstrings. pydantic makes the schemas and checks the values; it is
loaded when the first tool with a typed argument is made, so not on the event-loop thread.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from lmstream_sync.program.schemas import inlined

__all__ = ["Argument", "arguments_of", "hints_of", "unwrapped"]

_UNNAMED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)

#: A line of an "Args:" section: `city (str): where to look`.
_DESCRIBED = re.compile(r"\s*\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.+)")


class Argument:
    """One argument of a tool.

    Args:
        annotation: its type; `Any` where none was given.

    Attributes:
        annotation: its type.
        schema: its JSON schema; empty where the type has none.
    """

    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation
        self.schema: dict[str, Any] = {}
        self._adapter: Any = None
        if annotation is Any:
            return
        import pydantic

        try:
            self._adapter = pydantic.TypeAdapter(annotation)
            self.schema = inlined(self._adapter.json_schema())
        except pydantic.errors.PydanticUserError:
            pass  # a class that pydantic knows nothing of: any value may be meant

    def fit(self, value: Any) -> Any:
        """The value as the type has it: `"5"` for an `int` is 5, a dict for a model is that model.

        Text that holds JSON does for an object or a list, as models often send it.

        Raises:
            ValueError: it does not fit; the message is one line.
        """
        if self._adapter is None or type(value) is self.annotation:
            return value
        import pydantic

        try:
            return self._adapter.validate_python(value)
        except pydantic.ValidationError as error:
            wrong = error.errors(include_url=False, include_context=False, include_input=False)
        if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
            with contextlib.suppress(ValueError, RecursionError):
                return self._adapter.validate_python(json.loads(value))
        places = ((".".join(str(part) for part in one["loc"]), one["msg"]) for one in wrong)
        raise ValueError("; ".join(f"{place}: {message}" if place else message for place, message in places))

    def tell_default(self, default: Any) -> None:
        """Put a default into the schema, where JSON can write it."""
        if self._adapter is not None and not _is_plain(default):
            with contextlib.suppress(Exception):  # a value that its own type does not allow
                default = self._adapter.dump_python(default, mode="json", warnings=False)
        if _is_plain(default):
            self.schema["default"] = default


def arguments_of(func: Callable[..., Any], types: Mapping[str, Any]) -> dict[str, Argument]:
    """Name → argument of a function, without `*args` and `**kwargs`; empty where it does not tell.

    Args:
        func: the function; its schemas take defaults, and descriptions from its docstring.
        types: types that win over annotations.
    """
    try:
        parameters = inspect.signature(func).parameters.values()
    except (TypeError, ValueError):
        return {name: Argument(annotation) for name, annotation in types.items()}
    hints = {**hints_of(func), **types}
    described = _descriptions(func)
    found: dict[str, Argument] = {}
    for parameter in parameters:
        if parameter.kind in _UNNAMED:
            continue
        name = parameter.name
        own = Any if parameter.annotation is parameter.empty else parameter.annotation
        argument = found[name] = Argument(hints.get(name, Any if isinstance(own, str) else own))
        if parameter.default is not parameter.empty:
            argument.tell_default(parameter.default)
        if name in described:
            argument.schema.setdefault("description", described[name])
    return found


def unwrapped(func: Callable[..., Any]) -> Callable[..., Any]:
    """What bears the annotations and the docstring: the function of a `partial`, an object's `__call__`."""
    while isinstance(func, functools.partial):
        func = func.func
    if inspect.isroutine(func) or inspect.isclass(func):
        return func
    called: Callable[..., Any] = type(func).__call__.__get__(func)
    return called


def hints_of(func: Callable[..., Any]) -> dict[str, Any]:
    """Name → type of what a function takes, as far as the names in its annotations are known."""
    target = unwrapped(func)
    bearer = target.__init__ if inspect.isclass(target) else target
    with contextlib.suppress(NameError, TypeError):  # a name that this module does not have; a builtin
        return typing.get_type_hints(bearer, include_extras=True)
    written: Mapping[str, Any] = getattr(bearer, "__annotations__", None) or {}
    scope = {**getattr(inspect.unwrap(bearer), "__globals__", {}), **_names_around(bearer)}
    hints: dict[str, Any] = {}
    for name, annotation in written.items():
        holder = types.SimpleNamespace(__annotations__={name: annotation})
        with contextlib.suppress(Exception):  # a name that only a type checker sees
            hints.update(typing.get_type_hints(holder, scope, include_extras=True))
    return hints


def _names_around(func: Any) -> dict[str, Any]:
    """The names of the functions in which a function was written, as far as they still run: types made there."""
    inside = getattr(func, "__qualname__", "").split(".<locals>.")[:-1]
    found: dict[str, Any] = {}
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None and inside:
        if frame.f_code.co_name == inside[-1].rpartition(".")[2]:
            found = {**frame.f_locals, **found}
            inside.pop()
        frame = frame.f_back
    return found


def _descriptions(func: Callable[..., Any]) -> dict[str, str]:
    """What a docstring of Google's style says under "Args:", one line each with its continuations."""
    found: dict[str, str] = {}
    lines = iter((inspect.getdoc(unwrapped(func)) or "").splitlines())
    if not any(line.strip() in ("Args:", "Arguments:", "Parameters:") for line in lines):
        return found
    depth, name = None, ""
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if line.strip() and indent == 0:
            break
        depth = indent if depth is None and line.strip() else depth
        match = _DESCRIBED.fullmatch(line) if indent == depth else None
        if match:
            name = match[1]
            found[name] = match[2].strip()
        elif name and line.strip():
            found[name] += f" {line.strip()}"
    return found


def _is_plain(value: Any) -> bool:
    """Whether a default can stand in a JSON schema."""
    if isinstance(value, (list, tuple)):
        return all(_is_plain(each) for each in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(each) for key, each in value.items())
    return value is None or type(value) in (str, int, float, bool)
