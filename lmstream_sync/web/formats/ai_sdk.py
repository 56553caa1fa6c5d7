"""The UI message stream (v1) of Vercel's AI SDK, which `useChat` reads.

Source: `ui-message-stream/ui-message-chunks.ts` and `ui/process-ui-message-stream.ts` in the npm
package `ai`, versions 5 to 7. Its schemas were strict until 5.0.2xx and 6.0.x (a key they do
not know is an error), so a part has no key here that the oldest of them lacks.
"""

from __future__ import annotations

import secrets
from typing import Any

from lmstream_sync.errors import StreamCancelled
from lmstream_sync.streaming.event_json import error_data
from lmstream_sync.streaming.format import Source
from lmstream_sync.streaming.sse import DONE, HEARTBEAT, sse_json
from lmstream_sync.web.formats.by_field import Run
from lmstream_sync.web.formats.with_data import DataFormat

__all__ = ["AISDKFormat"]


class AISDKFormat(DataFormat):
    """Parts of a UI message: each run of a field is a `text` or `reasoning` part, tools are dynamic tool parts.

    Which field a part is stands in its `providerMetadata.lmstream_sync`. Status messages are
    transient `data-status` parts (`useChat`'s `onData` gets them), the Prediction is
    `data-prediction`, a program's own event `data-event`. A restart ends the parts that became
    void, says which field that was in a `data-restart` part, and begins others.

    Args:
        message_id: the id of the message; a random one without it.
        tools: tell of tool calls, with their arguments and what they returned.
    """

    name = "ai-sdk"
    headers = {"x-vercel-ai-ui-message-stream": "v1"}

    def __init__(self, *, message_id: str | None = None, tools: bool = True) -> None:
        super().__init__(tools=tools)
        self._message_id = message_id or f"msg_{secrets.token_hex(12)}"

    def begin(self, source: Source) -> str:
        """The start of the message."""
        return super().begin(source) + sse_json({"type": "start", "messageId": self._message_id})

    def _text(self, run: Run, text: str) -> str:
        part = {"type": f"{_kind(run)}-delta", "id": str(run.number), "delta": text}
        return (self._start(run) if not run.given else "") + sse_json(part)

    def _start(self, run: Run) -> str:
        made_by = {"field": run.field, "predictor": run.predictor, "stream": list(run.path)}
        known = {key: value for key, value in made_by.items() if value}
        part = {"type": f"{_kind(run)}-start", "id": str(run.number), "providerMetadata": {"lmstream_sync": known}}
        return sse_json(part)

    def _end(self, run: Run) -> str:
        return sse_json({"type": f"{_kind(run)}-end", "id": str(run.number)})

    def _data(self, name: str, value: Any, *, transient: bool = False) -> str:
        part = {"type": f"data-{name}", "data": value}
        return sse_json({**part, "transient": True} if transient else part)

    def _tool_called(self, call_id: str, name: str, inputs: dict[str, Any]) -> str:
        # `dynamic`: the page need not know the tool. `providerExecuted`: nor may it run it.
        call = {"toolCallId": call_id, "toolName": name, "providerExecuted": True, "dynamic": True}
        return sse_json({"type": "tool-input-start", **call}) + sse_json(
            {"type": "tool-input-available", **call, "input": inputs}
        )

    def _tool_ended(self, call_id: str, outputs: Any, error: str | None) -> str:
        call = {"toolCallId": call_id, "providerExecuted": True, "dynamic": True}
        if error is not None:
            return sse_json({"type": "tool-output-error", **call, "errorText": error})
        return sse_json({"type": "tool-output-available", **call, "output": outputs})

    def failed(self, error: BaseException, *, expose: bool = False) -> str:
        """The ends of open parts, and `error`; `abort` where somebody cancelled the program."""
        ends = self._all_over(failed=True)
        if isinstance(error, StreamCancelled):
            return ends + sse_json({"type": "abort"})
        return ends + sse_json({"type": "error", "errorText": error_data(error, expose)["error"]["message"]})

    def heartbeat(self) -> str:
        """A comment."""
        return HEARTBEAT

    def end(self) -> str:
        """The ends of open parts, `finish`, `[DONE]`."""
        return self._all_over(failed=False) + sse_json({"type": "finish"}) + DONE


def _kind(run: Run) -> str:
    return "reasoning" if run.reasoning else "text"
