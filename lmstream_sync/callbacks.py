"""Callbacks: what a user hooks onto modules, models, tools and adapters.

The names and arguments are DSPy's. A callback runs where the thing it watches runs; one
that raises is logged and changes nothing. Callbacks come from `settings.callbacks`, from
the `callbacks=` of a module, LM, tool or adapter, and from the stream that is being read
(its status messages), which are kept apart from the settings.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar, Token
from typing import Any, Final, Protocol

from lmstream_sync.settings import settings

__all__ = [
    "BaseCallback",
    "HookedCall",
    "StreamCallbacks",
    "active_call_id",
    "put_back",
    "shared_loop_is",
    "stream_callbacks",
    "watching",
]

_log = logging.getLogger("lmstream_sync.callbacks")

#: The id of the innermost watched call that runs here, or `None`.
active_call_id: ContextVar[str | None] = ContextVar("lmstream_sync_active_call_id", default=None)


class StreamCallbacks(Protocol):
    """What a stream's reader is told of the calls that its program makes.

    Attributes:
        kinds: of which kinds of calls it may be told.
    """

    kinds: frozenset[str]

    def callbacks(self) -> Sequence[BaseCallback]:
        """What tells it."""
        ...


#: That of the stream that this code runs for; set by `streaming` in a call's context.
stream_callbacks: ContextVar[StreamCallbacks | None] = ContextVar("lmstream_sync_stream_callbacks", default=None)

#: A callback on the event loop that takes longer than this is named in a warning: seconds.
SLOW_ON_LOOP = 0.1


# Whether this thread runs the event loop that all streams share. (The running loop would
# not tell: under gevent it is there in every greenlet.)
_on_shared_loop: Callable[[], bool] = bool


def shared_loop_is(on_loop_thread: Callable[[], bool]) -> None:
    """Say how to find out whether this thread runs the loop that all streams share; `runtime.loop` does."""
    global _on_shared_loop
    _on_shared_loop = on_loop_thread


class BaseCallback:
    """Override the hooks you need; each may be left out.

    `call_id` is the same for a start and its end. At an end either `outputs` is what the
    call returned or `exception` what it raised.
    """

    def on_module_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Before a module (a `Predict` too) runs; `inputs` are its arguments."""

    def on_module_end(self, call_id: str, outputs: Any | None, exception: BaseException | None = None) -> None:
        """After a module ran."""

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Before a model is asked; `inputs` holds `prompt`, `messages` and the options, no keys."""

    def on_lm_end(self, call_id: str, outputs: Any | None, exception: BaseException | None = None) -> None:
        """After a model answered; `outputs` is its list of texts."""

    def on_adapter_format_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Before an adapter writes the prompt: `signature`, `demos`, `inputs`."""

    def on_adapter_format_end(self, call_id: str, outputs: Any | None, exception: BaseException | None = None) -> None:
        """After an adapter wrote the prompt: the messages."""

    def on_adapter_parse_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Before an adapter turns a reply into values: `signature`, `completion`."""

    def on_adapter_parse_end(self, call_id: str, outputs: Any | None, exception: BaseException | None = None) -> None:
        """After an adapter read a reply: field → value."""

    def on_tool_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Before a tool runs; `inputs` are its arguments."""

    def on_tool_end(self, call_id: str, outputs: Any | None, exception: BaseException | None = None) -> None:
        """After a tool ran."""


#: Kind of call → its two hooks.
_HOOKS: Final = {
    kind: (f"on_{kind}_start", f"on_{kind}_end") for kind in ("module", "lm", "tool", "adapter_format", "adapter_parse")
}


def watching(kind: str, own: Sequence[Any] | None = None) -> Sequence[Any]:
    """The callbacks in force here that have a hook for a kind of call; a call that none watches needs no `HookedCall`.

    A hook that is `BaseCallback`'s own does nothing, so it is looked through. What a callback has is asked
    anew each time: a hook may be put on its class, or on the object, at any moment.

    Args:
        kind: `"module"`, `"lm"`, `"tool"`, `"adapter_format"` or `"adapter_parse"`.
        own: callbacks that were given to what is called.
    """
    configured, stream = settings.callbacks, stream_callbacks.get()
    streams = stream.callbacks() if stream is not None and kind in stream.kinds else ()
    if not configured and not own and not streams:
        return ()
    start, end = _HOOKS[kind]
    everyone = (*(configured or ()), *(own or ()), *streams)
    return [each for each in everyone if _hook(each, start) is not None or _hook(each, end) is not None] or ()


def _hook(callback: Any, name: str) -> Callable[..., Any] | None:
    """A hook of a callback, or `None` where it has none, or the one that does nothing."""
    method: Any = getattr(callback, name, None)
    return None if getattr(method, "__func__", method) is getattr(BaseCallback, name) else method


class HookedCall:
    """One watched call, round whose block the hooks run: set `outputs` before the block ends.

    A class, as a generator's context would cost several times as much.

    Args:
        kind: see `watching`.
        callbacks: what `watching` gave.
        instance: what is called.
        inputs: its arguments.

    Attributes:
        call_id: the same for a start and its end; empty where nobody watches.
        outputs: what the call gave.
    """

    __slots__ = ("_callbacks", "_inputs", "_instance", "_kind", "_token", "call_id", "outputs")

    def __init__(self, kind: str, callbacks: Sequence[Any], instance: Any, inputs: dict[str, Any]) -> None:
        self._kind, self._callbacks, self._instance, self._inputs = kind, callbacks, instance, inputs
        self.call_id = ""
        self.outputs: Any = None

    def __enter__(self) -> HookedCall:
        if self._callbacks:
            self.call_id = f"{random.getrandbits(128):032x}"  # told apart, not hard to guess
            started = {"call_id": self.call_id, "instance": self._instance, "inputs": self._inputs}
            _fire(self._callbacks, _HOOKS[self._kind][0], **started)
            self._token = active_call_id.set(self.call_id)
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self._callbacks:
            put_back(active_call_id, self._token)
            outputs = self.outputs if error is None else None
            _fire(self._callbacks, _HOOKS[self._kind][1], call_id=self.call_id, outputs=outputs, exception=error)


def put_back(variable: ContextVar[Any], token: Token[Any]) -> None:
    """Reset a variable, unless the code ends in another context than the one it began in.

    So it does where the loop of an unfinished task was closed, and the garbage collector
    ends the task's coroutine: then nobody reads the variable again.
    """
    try:
        variable.reset(token)
    except ValueError:  # it was set elsewhere; (`suppress` would take longer than all the rest)
        return


def _fire(callbacks: Sequence[Any], hook: str, **arguments: Any) -> None:
    """Call one hook of every callback; what it raises is logged."""
    for callback in callbacks:
        method = _hook(callback, hook)
        if method is None:
            continue
        began = time.perf_counter()
        try:
            method(**arguments)
        except Exception:
            _log.warning("%s.%s raised and was passed over", type(callback).__name__, hook, exc_info=True)
        took = time.perf_counter() - began
        if took > SLOW_ON_LOOP and _on_shared_loop():
            _log.warning(
                "%s.%s took %.2f s on the event loop, where it holds up every stream; make it quick",
                type(callback).__name__,
                hook,
                took,
            )
