"""`Tool`: a function that a program calls, seen by callbacks and status messages."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from lmstream_sync.callbacks import call_hooks
from lmstream_sync.errors import ConfigurationError, ToolError
from lmstream_sync.runtime.clocks import touch
from lmstream_sync.runtime.crossing import check_stopped, checkpoint, run
from lmstream_sync.runtime.workers import in_worker

__all__ = ["Tool"]


class Tool:
    """Wraps a function. What it says of itself comes from the function where it is not given.

    Args:
        func: a function, synchronous or asynchronous.
        name: the function's name.
        desc: its docstring.
        args: argument → what is known of it (`{"type": ..., "description": ...}`).
        callbacks: `BaseCallback` objects that see this tool's calls.

    Attributes:
        name, desc, args: as above.
        arg_types: argument → annotation.

    Raises:
        ConfigurationError: `func` cannot be called.
    """

    def __init__(
        self,
        func: Callable[..., Any],
        name: str | None = None,
        desc: str | None = None,
        args: dict[str, Any] | None = None,
        callbacks: Sequence[Any] | None = None,
    ) -> None:
        if not callable(func):
            raise ConfigurationError(f"Tool({func!r}): give a function")
        self.func = func
        self.name: str = name or getattr(func, "__name__", None) or type(func).__name__
        self.desc = desc if desc is not None else inspect.getdoc(func) or ""
        self.callbacks: list[Any] = list(callbacks or ())
        try:
            self._signature: inspect.Signature | None = inspect.signature(func)
        except (TypeError, ValueError):  # a builtin that tells nothing of its arguments
            self._signature = None
        parameters = self._signature.parameters.values() if self._signature is not None else ()
        named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        self.arg_types: dict[str, Any] = {
            p.name: Any if p.annotation is p.empty else p.annotation for p in named
        }
        self.args: dict[str, Any] = args if args is not None else {name: {} for name in self.arg_types}

    def __call__(self, **kwargs: Any) -> Any:
        """Run the tool and wait for it; an asynchronous one runs on the event loop.

        Raises:
            ToolError: an argument is missing or unknown.
            StreamError: an asynchronous tool on the event-loop thread, where it would block.
        """
        check_stopped()
        self._check(kwargs)
        touch()
        with call_hooks("tool", self, kwargs, self.callbacks) as call:
            if _is_async(self.func):
                coroutine = partial(self.func, **kwargs)
                call.outputs = run(coroutine, instead=f"await {self.name}.acall(...)", name=self.name)
            else:
                call.outputs = self.func(**kwargs)
        touch()
        return call.outputs

    async def acall(self, **kwargs: Any) -> Any:
        """Run the tool; a synchronous one runs in a worker thread.

        Raises:
            ToolError: an argument is missing or unknown.
        """
        self._check(kwargs)
        touch()
        with call_hooks("tool", self, kwargs, self.callbacks) as call:
            await checkpoint()
            if _is_async(self.func):
                call.outputs = await self.func(**kwargs)
            else:
                call.outputs = await in_worker(partial(self.func, **kwargs), name=f"tool {self.name}")
        touch()
        await checkpoint()
        return call.outputs

    def _check(self, kwargs: dict[str, Any]) -> None:
        if self._signature is None:
            return
        try:
            self._signature.bind(**kwargs)
        except TypeError as error:
            raise ToolError(f"tool {self.name}{self._signature}: {error}") from None

    def __repr__(self) -> str:
        return f"Tool({self.name})"


def _is_async(func: Callable[..., Any]) -> bool:
    bare = func
    while isinstance(bare, partial):
        bare = bare.func
    return inspect.iscoroutinefunction(bare) or inspect.iscoroutinefunction(getattr(bare, "__call__", None))  # noqa: B004
