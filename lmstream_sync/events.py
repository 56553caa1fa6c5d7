"""What a stream hands to its reader, besides raw model chunks and the final Prediction.

Frozen values with no behaviour but their conversion to plain data. This module knows
nothing of the rest of the library.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

__all__ = ["ManyResult", "MergedEvent", "StatusMessage", "StreamResponse", "StreamRestart"]


@dataclass(frozen=True, slots=True, init=False)
class StreamResponse:
    """A piece of one listened output field.

    Attributes:
        predict_name: the predictor's name, as `Module.named_predictors()` says
            (`"self"` for a bare predictor).
        signature_field_name: the output field.
        chunk: the piece: text as it stands in the field's final value, or, as the listener's
            granularity says, an item of a list or the partial value; of a type that streams in
            pieces of its own, an instance of it.
        is_last_chunk: true for exactly one chunk of each run of the field, its last.
    """

    predict_name: str
    signature_field_name: str
    chunk: Any
    is_last_chunk: bool

    def __init__(self, predict_name: str, signature_field_name: str, chunk: Any, is_last_chunk: bool) -> None:
        # As a frozen dataclass does it, without looking each field up: there is one of these for every piece.
        _set_predict_name(self, predict_name)
        _set_signature_field_name(self, signature_field_name)
        _set_chunk(self, chunk)
        _set_is_last_chunk(self, is_last_chunk)

    def json(self) -> dict[str, Any]:
        """The event as a dict, its chunk as it is: `streaming_response` writes models and dates as JSON."""
        return {
            "predict_name": self.predict_name,
            "signature_field_name": self.signature_field_name,
            "chunk": self.chunk,
            "is_last_chunk": self.is_last_chunk,
        }


_set_predict_name: Any
_set_signature_field_name: Any
_set_chunk: Any
_set_is_last_chunk: Any
_set_predict_name, _set_signature_field_name, _set_chunk, _set_is_last_chunk = (
    vars(StreamResponse)[each.name].__set__ for each in fields(StreamResponse)
)


@dataclass(frozen=True, slots=True)
class StreamRestart:
    """What was streamed of a field is void; it begins again.

    Attributes:
        predict_name: the predictor whose text is void.
        signature_field_name: the field, or `None` for every field of that predictor.
        reason: for people, one line.
    """

    predict_name: str
    signature_field_name: str | None = None
    reason: str = ""

    def json(self) -> dict[str, Any]:
        """The event as a dict of plain values."""
        return {
            "predict_name": self.predict_name,
            "signature_field_name": self.signature_field_name,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class StatusMessage:
    """What the program is doing, for the person who waits.

    Attributes:
        message: the text a `StatusMessageProvider` gave.
        kind: `"tool_start"`, `"tool_end"`, `"module_start"`, `"module_end"`,
            `"lm_start"`, `"lm_end"`, or `""` for a message of the user's own.
        name: the tool's name, the module's class or the model.
        call_id: the same for a start and its end.
        inputs: the arguments of the call (at its start).
        outputs: what it returned (at its end).
        error: what it raised (at its end), or `None`.
    """

    message: str
    kind: str = ""
    name: str = ""
    call_id: str = ""
    inputs: dict[str, Any] | None = field(default=None, repr=False)
    outputs: Any = field(default=None, repr=False)
    error: BaseException | None = None


class MergedEvent(NamedTuple):
    """An event of one of the streams that `merge` reads: `name, event = ...`.

    Attributes:
        name: that of the stream.
        event: the event; with `on_error="yield"` also the exception that ended the stream.
    """

    name: str
    event: Any


class ManyResult(NamedTuple):
    """What became of one input of `run_many`: `index, result = ...`.

    Attributes:
        index: the input's place, from 0.
        result: what the program returned, or the exception it raised.
    """

    index: int  # type: ignore[assignment]  # in place of `tuple.index`
    result: Any
