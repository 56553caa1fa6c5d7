"""Events as server-sent events: the pure encoder, and `streaming_response` on top of it.

Format: the HTML standard, "Server-sent events". Each event is one `data:` line of compact
JSON and an empty line; JSON writes every line break of a text as an escape, so no text can
begin another event.
"""

from __future__ import annotations

import json
import logging
import math
import time
import traceback
from typing import Any, overload

from lmstream_sync.errors import ConfigurationError, LMStreamError, StreamClosed
from lmstream_sync.events import ManyResult, MergedEvent, StatusMessage, StreamResponse, StreamRestart
from lmstream_sync.lm.secrets import known_secrets, scrub
from lmstream_sync.runtime.waiting import Expired
from lmstream_sync.signatures import Prediction
from lmstream_sync.signatures.plain import jsonable
from lmstream_sync.streaming.stream import AsyncStream, Stream

__all__ = ["AsyncSSE", "SSE", "encode_error", "encode_event", "streaming_response"]

_log = logging.getLogger("lmstream_sync.streaming")

DONE = "data: [DONE]\n\n"
HEARTBEAT = ": heartbeat\n\n"

#: What a reader is told of an error unless `expose_errors` says otherwise.
MASKED = "The answer could not be completed."


def encode_event(event: Any, *, expose: bool = False) -> str:
    """One event of a stream as one server-sent event.

    A string that already begins with `data:` passes through. What `merge` and `run_many`
    give is the event itself with `"stream"`, its name, or `"index"` beside it; an exception
    among it is masked as `encode_error` does, unless exposed.
    """
    if isinstance(event, str) and event.startswith("data:"):
        return event if event.endswith("\n\n") else event.rstrip("\r\n") + "\n\n"
    return f"data: {_compact(_data_of(event, expose))}\n\n"


def _data_of(event: Any, expose: bool) -> dict[str, Any]:
    if isinstance(event, StreamResponse):
        return {"chunk": event.json()}
    if isinstance(event, Prediction):
        return {"prediction": event.labels().toDict()}
    if isinstance(event, StatusMessage):
        return {"status": event.message}
    if isinstance(event, StreamRestart):
        return {"restart": event.json()}
    if isinstance(event, MergedEvent):
        return {"stream": event.name, **_data_of(event.event, expose)}
    if isinstance(event, ManyResult):
        return {"index": event.index, **_data_of(event.result, expose)}
    if isinstance(event, BaseException):
        return _error(event, expose)
    if _is_raw_chunk(event):
        # As the provider sent it: `predict_id` is ours, and a number of this process.
        return {"chunk": event.model_dump(mode="json", exclude_none=True, exclude={"predict_id"})}
    return {"event": event}


def encode_error(error: BaseException, *, expose: bool = False) -> str:
    """An error as the last event but `[DONE]`: its type, and a message without details unless exposed."""
    return f"data: {_compact(_error(error, expose))}\n\n"


def _error(error: BaseException, expose: bool) -> dict[str, Any]:
    kind = type(error).__name__ if expose or isinstance(error, LMStreamError) else "ProgramError"
    return {"error": {"type": kind, "message": str(error) if expose else MASKED}}


def _log_failure(stream: Stream, error: Exception) -> None:
    """Say in the log what the reader at the other end is not told; a fault of the program's with its traceback."""
    text = f"{type(error).__name__}: {error}"
    if not isinstance(error, LMStreamError):
        text = "".join(traceback.format_exception(error)).rstrip()
    _log.error("%r failed: %s", stream, scrub(text, known_secrets({})))


def _is_raw_chunk(event: Any) -> bool:
    return type(event).__name__ == "ModelResponseStream" and hasattr(event, "model_dump")


