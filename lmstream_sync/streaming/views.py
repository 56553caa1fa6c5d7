"""A stream seen as text: the pieces of one field (`Stream.text`), or its text so far (`Stream.snapshots`).

`Pieces` and `Snapshots` make text of what was heard; `FieldView` and `AsyncFieldView` pull
the events. These are iterator objects, never generators: closing one, before its first item
too and from any thread, closes the stream.
"""

from __future__ import annotations

from typing import Any

from lmstream_sync.errors import StreamRestarted
from lmstream_sync.events import StreamResponse, StreamRestart
from lmstream_sync.streaming.accounts import TextAccounts

__all__ = ["AsyncFieldView", "FieldView", "Pieces", "Snapshots"]


class Pieces:
    """The text of one field, piece by piece.

    Args:
        stream: tells of its Prediction and of what was handed out.
        accounts: its accounts, which tell from now on of each piece.
        key: predictor (`None` for any) and field.
    """

    def __init__(self, stream: Any, accounts: TextAccounts, key: tuple[str | None, str]) -> None:
        self._stream = stream
        self._predictor, self._field = key
        self._heard = accounts.hear()
        self._any = False

    def next(self) -> str | None:
        """The next text of what was heard; `None`: nothing is there yet.

        Raises:
            StreamRestarted: text that was given before became void.
        """
        while self._heard:
            item = self._heard.popleft()
            if self._concerns(item):
                text = self._begun_again(item) if isinstance(item, StreamRestart) else self._came(item)
                if text is not None:
                    return text
        return None

    def rest(self) -> str | None:
        """At the end of the stream: the field's text in the Prediction, where nothing of it was streamed."""
        prediction = self._stream.prediction
        if self._any or prediction is None or self._field not in prediction:
            return None
        self._any = True
        text: str = prediction.raw(self._field)
        return text or None

    def _concerns(self, item: StreamResponse | StreamRestart) -> bool:
        if self._predictor is not None and item.predict_name != self._predictor:
            return False
        return item.signature_field_name in (None, self._field)

    def _came(self, piece: StreamResponse) -> str | None:
        self._any = True
        return str(piece.chunk) if piece.chunk else None

    def _begun_again(self, restart: StreamRestart) -> str | None:
        if not self._any:
            return None
        error = StreamRestarted(
            f"the text of {self._field!r} began again after some of it was given"
            + (f": {restart.reason}" if restart.reason else "")
            + "; read snapshots() to follow restarts"
        )
        error.partial = self._stream.partial
        raise error


class Snapshots(Pieces):
    """The text so far of one field; `""` when it begins again."""

    def __init__(self, stream: Any, accounts: TextAccounts, key: tuple[str | None, str]) -> None:
        super().__init__(stream, accounts, key)
        self._text = ""
        self._closed = False

    def _came(self, piece: StreamResponse) -> str | None:
        if self._closed:  # another run of the same predictor
            self._text = ""
        self._any = True
        self._closed = piece.is_last_chunk
        if not piece.chunk:
            return None
        self._text += str(piece.chunk)
        return self._text

    def _begun_again(self, restart: StreamRestart) -> str | None:
        self._text, self._closed = "", False
        return "" if self._any else None


class _View:
    """What both iterators hold: the stream they pull, and what makes text of what it gives."""

    def __init__(self, stream: Any, texts: Pieces) -> None:
        self._stream = stream
        self._texts = texts
        self._over = False


class FieldView(_View):
    """Iterates over the texts of one field; a context manager too.

    Args:
        stream: a `Stream`, read through `next()`.
        texts: makes the texts.
    """

    def __iter__(self) -> FieldView:
        return self

    def __next__(self) -> str:
        """The next text; raises what `Stream.__next__` raises, and `StreamRestarted`."""
        while (text := self._texts.next()) is None:
            if self._over:
                text = self._texts.rest()
                if text is None:
                    raise StopIteration
                return text
            try:
                next(self._stream)
            except StopIteration:
                self._over = True
        return text

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()

    def __enter__(self) -> FieldView:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class AsyncFieldView(_View):
    """The same for an `AsyncStream`, with `async for`."""

    def __aiter__(self) -> AsyncFieldView:
        return self

    async def __anext__(self) -> str:
        """The next text; raises what `AsyncStream.__anext__` raises, and `StreamRestarted`."""
        while (text := self._texts.next()) is None:
            if self._over:
                text = self._texts.rest()
                if text is None:
                    raise StopAsyncIteration
                return text
            try:
                await self._stream.__anext__()
            except StopAsyncIteration:
                self._over = True
        return text

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()

    async def __aenter__(self) -> AsyncFieldView:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()
