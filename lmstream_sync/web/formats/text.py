"""Plain text, for `curl -N` and for people: the characters of the answer, and nothing else.

Reasoning, status messages and a program's own events are left out. A field that streams in
items or values comes whole, at the end. There is no heartbeat, for which text has no place.
"""

from __future__ import annotations

import re

from lmstream_sync.errors import StreamRestarted
from lmstream_sync.events import StreamRestart
from lmstream_sync.streaming.event_json import error_data
from lmstream_sync.streaming.format import Source
from lmstream_sync.web.formats.by_field import FieldFormat, Path, Run
from lmstream_sync.web.formats.one_text import OneText

__all__ = ["TextFormat"]

_SURROGATES = re.compile("[\ud800-\udfff]")


class TextFormat(FieldFormat):
    """The answer as plain text: every field but the reasoning, a blank line between two.

    Args:
        field: show this one only.

    An error that ends the stream is a last line, `error: … (its type)`.
    """

    name = "text"
    content_type = "text/plain; charset=utf-8"
    # Without it browsers hold back the first kilobyte to guess what it might be.
    headers = {"X-Content-Type-Options": "nosniff"}

    def __init__(self, *, field: str | None = None) -> None:
        super().__init__(field)
        self._one = OneText()
        self._line_open = False

    def begin(self, source: Source) -> str:
        """Nothing; where somebody listens to the reasoning alone, that is the answer."""
        super().begin(source)
        if self._field is None and self._listened == {"reasoning"}:
            self._field = "reasoning"
        return ""

    def _concerns(self, run: Run) -> bool:
        return super()._concerns(run) and not run.reasoning

    def _text(self, run: Run, text: str) -> str:
        return self._plain(self._one.piece(run, text))

    def _end(self, run: Run) -> str:
        return self._plain(self._one.end(run))

    def _restart(self, restart: StreamRestart, void: list[Run], path: Path) -> str:
        if [run for run in void if not self._one.take_back(run)]:
            raise StreamRestarted("the text began again after some of it was sent; the format sse can say so")
        return ""

    def _error(self, error: BaseException, path: Path, expose: bool) -> str:
        run = self._new(path, "", "error", False)
        run.open = False
        return self._text(run, _said(error, expose)) + self._end(run)

    def failed(self, error: BaseException, *, expose: bool = False) -> str:
        """What is left of the text, and a line that says what is wrong."""
        rest = self._all_over(failed=True)
        return rest + ("\n" if self._line_open else "") + _said(error, expose) + "\n"

    def end(self) -> str:
        """What is left of the text."""
        return self._all_over(failed=False)

    def _plain(self, text: str) -> str:
        if text:
            self._line_open = not text.endswith("\n")
        return _SURROGATES.sub("\ufffd", text)


def _said(error: BaseException, expose: bool) -> str:
    told = error_data(error, expose)["error"]
    return f"error: {told['message']} ({told['type']})"
