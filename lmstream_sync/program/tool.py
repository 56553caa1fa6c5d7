"""`Tool`: a function that a program, or a model through it, may call, with hooks round each call."""

from __future__ import annotations

import copy
import inspect
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from lmstream_sync.callbacks import HookedCall, watching
from lmstream_sync.errors import ConfigurationError, ToolError
from lmstream_sync.program.arguments import Argument, arguments_of, unwrapped
from lmstream_sync.program.schemas import parameters_schema
from lmstream_sync.runtime import crossing
from lmstream_sync.runtime.clocks import touch
from lmstream_sync.runtime.loop import on_loop_thread
from lmstream_sync.runtime.waiting import forbid_on_loop
from lmstream_sync.runtime.workers import in_worker

if TYPE_CHECKING:
    from lmstream_sync.callbacks import BaseCallback

__all__ = ["Tool"]

_log = logging.getLogger("lmstream_sync.tool")

#: A synchronous tool called on the event loop that takes longer than this is named in a warning: seconds.
SLOW_ON_LOOP = 0.1


class Tool:
    """A function with a name, a description and typed arguments.

        def weather(city: str, days: int = 1) -> str:
            \"\"\"The weather of the next days.\"\"\"
            ...

        tool = lms.Tool(weather)
        tool(city="Bern")
        await tool.acall(city="Bern", days="3")

    Called either way, whether the function is synchronous or not. Its start and end are told
    to callbacks, and to the reader of a stream as status messages.

    Args:
        func: what is called; a function, a coroutine function or another callable.
        name: instead of the function's name.
        desc: what it does, instead of the function's docstring.
        args: argument → JSON schema, instead of what annotations and docstring say.
        arg_types: argument → type, over the annotations.
        arg_desc: argument → description, for the schemas.
        callbacks: `BaseCallback` objects that see its calls, besides those of the settings.

    Attributes:
        func, name, desc, args: as above.
        arg_types: argument → type, `Any` where none is known.
        has_kwargs: whether any further argument is taken.

    Raises:
        ConfigurationError: `func` cannot be called.
    """

    def __init__(
        self,
        func: Callable[..., Any],
        name: str | None = None,
        desc: str | None = None,
        args: Mapping[str, Any] | None = None,
        arg_types: Mapping[str, Any] | None = None,
        arg_desc: Mapping[str, str] | None = None,
        callbacks: Sequence[BaseCallback] | None = None,
    ) -> None:
        if not callable(func):
            raise ConfigurationError(f"Tool({func!r}): give a function")
        bare = unwrapped(func)
        self.func = func
        self.name = name or str(getattr(func, "__name__", "") or _name_of(bare, func))
        self.desc = desc if desc is not None else _doc_of(bare, func)
        self.callbacks = list(callbacks or ())
        self._arguments = arguments_of(func, arg_types or {})
        self.arg_types: dict[str, Any] = {key: argument.annotation for key, argument in self._arguments.items()}
        schemas = {key: argument.schema for key, argument in self._arguments.items()} if args is None else args
        self.args: dict[str, Any] = {key: dict(schema) for key, schema in schemas.items()}
        for key, text in (arg_desc or {}).items():
            if key in self.args:
                self.args[key]["description"] = text
        parameters = _parameters(func)
        self.has_kwargs = any(each.kind is each.VAR_KEYWORD for each in parameters)
        self._optional = {each.name for each in parameters if each.default is not each.empty}
        self._awaits = inspect.iscoroutinefunction(bare)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the tool and wait for it, in any thread; its arguments best by name.

        Raises:
            ToolError: arguments that are unknown, missing or of the wrong type.
            StreamError: an asynchronous tool on the event-loop thread, where it would have to wait.
            Stopped: it would run for a reader who has gone.
        """
        crossing.check_stopped()
        with self._one_call(args, kwargs) as call:
            positional, named = self._fitted(args, kwargs)
            if self._awaits:
                call.outputs = self._cross(lambda: self.func(*positional, **named))
            else:
                began = time.perf_counter()
                output = self.func(*positional, **named)
                self._warn_if_slow(time.perf_counter() - began)
                call.outputs = self._waited(output) if inspect.isawaitable(output) else output
            return call.outputs

    async def acall(self, *args: Any, **kwargs: Any) -> Any:
        """Call the tool and await it, on any event loop; a synchronous function runs in a worker thread.

        Raises:
            ToolError: arguments that are unknown, missing or of the wrong type.
        """
        await crossing.checkpoint()
        with self._one_call(args, kwargs) as call:
            positional, named = self._fitted(args, kwargs)
            if self._awaits:
                output = self.func(*positional, **named)
            else:
                output = await in_worker(partial(self.func, *positional, **named), name=f"tool {self.name}")
            call.outputs = await output if inspect.isawaitable(output) else output
            return call.outputs

    def format(self) -> str:
        """What a prompt says of it: name, description, arguments."""
        about = f": {' '.join(self.desc.split())}" if self.desc else ""
        takes = json.dumps(self.args, ensure_ascii=False) if self.args else "none"
        return f"{self.name}{about} (arguments, each with its JSON schema: {takes})"

    def format_as_litellm_function_call(self) -> dict[str, Any]:
        """Its entry in a request's `tools`, as OpenAI's chat completions want it.

        Raises:
            ConfigurationError: two types of its arguments have one name (see `parameters_schema`).
        """
        required = [
            name for name, schema in self.args.items() if name not in self._optional and "default" not in schema
        ]
        parameters = parameters_schema(self.args, required, more_allowed=self.has_kwargs)
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.desc, "parameters": parameters},
        }

    @contextmanager
    def _one_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[HookedCall]:
        touch()
        try:
            # Positional arguments under their names, as far as these go.
            inputs = {**dict(zip(self._arguments, args, strict=False)), **kwargs}
            with HookedCall("tool", watching("tool", self.callbacks), self, inputs) as call:
                yield call
        finally:
            touch()

    def _cross(self, make: Callable[[], Any]) -> Any:
        return crossing.run(make, instead=f"await {self.name}.acall(...)", name=f"tool {self.name}")

    def _waited(self, output: Any) -> Any:
        """What an awaitable gives that a plain function returned."""
        try:
            forbid_on_loop(f"await {self.name}.acall(...)")
        except BaseException:
            if inspect.iscoroutine(output):
                output.close()
            raise
        return self._cross(lambda: output)

    def _warn_if_slow(self, took: float) -> None:
        if took > SLOW_ON_LOOP and on_loop_thread():
            _log.warning(
                "the tool %s took %.2f s on the event loop, where it holds up every stream; use await %s.acall(...)",
                self.name,
                took,
                self.name,
            )

    def _fitted(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of a call as the function's types have them."""
        try:
            signature = inspect.signature(self.func)
        except (TypeError, ValueError):
            return args, {name: self._fit(name, value) for name, value in kwargs.items()}
        complaint = ""
        args, kwargs = _in_place(signature, args, kwargs)
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            complaint = str(error)
        if complaint:
            takes = ", ".join(self._arguments) or "none"
            raise ToolError(f"the tool {self.name} cannot be called so: {complaint}; its arguments are: {takes}")
        for name in bound.arguments.keys() & self._arguments.keys():
            bound.arguments[name] = self._fit(name, bound.arguments[name])
        return bound.args, bound.kwargs

    def _fit(self, name: str, value: Any) -> Any:
        argument = self._arguments.get(name, _ANY)
        try:
            return argument.fit(value)
        except ValueError as error:
            complaint = str(error)
        raise ToolError(f"the argument {name!r} of the tool {self.name} does not fit: {complaint}")

    def __deepcopy__(self, memo: dict[int, Any]) -> Tool:
        # The function is shared: one bound to an object means that object and no copy of it.
        made = copy.copy(self)
        made.args = copy.deepcopy(self.args, memo)
        made.callbacks = list(self.callbacks)
        return made

    def __str__(self) -> str:
        return self.format()

    def __repr__(self) -> str:
        return f"Tool({self.name}({', '.join(self.args)}))"


_ANY = Argument(Any)


def _parameters(func: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(func).parameters.values())
    except (TypeError, ValueError):  # a builtin that does not tell
        return []


def _in_place(
    signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments by name put in their places where the function takes them by place only (`math.sqrt`)."""
    placed, named = list(args), dict(kwargs)
    for at, parameter in enumerate(signature.parameters.values()):
        if parameter.kind is parameter.POSITIONAL_ONLY and at == len(placed) and parameter.name in named:
            placed.append(named.pop(parameter.name))
    return tuple(placed), named


def _doc_of(bare: Callable[..., Any], func: Any) -> str:
    """What a docstring says of it; of an object with a `__call__` that has none, its class's."""
    doc = inspect.getdoc(bare)
    if doc and doc != inspect.getdoc(type.__call__):
        return doc
    return inspect.getdoc(func if isinstance(func, type) else type(func)) or "" if bare is not func else ""


def _name_of(bare: Callable[..., Any], func: Any) -> str:
    """A name for what has none: that of a `partial`'s function, else that of the class."""
    name = getattr(bare, "__name__", "__call__")
    return str(name) if name != "__call__" else type(func).__name__
