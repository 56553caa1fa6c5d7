"""`Stream` and `AsyncStream`: what a streamified program gives back, and reading it in terms of fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmstream_sync.errors import ListenerError, LMStreamError
from lmstream_sync.events import StreamResponse, StreamRestart
from lmstream_sync.lm.usage import UsageTally
from lmstream_sync.runtime.async_stream import AsyncEventStream
from lmstream_sync.runtime.call import Call, Own
from lmstream_sync.runtime.reading import NOTHING
from lmstream_sync.runtime.stream import EventStream
from lmstream_sync.signatures import Prediction
from lmstream_sync.streaming.accounts import FieldKey, TextAccounts
from lmstream_sync.streaming.observer import Carried
from lmstream_sync.streaming.portion import Portion
from lmstream_sync.streaming.views import (
    AsyncFieldView,
    FieldView,
    ItemSnapshots,
    Pieces,
    Snapshots,
    ValueSnapshots,
)

__all__ = ["AsyncStream", "Stream"]

_SNAPSHOTS = {"text": Snapshots, "item": ItemSnapshots, "value": ValueSnapshots}


class Stream(EventStream):
    """The events of one call of a program, in an ordinary `for` loop.

    An iterator object and a context manager. Leaving the block, `close()`, or the last
    reference gone stops the program and closes the provider's connection.

    Args:
        call: the call; it is started here.
        listened: the fields that listeners asked for: predictor's name, field.
        readable: what can be read as text besides: without listeners, the string output
            fields of the program.
        tally: counts the tokens of the call.
        granularities: those of the listened fields that do not stream as text; kept, not copied.
    """

    def __init__(
        self,
        call: Call,
        listened: tuple[FieldKey, ...] = (),
        readable: tuple[FieldKey, ...] = (),
        tally: UsageTally | None = None,
        granularities: Mapping[FieldKey, str] | None = None,
    ) -> None:
        self._accounts = TextAccounts(listened)
        self._readable = readable
        self._granularities: Mapping[FieldKey, str] = granularities or {}
        self._tally = tally if tally is not None else UsageTally()
        super().__init__(call)

    def _hand_out(self, item: Any) -> Any:
        kind = type(item)
        if kind is StreamResponse:
            self._accounts.add(item)
        elif kind is Carried:
            for response in item.responses:
                self._hand_out(response)
            return NOTHING if item.event is None else item.event
        elif kind is Portion:
            event = item.event()
            self._accounts.add_portion(item)
            return NOTHING if event is None else event
        elif kind is Own:
            return item.value
        elif kind is StreamRestart:
            self._accounts.restart(item)
        return item

    def _shown(self, item: Any) -> Any:
        if type(item) is Carried:
            return NOTHING if item.event is None else item.event
        if type(item) is Portion:
            event = item.event()
            return NOTHING if event is None else event
        return super()._shown(item)

    def _decorated(self, error: BaseException) -> BaseException:
        if isinstance(error, LMStreamError):
            error.partial = self.partial
        return error

    # Reading in terms of fields.

    def text(self, field: str | None = None) -> FieldView[str]:
        """An iterator over the pieces of one field's text.

        Args:
            field: the output field, or `predict_name.field`; may be left out where one
                field is listened to, or, without listeners, the program has one string
                output field.

        Of a field that streams in items or values it is the text they are read from, as far as
        what was handed out goes. Where nothing of the field was streamed (a cache hit, the
        program's own Prediction), its whole text comes once, from the Prediction.

        Raises:
            ListenerError: the field is not listened to, or none was given and there are several.
            StreamRestarted: (while reading) text that was given before became void.
        """
        return FieldView(self, self._texts(Pieces, field))

    def snapshots(self, field: str | None = None) -> FieldView[Any]:
        """An iterator over the text so far of one field; starts again from `""` on a restart.

        For `granularity="value"`, over the partial value (`None` on a restart); for `"item"`,
        over the list of the items so far (an empty one on a restart). Both are one object that
        grows from one step to the next. Args and errors as for `text`, but that a restart is
        no error here.
        """
        return FieldView(self, self._texts(Snapshots, field))

    def _texts(self, kind: type[Pieces], field: str | None) -> Pieces:
        predictor, name = self._key(field)
        if kind is Snapshots and predictor is not None:
            kind = _SNAPSHOTS[self._granularities.get((predictor, name), "text")]
        return kind(self, self._accounts, (predictor, name))

    def _key(self, field: str | None) -> tuple[str | None, str]:
        known = self._accounts.listened or self._readable
        if field is None:
            if len(known) == 1:
                return known[0]
            if not known:
                raise ListenerError("name the field to read: stream.text('answer')")
            raise ListenerError(f"several fields can be read, name one: {_listed(known)}")
        known = (*self._accounts.listened, *self._readable)
        predictor, _, name = field.rpartition(".")
        found = [key for key in known if key[1] == name and (not predictor or key[0] == predictor)]
        if len(found) == 1:
            return found[0]
        if found:
            raise ListenerError(f"several predictors have the field {field!r}, name one: {_listed(tuple(found))}")
        if self._accounts.listened:
            raise ListenerError(f"nobody listens to {field!r}; there are {_listed(known)}")
        return (predictor or None, name)

    @property
    def partial(self) -> dict[str, str]:
        """Listened field → its text handed out so far; `predict_name.field` where two predictors have it.

        Of several runs it is the last. Once the stream is read to its end, a field of which
        nothing was streamed (a cache hit) has its text in the Prediction. To be read at any
        time, after an error and after `close()` too.
        """
        return self._accounts.partial(self._text_in_prediction)

    def _text_in_prediction(self, field: str) -> str | None:
        prediction = self.prediction if self.outcome == "completed" else None
        return prediction.raw(field) if prediction is not None and field in prediction else None

    @property
    def granularities(self) -> Mapping[FieldKey, str]:
        """Predictor and field → granularity, of the listened fields that do not stream as text."""
        return self._granularities

    @property
    def prediction(self) -> Prediction | None:
        """The final Prediction, once the program has returned it."""
        value = self._call.result if self._call.completed else None
        return value if isinstance(value, Prediction) else None

    @property
    def usage(self) -> dict[str, dict[str, Any]]:
        """Model → tokens so far: `prompt_tokens`, `completion_tokens`, `total_tokens`,
        `cached_tokens`, `reasoning_tokens`; `estimated` is true where the provider never reported."""
        return self._tally.usage

    @property
    def cost(self) -> float | None:
        """US dollars so far by litellm's table of prices; `None` where it does not know a model."""
        return self._tally.cost

    # The asynchronous face.

    def __aiter__(self) -> AsyncStream:
        return AsyncStream(self)

    async def aclose(self) -> None:
        """`close()` without blocking the event loop of the one who calls."""
        await AsyncStream(self).aclose()

    async def __aenter__(self) -> AsyncStream:
        return AsyncStream(self)

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __iter__(self) -> Stream:
        return self

    def __enter__(self) -> Stream:
        return self


class AsyncStream(AsyncEventStream):
    """A `Stream` read with `async for`, on any event loop; it takes no thread.

    An asynchronous iterator and context manager. What is not here is on `stream`.

    Args:
        stream: the stream to read.

    Attributes:
        stream: the same.
    """

    stream: Stream

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream)

    def __aiter__(self) -> AsyncStream:
        return self

    async def __aenter__(self) -> AsyncStream:
        return self

    def text(self, field: str | None = None) -> AsyncFieldView[str]:
        """See `Stream.text`; for `async for`."""
        return AsyncFieldView(self, self.stream._texts(Pieces, field))

    def snapshots(self, field: str | None = None) -> AsyncFieldView[Any]:
        """See `Stream.snapshots`; for `async for`."""
        return AsyncFieldView(self, self.stream._texts(Snapshots, field))

    @property
    def partial(self) -> dict[str, str]:
        """See `Stream.partial`."""
        return self.stream.partial

    @property
    def prediction(self) -> Prediction | None:
        """See `Stream.prediction`."""
        return self.stream.prediction

    @property
    def usage(self) -> dict[str, dict[str, Any]]:
        """See `Stream.usage`."""
        return self.stream.usage

    @property
    def cost(self) -> float | None:
        """See `Stream.cost`."""
        return self.stream.cost


def _listed(keys: tuple[FieldKey, ...]) -> str:
    fields = [field for _, field in keys]
    return ", ".join(f"{predictor}.{field}" if fields.count(field) > 1 else field for predictor, field in keys)
