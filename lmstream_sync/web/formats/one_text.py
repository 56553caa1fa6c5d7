"""Several runs as one text: one after the other, a blank line between them."""

from __future__ import annotations

from lmstream_sync.web.formats.by_field import Run

__all__ = ["OneText"]


class OneText:
    """Puts runs in a row. While one is being written, what comes of others waits until it has ended.

    Attributes:
        begun: some text was written.
    """

    def __init__(self) -> None:
        self.begun = False
        self._writing: Run | None = None
        self._waiting: dict[Run, list[str]] = {}

    def piece(self, run: Run, text: str) -> str:
        """What can be written now that a run has this text."""
        if self._writing is run:
            return text
        if self._writing is not None:
            self._waiting.setdefault(run, []).append(text)
            return ""
        self._writing = run
        return self._next(text)

    def end(self, run: Run) -> str:
        """What can be written now that a run is no longer open."""
        if run is not self._writing:
            return ""
        self._writing = None
        written = ""
        while self._waiting and self._writing is None:
            waited = next(iter(self._waiting))
            written += self._next("".join(self._waiting.pop(waited)))
            if waited.open:
                self._writing = waited
        return written

    def take_back(self, run: Run) -> bool:
        """Whether none of a run was written; then nothing will be."""
        return self._waiting.pop(run, None) is not None

    def _next(self, text: str) -> str:
        gap = "\n\n" if self.begun else ""
        self.begun = True
        return gap + text
