"""A stream seen as text: its pieces (`Stream.text`), or the text so far (`Stream.snapshots`).

Iterator objects, never generators: closing one, before its first item too and from any
thread, closes the stream.
"""

from __future__ import annotations

from typing import Any

from lmstream_sync.errors import StreamRestarted
from lmstream_sync.events import StreamResponse, StreamRestart
from lmstream_sync.streaming.accounts import TextAccounts

__all__ = ["SnapshotView", "TextView"]


class _FieldView:
    """What both have in common: pulling events until the field has something.

    Args:
        stream: read through `next()`.
        accounts: its accounts, which tell this view of each piece.
        key: predictor (`None` for any) and field.
    """

    def __init__(self, stream: Any, accounts: TextAccounts, key: tuple[str | None, str]) -> None:
        self._stream = stream
        self._predictor, self._field = key
        self._heard = accounts.hear()
        self._any = False
        self._over = False

    def _pull(self) -> StreamResponse | StreamRestart | None:
        """The next piece or restart of the field; `None` at the end of the stream."""
        while not self._over:
            while self._heard:
                item = self._heard.popleft()
                if self._concerns(item):
                    return item
            try:
                next(self._stream)
            except StopIteration:
                if not self._heard:
                    self._over = True
        return None

    def _concerns(self, item: StreamResponse | StreamRestart) -> bool:
        if self._predictor is not None and item.predict_name != self._predictor:
            return False
        return item.signature_field_name in (None, self._field)

    def _whole(self) -> str | None:
        """The field's text in the Prediction, where nothing of it was streamed."""
        prediction = self._stream.prediction
        if self._any or prediction is None or self._field not in prediction:
            return None
        text: str = prediction.raw(self._field)
        return text

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class TextView(_FieldView):
    """Iterates over the pieces of one field."""

    def __iter__(self) -> TextView:
        return self

    def __next__(self) -> str:
        """The next piece of text.

        Raises:
            StreamRestarted: text that was given before became void.
        """
        while (item := self._pull()) is not None:
            if isinstance(item, StreamRestart):
                if self._any:
                    error = StreamRestarted(
                        f"the text of {self._field!r} began again after some of it was given"
                        + (f": {item.reason}" if item.reason else "")
                        + "; read snapshots() to follow restarts"
                    )
                    error.partial = self._stream.partial
                    raise error
            elif item.chunk:
                self._any = True
                return str(item.chunk)
            else:
                self._any = True
        text = self._whole()
        self._any = True
        if text:
            return text
        raise StopIteration


class SnapshotView(_FieldView):
    """Iterates over the text so far of one field."""

    def __init__(self, stream: Any, accounts: TextAccounts, key: tuple[str | None, str]) -> None:
        super().__init__(stream, accounts, key)
        self._text = ""
        self._closed = False

    def __iter__(self) -> SnapshotView:
        return self

    def __next__(self) -> str:
        """The text so far; `""` when it begins again."""
        while (item := self._pull()) is not None:
            if isinstance(item, StreamRestart):
                if not self._any:
                    continue
                self._text, self._closed = "", False
                return ""
            if self._closed:  # another run of the same predictor
                self._text = ""
            self._any = True
            self._closed = item.is_last_chunk
            if item.chunk:
                self._text += str(item.chunk)
                return self._text
        text = self._whole()
        self._any = True
        if text:
            return text
        raise StopIteration
