"""Events as server-sent events: the pure encoder, and `streaming_response` on top of it.

Format: the HTML standard, "Server-sent events". Each event is one `data:` line of compact
JSON and an empty line; JSON writes every line break of a text as an escape, so no text can
begin another event.
"""

from __future__ import annotations

import json
import math
import time
from typing import Any, overload

from lmstream_sync.errors import ConfigurationError, LMStreamError, StreamClosed
from lmstream_sync.events import StatusMessage, StreamResponse, StreamRestart
from lmstream_sync.runtime.waiting import Expired
from lmstream_sync.signatures import Prediction
from lmstream_sync.streaming.stream import AsyncStream, Stream

__all__ = ["AsyncSSE", "SSE", "encode_error", "encode_event", "streaming_response"]

DONE = "data: [DONE]\n\n"
HEARTBEAT = ": heartbeat\n\n"

#: What a reader is told of an error unless `expose_errors` says otherwise.
MASKED = "The answer could not be completed."


def encode_event(event: Any) -> str:
    """One event of a stream as one server-sent event.

    A string that already begins with `data:` passes through.
    """
    if isinstance(event, StreamResponse):
        data: dict[str, Any] = {"chunk": event.json()}
    elif isinstance(event, Prediction):
        data = {"prediction": event.labels().toDict()}
    elif isinstance(event, StatusMessage):
        data = {"status": event.message}
    elif isinstance(event, StreamRestart):
        data = {"restart": event.json()}
    elif isinstance(event, str) and event.startswith("data:"):
        return event if event.endswith("\n\n") else event.rstrip("\r\n") + "\n\n"
    elif _is_raw_chunk(event):
        # As the provider sent it: `predict_id` is ours, and a number of this process.
        data = {"chunk": event.model_dump(mode="json", exclude_none=True, exclude={"predict_id"})}
    else:
        data = {"event": event}
    return f"data: {_compact(data)}\n\n"


def encode_error(error: BaseException, *, expose: bool = False) -> str:
    """An error as the last event but `[DONE]`: its type, and a message without details unless exposed."""
    ours = isinstance(error, LMStreamError)
    kind = type(error).__name__ if ours or expose else "ProgramError"
    return f"data: {_compact({'error': {'type': kind, 'message': str(error) if expose else MASKED}})}\n\n"


def _is_raw_chunk(event: Any) -> bool:
    return type(event).__name__ == "ModelResponseStream" and hasattr(event, "model_dump")


def _compact(data: Any) -> str:
    try:
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain)
    except ValueError:  # NaN or infinity, which JSON has no word for
        text = json.dumps(_finite(data), ensure_ascii=False, separators=(",", ":"), default=_plain)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair: written as an escape, which UTF-8 can carry
        text = text.encode("utf-8", "backslashreplace").decode()
    return text


def _plain(value: Any) -> Any:
    for name in ("model_dump", "toDict", "json", "isoformat"):
        method = getattr(value, name, None)
        if callable(method) and not isinstance(value, type):
            return method(mode="json") if name == "model_dump" else method()
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    return str(value)


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
            return encode_event(self._stream._next(until))
        except Expired:
            return HEARTBEAT
        except StopIteration:
            self._left = [DONE]
        except StreamClosed:
            raise  # whoever closed it wants nothing more
        except Exception as error:
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
                return encode_event(await self._stream.next(self._heartbeat))
            except Expired:
                return HEARTBEAT
            except StopAsyncIteration:
                self._left = [DONE]
            except StreamClosed:
                raise
            except Exception as error:
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
        expose_errors: tell the reader the message of an error; else a general one.

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
