"""The ways into a module, `__call__` and `acall`: each call is told of once, whichever is overridden.

Knows that a module has `callbacks` and the four methods, and nothing else of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar, Token
from functools import wraps
from typing import Any, TypeVar

from lmstream_sync.callbacks import HookedCall, put_back, watching
from lmstream_sync.lm.usage import UsageTally, current_tally
from lmstream_sync.runtime.clocks import touch
from lmstream_sync.settings import settings
from lmstream_sync.signatures import Prediction

__all__ = ["FOUR", "OneCall", "announced", "named_inputs", "nearest"]

F = TypeVar("F", bound=Callable[..., Any])

#: What a user may override; of several in one class the first is its natural entry.
FOUR = ("acall", "aforward", "__call__", "forward")

#: The module that was entered and has not begun its own work: its other entry, or `super()`'s, is the same call.
_entered: ContextVar[Any] = ContextVar("lmstream_sync_entered", default=None)


def nearest(cls: type, base: type, *names: str) -> str:
    """Which of several methods the most derived class overrides, or `""`.

    Args:
        cls: where to begin.
        base: where to end; what it has itself is no override.
        names: the first wins where one class overrides more.
    """
    for each in cls.__mro__:
        if each is base:
            break
        for name in names:
            if name in vars(each):
                return name
    return ""


def announced(entry: F) -> F:
    """An overridden `__call__` or `acall` that runs the module's hooks and counts its usage, once a call."""

    @wraps(entry)
    def synchronous(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _entered.get() is self:
            return entry(self, *args, **kwargs)
        with OneCall(self, args, kwargs) as call:
            return call.gives(entry(self, *args, **kwargs))

    @wraps(entry)
    async def asynchronous(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _entered.get() is self:
            return await _awaited(entry(self, *args, **kwargs))
        with OneCall(self, args, kwargs) as call:
            return call.gives(await _awaited(entry(self, *args, **kwargs)))

    awaits = entry.__name__ == "acall" or inspect.iscoroutinefunction(entry)
    chosen: Any = asynchronous if awaits else synchronous
    found: F = chosen
    return found


class OneCall:
    """Round one call of a module, whose output `gives` takes and gives back.

    Within another entry of the same call it tells and counts nothing.

    Args:
        module: what is called.
        args, kwargs: with what.
        begins: the block is the module's own work: if that calls the module again, that is another
            call. Else it runs another entry of the module, which is the same call.
    """

    # One object for all of it, which makes no others where nobody watches: every open stream holds one.
    __slots__ = ("_begins", "_counted_by", "_entered", "_hooks", "_module", "_tally")

    def __init__(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], begins: bool = False) -> None:
        self._module = module
        self._begins = begins
        self._tally: UsageTally | None = None
        self._hooks: HookedCall | None = None
        self._entered: Token[Any] | None = None
        if _entered.get() is module:
            return
        self._tally = UsageTally(current_tally.get())
        watchers = watching("module", module.callbacks)
        if watchers:
            self._hooks = HookedCall("module", watchers, module, named_inputs(module, args, kwargs))

    def __enter__(self) -> OneCall:
        if self._tally is not None:
            self._counted_by = current_tally.set(self._tally)
            touch()
        if self._hooks is not None:
            # A hook that calls the module does not begin another call, so it is not called for that again.
            self._entered = _entered.set(self._module)
            try:
                self._hooks.__enter__()
            except BaseException:
                self._leave()
                raise
        within = None if self._begins else self._module
        if _entered.get() is not within:
            token = _entered.set(within)
            self._entered = self._entered or token
        return self

    def gives(self, output: Any) -> Any:
        """The call gave this."""
        if self._hooks is not None:
            self._hooks.outputs = output
        if self._tally is not None and isinstance(output, Prediction):
            _account(output, self._tally)
        return output

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        try:
            if self._hooks is not None:
                # Of its own, as this may be another context than the one it began in: see `put_back`.
                within = _entered.set(self._module)
                try:
                    self._hooks.__exit__(kind, error, trace)
                finally:
                    put_back(_entered, within)
        finally:
            self._leave()

    def _leave(self) -> None:
        if self._entered is not None:
            put_back(_entered, self._entered)
        if self._tally is not None:
            touch()
            put_back(current_tally, self._counted_by)


def _account(prediction: Prediction, tally: UsageTally) -> None:
    """Put on a prediction what the call that gave it used."""
    if tally.counted:
        prediction._set_cost(tally.price)
        if settings.track_usage:
            prediction.set_lm_usage(tally.usage)


async def _awaited(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def named_inputs(module: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name: positional ones under their parameters', those left over as `args`."""
    named: dict[str, Any] = {}
    rest = list(args)
    if rest:
        for parameter in _parameters(module):
            if not rest or parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                break
            named[parameter.name] = rest.pop(0)
    if rest:
        named["args"] = tuple(rest)
    return {**named, **kwargs}


def _parameters(module: Any) -> list[inspect.Parameter]:
    """The parameters of what does a module's work: the first of its methods that names any."""
    for name in ("forward", "aforward", "__call__", "acall"):
        parameters = list(inspect.signature(getattr(module, name)).parameters.values())
        if parameters and parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
            return parameters
    return []
