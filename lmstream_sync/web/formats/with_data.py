"""`DataFormat`: formats whose protocol knows text, reasoning, tools, and data that an application reads itself.

What such a protocol has no word of its own for becomes data with a name: `status`, `restart`,
`chunk` (an item or a partial value), `event` (a program's own), `prediction`, `error` (one that
does not end the stream).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from lmstream_sync.events import StatusMessage, StreamResponse, StreamRestart
from lmstream_sync.signatures import Prediction
from lmstream_sync.streaming.event_json import MASKED, error_data, message_of
from lmstream_sync.web.formats.by_field import FieldFormat, Path, Run

__all__ = ["DataFormat"]


class DataFormat(FieldFormat):
    """See the module.

    Args:
        tools: tell of tool calls, with their arguments and what they returned. Status messages
            about them come in any case.
    """

    def __init__(self, *, tools: bool = True) -> None:
        super().__init__()
        self._tools = tools
        #: The calls that were told of: whether they have ended.
        self._calls: dict[str, bool] = {}

    @abstractmethod
    def _data(self, name: str, value: Any, *, transient: bool = False) -> str:
        """Data for the application; `transient`: for the moment, not for the message that is kept."""

    @abstractmethod
    def _tool_called(self, call_id: str, name: str, inputs: dict[str, Any]) -> str:
        """A tool begins."""

    @abstractmethod
    def _tool_ended(self, call_id: str, outputs: Any, error: str | None) -> str:
        """A tool has returned, or failed; a beginning was told of before."""

    def _status(self, status: StatusMessage, path: Path, expose: bool) -> str:
        told = {"message": status.message, "kind": status.kind, "name": status.name}
        written = self._data("status", _placed({k: v for k, v in told.items() if v}, path), transient=True)
        if not self._tools or not status.call_id:
            return written
        if status.kind == "tool_start":
            return written + self._called(status)
        if status.kind == "tool_end" and not self._calls.get(status.call_id):
            written += self._called(status)
            self._calls[status.call_id] = True
            error = None if status.error is None else message_of(status.error) if expose else MASKED
            written += self._tool_ended(status.call_id, status.outputs, error)
        return written

    def _called(self, status: StatusMessage) -> str:
        if status.call_id in self._calls:
            return ""
        self._calls[status.call_id] = False
        return self._tool_called(status.call_id, status.name, status.inputs or {})

    def _object(self, run: Run, response: StreamResponse) -> str:
        return self._data("chunk", _placed(response.json(), run.path), transient=True)

    def _restart(self, restart: StreamRestart, void: list[Run], path: Path) -> str:
        return self._data("restart", _placed({**restart.json(), **self._void(void)}, path))

    def _void(self, runs: list[Run]) -> dict[str, Any]:
        """What names the runs that became void, where readers know them by a name."""
        return {}

    def _prediction(self, prediction: Prediction, path: Path) -> str:
        fields = prediction.labels().toDict()
        return self._data("prediction", {"stream": list(path), "prediction": fields} if path else fields)

    def _own(self, value: Any, path: Path) -> str:
        return self._data("event", {"stream": list(path), "event": value} if path else value)

    def _error(self, error: BaseException, path: Path, expose: bool) -> str:
        return self._data("error", _placed(error_data(error, expose)["error"], path))


def _placed(value: dict[str, Any], path: Path) -> dict[str, Any]:
    """With the names and indices under which `merge` and `run_many` gave it."""
    return {"stream": list(path), **value} if path else value
