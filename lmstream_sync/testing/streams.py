"""`stream_of`: a real `Stream` of given events, for tests of code that reads one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from lmstream_sync.streaming import Stream, streamify

__all__ = ["stream_of"]


def stream_of(events: Iterable[Any], error: BaseException | None = None) -> Stream:
    """A `Stream` of these events, without any model.

        stream_of([StreamResponse("self", "answer", "42", True), Prediction(answer="42")])

    Args:
        events: what the reader gets, in order; read in a worker thread, as the reader takes
            them, so that they may wait for something. A `Prediction` as the last is the
            final value (`result()`).
        error: raised to the reader after them.
    """

    def scripted() -> Iterator[Any]:
        yield from events
        if error is not None:
            raise error

    return streamify(scripted)()
