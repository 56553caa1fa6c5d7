"""Events of AG-UI, the Agent User Interaction Protocol, version 1.0 (docs.ag-ui.com).

Source: the models of the PyPI package `ag-ui-protocol` and the checks of the npm package
`@ag-ui/client` (`verifyEvents`: what must have begun before what, and ended before the end).
"""

from __future__ import annotations

import uuid
from typing import Any

from lmstream_sync.errors import StreamCancelled
from lmstream_sync.signatures import Prediction
from lmstream_sync.streaming.event_json import compact, error_data
from lmstream_sync.streaming.format import Source
from lmstream_sync.streaming.sse import HEARTBEAT, sse_json
from lmstream_sync.web.formats.by_field import Path, Run
from lmstream_sync.web.formats.token_counts import token_counts
from lmstream_sync.web.formats.with_data import DataFormat

__all__ = ["AGUIFormat"]

_COUNTS = {
    "inputTokens": "prompt_tokens",
    "outputTokens": "completion_tokens",
    "totalTokens": "total_tokens",
    "reasoningTokens": "reasoning_tokens",
    "cachedInputTokens": "cached_tokens",
}


class AGUIFormat(DataFormat):
    """AG-UI events: each run of a field is a text message, or a reasoning message.

    Which field a message is stands in the `metadata` of its start. Status messages, restarts
    (with the ids of the messages that became void), a program's own events and the Prediction
    are `CUSTOM` events; the Prediction is the `result` of `RUN_FINISHED` too.

    Args:
        thread_id: the conversation, as the request's `threadId` says; a random one without it.
        run_id: the run, as the request's `runId` says; a random one without it.
        tools: tell of tool calls, with their arguments and what they returned.
    """

    name = "ag-ui"

    def __init__(self, *, thread_id: str | None = None, run_id: str | None = None, tools: bool = True) -> None:
        super().__init__(tools=tools)
        self._ids = {"threadId": thread_id or str(uuid.uuid4()), "runId": run_id or str(uuid.uuid4())}
        #: Message ids are unique in a conversation, which has other runs.
        self._base = uuid.uuid4().hex
        self._result: dict[str, Any] = {}
        self._outcome: dict[str, Any] = {}
        self._failed = False

    def begin(self, source: Source) -> str:
        """`RUN_STARTED`."""
        return super().begin(source) + _event("RUN_STARTED", **self._ids, protocolVersion="1.0")

    def _text(self, run: Run, text: str) -> str:
        start = "" if run.given else self._start(run)
        return start + _event(f"{_kind(run)}_MESSAGE_CONTENT", messageId=self._id(run), delta=text)

    def _start(self, run: Run) -> str:
        made_by = {"field": run.field, "predictor": run.predictor, "stream": list(run.path)}
        said = {"messageId": self._id(run), "metadata": {key: value for key, value in made_by.items() if value}}
        if run.reasoning:
            return _event("REASONING_START", **said) + _event("REASONING_MESSAGE_START", role="reasoning", **said)
        return _event("TEXT_MESSAGE_START", role="assistant", **said)

    def _end(self, run: Run) -> str:
        end = _event(f"{_kind(run)}_MESSAGE_END", messageId=self._id(run))
        return end + (_event("REASONING_END", messageId=self._id(run)) if run.reasoning else "")

    def _data(self, name: str, value: Any, *, transient: bool = False) -> str:
        return _event("CUSTOM", name=name, value=value)

    def _tool_called(self, call_id: str, name: str, inputs: dict[str, Any]) -> str:
        return (
            _event("TOOL_CALL_START", toolCallId=call_id, toolCallName=name)
            + _event("TOOL_CALL_ARGS", toolCallId=call_id, delta=compact(inputs))
            + _event("TOOL_CALL_END", toolCallId=call_id)
        )

    def _tool_ended(self, call_id: str, outputs: Any, error: str | None) -> str:
        content = error if error is not None else outputs if isinstance(outputs, str) else compact(outputs)
        metadata = {"metadata": {"error": True}} if error is not None else {}
        return _event(
            "TOOL_CALL_RESULT",
            messageId=f"{self._base}-{call_id}",
            toolCallId=call_id,
            content=content,
            role="tool",
            **metadata,
        )

    def _prediction(self, prediction: Prediction, path: Path) -> str:
        if not path:
            self._result = {"result": prediction.labels().toDict()}
        return super()._prediction(prediction, path)

    def _void(self, runs: list[Run]) -> dict[str, Any]:
        return {"messageIds": [self._id(run) for run in runs]}

    def failed(self, error: BaseException, *, expose: bool = False) -> str:
        """The ends of open messages, and `RUN_ERROR`; a run that somebody cancelled did not fail."""
        ends = self._all_over(failed=True)
        if isinstance(error, StreamCancelled):
            self._outcome = {"outcome": {"type": "cancelled"}}
            return ends
        self._failed = True
        told = error_data(error, expose)["error"]
        return ends + _event("RUN_ERROR", message=told["message"], code=told["type"], **self._counted())

    def heartbeat(self) -> str:
        """A comment."""
        return HEARTBEAT

    def end(self) -> str:
        """The ends of open messages and `RUN_FINISHED`; nothing after an error."""
        if self._failed:
            return ""
        finished = {**self._ids, **self._result, **self._outcome, **self._counted()}
        return self._all_over(failed=bool(self._outcome)) + _event("RUN_FINISHED", **finished)

    def _counted(self) -> dict[str, Any]:
        counts = token_counts(self._source)
        usage = {name: counts[kind] for name, kind in _COUNTS.items() if kind in counts}
        return {"usage": [usage]} if usage else {}

    def _id(self, run: Run) -> str:
        return f"{self._base}-{run.number}"


def _kind(run: Run) -> str:
    return "REASONING" if run.reasoning else "TEXT"


def _event(type: str, **fields: Any) -> str:
    return sse_json({"type": type, **fields})
