"""Events as plain data and as compact JSON: what `streaming_response` and the web formats write.

Pure. An error is masked here, in one place: its type, and a message without details.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from lmstream_sync.errors import LMStreamError
from lmstream_sync.events import ManyResult, MergedEvent, StatusMessage, StreamResponse, StreamRestart
from lmstream_sync.lm.secrets import known_secrets, scrub
from lmstream_sync.signatures import Prediction
from lmstream_sync.signatures.plain import jsonable

__all__ = ["MASKED", "compact", "error_data", "event_data", "is_raw_chunk", "message_of"]

#: What a reader is told of an error unless `expose_errors` says otherwise.
MASKED = "The answer could not be completed."


def event_data(event: Any, expose: bool) -> dict[str, Any]:
    """An event as a dict with one key that names its kind; what `merge` and `run_many` give has a second.

    Args:
        event: what a stream handed out; an exception, where `merge` and `run_many` yield one.
        expose: whether an exception's message is told.
    """
    if isinstance(event, StreamResponse):
        return {"chunk": event.json()}
    if isinstance(event, Prediction):
        return {"prediction": event.labels().toDict()}
    if isinstance(event, StatusMessage):
        return {"status": event.message}
    if isinstance(event, StreamRestart):
        return {"restart": event.json()}
    if isinstance(event, MergedEvent):
        return {"stream": event.name, **event_data(event.event, expose)}
    if isinstance(event, ManyResult):
        return {"index": event.index, **event_data(event.result, expose)}
    if isinstance(event, BaseException):
        return error_data(event, expose)
    if is_raw_chunk(event):
        # As the provider sent it: `predict_id` is ours, and a number of this process.
        return {"chunk": event.model_dump(mode="json", exclude_none=True, exclude={"predict_id"})}
    return {"event": event}


def error_data(error: BaseException, expose: bool) -> dict[str, Any]:
    """An error as `{"error": {"type", "message"}}`, the message masked unless exposed.

    The type is the name of the class, a stable code; `"ProgramError"` for an exception that is
    not the library's own, unless exposed.
    """
    kind = type(error).__name__ if expose or isinstance(error, LMStreamError) else "ProgramError"
    return {"error": {"type": kind, "message": message_of(error) if expose else MASKED}}


def message_of(error: BaseException) -> str:
    """The message of an error that may be told: without any key that this process knows of."""
    return scrub(str(error), known_secrets({}))


def is_raw_chunk(event: Any) -> bool:
    """Whether an event is a `litellm.ModelResponseStream`; litellm need not be loaded for the answer."""
    return type(event).__name__ == "ModelResponseStream" and hasattr(event, "model_dump")


# No line ends there in JSON, in server-sent events or in NDJSON; but `str.splitlines`, with
# which many a reader cuts, thinks otherwise.
_LINE_ENDS = re.compile("[\x85\u2028\u2029]")


def compact(data: Any) -> str:
    """Compact JSON on one line, whatever the reader takes for its end, of anything.

    Half a surrogate pair is escaped, NaN becomes `null`.
    """
    try:
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain)
    except (ValueError, TypeError):  # NaN or infinity, which JSON has no word for; keys that are no strings
        text = json.dumps(_finite(jsonable(data)), ensure_ascii=False, separators=(",", ":"), default=_plain)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair: written as an escape, which UTF-8 can carry
        text = text.encode("utf-8", "backslashreplace").decode()
    return _LINE_ENDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _plain(value: Any) -> Any:
    """A value that JSON has no form for, as one it has: models and records as objects, dates in ISO 8601."""
    if not isinstance(value, type):
        if callable(getattr(value, "model_dump", None)):
            try:
                return value.model_dump(mode="json")
            except ValueError:  # it holds something that pydantic cannot write
                return jsonable(value)
        if not callable(getattr(value, "toDict", None)) and callable(getattr(value, "json", None)):
            return value.json()
    return jsonable(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return value
