"""A stream seen by one field: its pieces of text (`Stream.text`), or what there is of it so far (`Stream.snapshots`).

`Pieces` and the `Snapshots` make texts and values of what was heard; `FieldView` and
`AsyncFieldView` pull the events. These are iterator objects, never generators: closing one,
before its first item too and from any thread, closes the stream.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from lmstream_sync.errors import StreamRestarted
from lmstream_sync.events import StreamResponse, StreamRestart
from lmstream_sync.runtime.reading import NOTHING
from lmstream_sync.signatures.plain import jsonable
from lmstream_sync.streaming.accounts import Heard, TextAccounts, text_of_chunk
from lmstream_sync.streaming.portion import Portion

__all__ = ["AsyncFieldView", "FieldView", "ItemSnapshots", "Pieces", "Snapshots", "ValueSnapshots"]


T = TypeVar("T")


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

    def next(self) -> Any:
        """The next thing to give of what was heard; `NOTHING`: there is none yet.

        Raises:
            StreamRestarted: text that was given before became void.
        """
        while self._heard:
            item = self._heard.popleft()
            if not self._concerns(item):
                continue
            if isinstance(item, StreamRestart):
                made = self._begun_again(item)
            else:
                made = self._came(item)
                self._any = True
            if made is not NOTHING:
                return made
        return NOTHING

    def rest(self) -> Any:
        """At the end of the stream: what the Prediction has of the field, where nothing of it was streamed."""
        prediction = self._stream.prediction
        if self._any or prediction is None or self._field not in prediction:
            return NOTHING
        self._any = True
        return self._of(prediction)

    def _concerns(self, item: Heard) -> bool:
        predictor, field = (
            (item.name, item.field) if isinstance(item, Portion) else (item.predict_name, item.signature_field_name)
        )
        return (self._predictor is None or predictor == self._predictor) and field in (None, self._field)

    def _came(self, piece: StreamResponse | Portion) -> Any:
        return _text_of(piece) or NOTHING

    def _begun_again(self, restart: StreamRestart) -> Any:
        if not self._any:
            return NOTHING
        error = StreamRestarted(
            f"the text of {self._field!r} began again after some of it was given"
            + (f": {restart.reason}" if restart.reason else "")
            + "; read snapshots() to follow restarts"
        )
        error.partial = self._stream.partial
        raise error

    def _of(self, prediction: Any) -> Any:
        return prediction.raw(self._field) or NOTHING


class Snapshots(Pieces):
    """The text so far of one field; `""` when it begins again."""

    #: What there is of a field that begins again.
    _empty: Any = ""

    def __init__(self, stream: Any, accounts: TextAccounts, key: tuple[str | None, str]) -> None:
        super().__init__(stream, accounts, key)
        self._text = ""
        self._closed = False

    def _came(self, piece: StreamResponse | Portion) -> Any:
        if self._closed:  # another run of the same predictor
            self._forget()
        self._closed = piece.closes if isinstance(piece, Portion) else piece.is_last_chunk
        return self._with(piece)

    def _begun_again(self, restart: StreamRestart) -> Any:
        self._closed = False
        self._forget()
        return self._empty if self._any else NOTHING

    def _forget(self) -> None:
        self._text = ""

    def _with(self, piece: StreamResponse | Portion) -> Any:
        text = _text_of(piece)
        if not text:
            return NOTHING
        self._text += text
        return self._text


class ValueSnapshots(Snapshots):
    """The value so far of a field that streams as its partial value: one object that grows; `None` on a restart."""

    _empty = None

    def _with(self, piece: StreamResponse | Portion) -> Any:
        event = piece.event() if isinstance(piece, Portion) else piece
        return NOTHING if event is None else event.chunk

    def _of(self, prediction: Any) -> Any:
        return jsonable(prediction[self._field])


class ItemSnapshots(Snapshots):
    """The items so far of a field that streams in items: one list that grows; another when it begins again."""

    def __init__(self, stream: Any, accounts: TextAccounts, key: tuple[str | None, str]) -> None:
        super().__init__(stream, accounts, key)
        self._items: list[Any] = []

    def _begun_again(self, restart: StreamRestart) -> Any:
        super()._begun_again(restart)
        return self._items if self._any else NOTHING

    def _forget(self) -> None:
        self._items = []

    def _with(self, piece: StreamResponse | Portion) -> Any:
        event = piece.event() if isinstance(piece, Portion) else piece
        if event is None:
            return NOTHING
        if isinstance(piece, Portion) and piece.bare:
            return NOTHING if self._items else self._items
        self._items.append(event.chunk)
        return self._items

    def _of(self, prediction: Any) -> Any:
        value = prediction[self._field]
        return list(value) if isinstance(value, (list, tuple, set, frozenset)) else []


def _text_of(piece: StreamResponse | Portion) -> str:
    if isinstance(piece, Portion):
        return piece.text
    return text_of_chunk(piece.chunk)


class _View:
    """What both iterators hold: the stream they pull, and what makes texts or values of what it gives."""

    def __init__(self, stream: Any, texts: Pieces) -> None:
        self._stream = stream
        self._texts = texts
        self._over = False


class FieldView(_View, Generic[T]):
    """Iterates over what one field gives; a context manager too.

    Args:
        stream: a `Stream`, read through `next()`.
        texts: makes what is given.
    """

    def __iter__(self) -> FieldView[T]:
        return self

    def __next__(self) -> T:
        """The next text or value; raises what `Stream.__next__` raises, and `StreamRestarted`."""
        while (text := self._texts.next()) is NOTHING:
            if self._over:
                text = self._texts.rest()
                if text is NOTHING:
                    raise StopIteration
                break
            try:
                next(self._stream)
            except StopIteration:
                self._over = True
        given: T = text
        return given

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()

    def __enter__(self) -> FieldView[T]:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class AsyncFieldView(_View, Generic[T]):
    """The same for an `AsyncStream`, with `async for`."""

    def __aiter__(self) -> AsyncFieldView[T]:
        return self

    async def __anext__(self) -> T:
        """The next text or value; raises what `AsyncStream.__anext__` raises, and `StreamRestarted`."""
        while (text := self._texts.next()) is NOTHING:
            if self._over:
                text = self._texts.rest()
                if text is NOTHING:
                    raise StopAsyncIteration
                break
            try:
                await self._stream.__anext__()
            except StopAsyncIteration:
                self._over = True
        given: T = text
        return given

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()

    async def __aenter__(self) -> AsyncFieldView[T]:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()
