"""Server-sent events of HTML for htmx and its extension for them (`htmx-ext-sse`).

    <div hx-ext="sse" sse-connect="/chat?question=…" sse-close="done">
      <p id="answer" sse-swap="answer" hx-swap="beforeend"></p>
      <span hidden sse-swap="answer-restart" hx-target="#answer" hx-swap="innerHTML"></span>
      <p sse-swap="status"></p>
      <p sse-swap="failed"></p>
    </div>

Sources: htmx's page "htmx Server Sent Event (SSE) Extension", and the HTML standard, of which
come the names that an `EventSource` uses itself. With htmx 4, which hands named events to the page,
`hx-on:answer="this.insertAdjacentHTML('beforeend', event.detail.data)"` takes the place of `sse-swap`.
"""

from __future__ import annotations

import html
import re
from typing import Any

from lmstream_sync.events import StatusMessage, StreamRestart
from lmstream_sync.streaming.event_json import compact, error_data
from lmstream_sync.streaming.sse import HEARTBEAT, HEARTBEAT_WITH_ID, sse_event
from lmstream_sync.web.formats.by_field import FieldFormat, Path, Run

__all__ = ["HtmxFormat"]

#: What HTML cannot hold.
_NO_HTML = re.compile("[\0\ud800-\udfff]")
_LINE_END = re.compile("\r\n|\n|\r")
_NO_NAME = re.compile(r"[^\w.-]")
#: Names with a meaning: ours, and those that an `EventSource` gives to its own events and to nameless ones.
_TAKEN = {"status", "event", "failed", "done", "open", "error", "message"}


class HtmxFormat(FieldFormat):
    """Events named for the field, their data HTML that shows a piece of its text.

    Line breaks are `<br>`, which works with `white-space: pre-wrap` too (that keeps runs of
    blanks). Besides the fields there are `status` (the text of a message), `event` (a program's own,
    JSON unless it is text), `answer-restart` (empty: what was shown of `answer` is void), `failed`
    (not `error`, which an `EventSource` calls its own), and `done`, last. What `merge` and `run_many`
    name stands in front (`french.answer`); a character other than letters, digits, `_`, `.` and `-` becomes
    `_`, and a field of one of the names above is called `field-status` and so on.
    """

    name = "htmx"

    def __init__(self) -> None:
        super().__init__()
        self._has_id = False
        #: Whether a field's text so far ends with a carriage return, which a line feed may follow.
        self._returned: dict[Run, bool] = {}

    def event(self, event: Any, *, expose: bool = False) -> str:
        """See `Format.event`."""
        return self._known(super().event(event, expose=expose))

    def _text(self, run: Run, text: str) -> str:
        if self._returned.get(run) and text.startswith("\n"):
            text = text[1:]
            self._returned[run] = False
        if not text:
            return ""
        self._returned[run] = text.endswith("\r")
        return sse_event(_html(text), event=_name(run.field, run.path))

    def _end(self, run: Run) -> str:
        self._returned.pop(run, None)
        return ""

    def _restart(self, restart: StreamRestart, void: list[Run], path: Path) -> str:
        names = dict.fromkeys(_name(run.field, run.path) for run in void)
        return "".join(sse_event("", event=f"{name}-restart") for name in names)

    def _status(self, status: StatusMessage, path: Path, expose: bool) -> str:
        return sse_event(_html(status.message), event="status")

    def _own(self, value: Any, path: Path) -> str:
        return sse_event(_html(value if isinstance(value, str) else compact(value)), event="event")

    def _error(self, error: BaseException, path: Path, expose: bool) -> str:
        return self._said(error, expose)

    def failed(self, error: BaseException, *, expose: bool = False) -> str:
        """`failed`, with the message."""
        return self._all_over(failed=True) + self._said(error, expose)

    def heartbeat(self) -> str:
        """A comment."""
        text, self._has_id = HEARTBEAT if self._has_id else HEARTBEAT_WITH_ID, True
        return text

    def _known(self, text: str) -> str:
        """The text, the first of all with an id: an `EventSource` that comes again then says so."""
        if not text or self._has_id:
            return text
        self._has_id = True
        return f"id: 0\n{text}"

    def end(self) -> str:
        """`done`, on which `sse-close` closes the connection: else the browser would connect, and ask, again."""
        return self._all_over(failed=False) + sse_event("", event="done")

    def _said(self, error: BaseException, expose: bool) -> str:
        return sse_event(_html(error_data(error, expose)["error"]["message"]), event="failed")


def _html(text: str) -> str:
    return _LINE_END.sub("<br>", html.escape(_NO_HTML.sub("\ufffd", text)))


def _name(field: str, path: Path) -> str:
    name = _NO_NAME.sub("_", ".".join(map(str, (*path, field))))
    return f"field-{name}" if name in _TAKEN or not name else name
