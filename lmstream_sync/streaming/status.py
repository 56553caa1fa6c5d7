"""Status messages: what a program tells its reader about modules, models and tools at work."""

from __future__ import annotations

from functools import partial
from typing import Any, Final, Literal

from lmstream_sync.callbacks import BaseCallback
from lmstream_sync.events import StatusMessage
from lmstream_sync.runtime.call import Call
from lmstream_sync.runtime.crossing import run_in_call
from lmstream_sync.runtime.loop import on_loop_thread

__all__ = ["StatusMessageProvider", "StatusSender", "kinds_told"]


class StatusMessageProvider:
    """Override what should be said; a hook that gives `None` sends nothing.

    The hooks, their arguments and the two default messages are DSPy's.
    """

    def tool_start_status_message(self, instance: Any, inputs: dict[str, Any]) -> str | None:
        """Before a tool runs (not for ReAct's `finish`)."""
        return f"Calling tool {instance.name}..."

    def tool_end_status_message(self, outputs: Any) -> str | None:
        """After a tool ran; `outputs` is what it returned."""
        return "Tool calling finished! Querying the LLM with tool calling results..."

    def module_start_status_message(self, instance: Any, inputs: dict[str, Any]) -> str | None:
        """Before a module runs, a `Predict` too."""
        return None

    def module_end_status_message(self, outputs: Any) -> str | None:
        """After a module ran."""
        return None

    def lm_start_status_message(self, instance: Any, inputs: dict[str, Any]) -> str | None:
        """Before a model is asked."""
        return None

    def lm_end_status_message(self, outputs: Any) -> str | None:
        """After a model answered."""
        return None


class StatusSender(BaseCallback):
    """The callback that sends one stream's messages, the moment they are made.

    Args:
        provider: makes the texts.
        call: whose reader gets them.
    """

    def __init__(self, provider: StatusMessageProvider, call: Call) -> None:
        self._provider = provider
        self._call = call
        # call id → name, from a start to its end, which does not tell what ended.
        self._names: dict[str, str] = {}

    def on_tool_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """See `BaseCallback`."""
        if instance.name != "finish":
            self._names[call_id] = instance.name
            self._started("tool", self._provider.tool_start_status_message(instance, inputs), call_id, inputs)

    def on_tool_end(self, call_id: str, outputs: Any | None, exception: BaseException | None = None) -> None:
        """See `BaseCallback`."""
        if call_id in self._names:
            self._ended("tool", self._provider.tool_end_status_message(outputs), call_id, outputs, exception)

    def on_module_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """See `BaseCallback`."""
        self._names[call_id] = type(instance).__name__
        self._started("module", self._provider.module_start_status_message(instance, inputs), call_id, inputs)

    def on_module_end(self, call_id: str, outputs: Any | None, exception: BaseException | None = None) -> None:
        """See `BaseCallback`."""
        self._ended("module", self._provider.module_end_status_message(outputs), call_id, outputs, exception)

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """See `BaseCallback`."""
        self._names[call_id] = str(getattr(instance, "model", ""))
        self._started("lm", self._provider.lm_start_status_message(instance, inputs), call_id, inputs)

    def on_lm_end(self, call_id: str, outputs: Any | None, exception: BaseException | None = None) -> None:
        """See `BaseCallback`."""
        self._ended("lm", self._provider.lm_end_status_message(outputs), call_id, outputs, exception)

    def _started(self, what: str, text: str | None, call_id: str, inputs: dict[str, Any]) -> None:
        if text:
            name = self._names[call_id]
            self._send(StatusMessage(text, kind=f"{what}_start", name=name, call_id=call_id, inputs=inputs))

    def _ended(self, what: str, text: str | None, call_id: str, outputs: Any, error: BaseException | None) -> None:
        name = self._names.pop(call_id, "")
        if text:
            self._send(
                StatusMessage(text, kind=f"{what}_end", name=name, call_id=call_id, outputs=outputs, error=error)
            )

    def _send(self, message: StatusMessage) -> None:
        if self._call.stopping:
            return  # an end hook on the way out: nobody reads it
        if on_loop_thread():
            self._call.put_soon(message, limited=False)
        else:
            run_in_call(self._call, partial(self._call.put, (message,), output=False))


_OF_MODULES_AND_MODELS = (
    "module_start_status_message",
    "module_end_status_message",
    "lm_start_status_message",
    "lm_end_status_message",
)


_NOTHING: Final[frozenset[str]] = frozenset()
_TOOLS: Final = frozenset({"tool"})
_ALL: Final = frozenset({"tool", "module", "lm"})


def kinds_told(provider: StatusMessageProvider | Literal[False]) -> frozenset[str]:
    """Of which kinds of calls a provider may say something: a callback has its price, and nearly all are of tools."""
    if provider is False:
        return _NOTHING
    if type(provider) is StatusMessageProvider and not vars(provider):
        return _TOOLS  # that of nearly every stream
    said = any(
        hasattr(provider, name)
        and getattr(getattr(provider, name), "__func__", None) is not getattr(StatusMessageProvider, name)
        for name in _OF_MODULES_AND_MODELS
    )
    return _ALL if said else _TOOLS