def _compact(data: Any) -> str:
    try:
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain)
    except (ValueError, TypeError):  # NaN or infinity, which JSON has no word for; keys that are no strings
        text = json.dumps(_finite(jsonable(data)), ensure_ascii=False, separators=(",", ":"), default=_plain)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair: written as an escape, which UTF-8 can carry
        text = text.encode("utf-8", "backslashreplace").decode()
    return text


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


class SSE:
    """An iterator over a stream's events as server-sent events.

    An object, not a generator: `close()`, before its first item too, closes the stream, as
    a WSGI server does when its reader has left.
    """

    def __init__(self, stream: Stream, heartbeat: float | None, expose_errors: bool) -> None:
        self._stream = stream
        self._heartbeat = heartbeat
        self._expose = expose_errors
        self._left: list[str] | None = None

    def __iter__(self) -> SSE:
        return self

    def __next__(self) -> str:
        """The next event, or a comment when nothing came for `heartbeat` seconds."""
        if self._left is not None:
            return _first_of(self._left)
        until = None if self._heartbeat is None else time.monotonic() + self._heartbeat
        try:
            return encode_event(self._stream._next(until), expose=self._expose)
        except Expired:
            return HEARTBEAT
        except StopIteration:
            self._left = [DONE]
        except StreamClosed:
            raise  # whoever closed it wants nothing more
        except Exception as error:
            _log_failure(self._stream, error)
            self._left = [encode_error(error, expose=self._expose), DONE]
        return _first_of(self._left)

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()

    def __enter__(self) -> SSE:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _first_of(left: list[str]) -> str:
    if not left:
        raise StopIteration
    return left.pop(0)


class AsyncSSE:
    """The same for an `AsyncStream`, as an asynchronous iterator."""

    def __init__(self, stream: AsyncStream, heartbeat: float | None, expose_errors: bool) -> None:
        self._stream = stream
        self._heartbeat = heartbeat
        self._expose = expose_errors
        self._left: list[str] | None = None

    def __aiter__(self) -> AsyncSSE:
        return self

    async def __anext__(self) -> str:
        """The next event, or a comment when nothing came for `heartbeat` seconds."""
        if self._left is None:
            try:
                return encode_event(await self._stream.next(self._heartbeat), expose=self._expose)
            except Expired:
                return HEARTBEAT
            except StopAsyncIteration:
                self._left = [DONE]
            except StreamClosed:
                raise
            except Exception as error:
                _log_failure(self._stream.stream, error)
                self._left = [encode_error(error, expose=self._expose), DONE]
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop(0)

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()

    async def __aenter__(self) -> AsyncSSE:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


@overload
def streaming_response(stream: Stream, *, heartbeat: float | None = 15, expose_errors: bool = False) -> SSE: ...


@overload
def streaming_response(
    stream: AsyncStream, *, heartbeat: float | None = 15, expose_errors: bool = False
) -> AsyncSSE: ...


def streaming_response(
    stream: Stream | AsyncStream, *, heartbeat: float | None = 15, expose_errors: bool = False
) -> SSE | AsyncSSE:
    """A stream as server-sent events, for a view to return; ends with `data: [DONE]`.

    Args:
        stream: what a streamified program gave; an `AsyncStream` gives an asynchronous iterator.
        heartbeat: seconds of silence after which a comment is sent, which keeps proxies
            open and lets a WSGI server see that its reader left; `None` for none.
        expose_errors: tell the reader the message of an error; else a general one, and the
            logger `lmstream_sync.streaming` has the error.

    Raises:
        ConfigurationError: it is no stream.
    """
    if heartbeat is not None and not heartbeat > 0:
        raise ConfigurationError(f"heartbeat={heartbeat!r}: give a positive number of seconds, or None")
    if isinstance(stream, Stream):
        return SSE(stream, heartbeat, expose_errors)
    if isinstance(stream, AsyncStream):
        return AsyncSSE(stream, heartbeat, expose_errors)
    raise ConfigurationError(
        f"streaming_response({stream!r}): give what a streamified program returned, a Stream or an AsyncStream"
    )
