"""What a stream may see of a program: the seam between predictors and streaming.

A predictor asks the observer in its context whether somebody listens to this run. This
module knows nothing of streams; `streaming` provides the observer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from contextvars import ContextVar
from typing import Any, Protocol

from lmstream_sync.adapters.reader import FieldEvent
from lmstream_sync.lm.engine import Delta
from lmstream_sync.signatures import SignatureMeta

__all__ = ["Observer", "RunObserver", "current_observer"]


class RunObserver(Protocol):
    """Sees one run of one predictor. `saw` and `flush` are called on the event loop.

    Attributes:
        wants_raw: its reader is shown the provider's own objects (`Delta.raw`).
    """

    wants_raw: bool

    def saw(self, delta: Delta | None, fields: Sequence[FieldEvent]) -> None:
        """Pieces came, and this is what the reader made of them, in order.

        With `wants_raw` it is one piece at a time, of any choice; else `delta` is `None`, as it
        is for what the reader gives at the end of the reply.
        """
        ...

    def restart(self, reason: str) -> None:
        """The same run asks once more: what was seen of its first attempt is void when something else is seen.

        An attempt that gives nothing leaves the first one's text standing, beside its error.
        Called between two attempts, in any thread, while nothing else is called.
        """
        ...

    def flush(self) -> Awaitable[None] | None:
        """Hand on what was seen. Gives what is to be awaited, where the reader of the stream is slow."""
        ...

    def failed(self) -> None:
        """The run ended without an answer. May be called in any thread."""
        ...

    def cache_hit(self) -> None:
        """The reply came from a cache: there are no pieces. May be called in any thread."""
        ...


class Observer(Protocol):
    """Sees one call of a program."""

    def begin(self, predictor: Any, signature: SignatureMeta) -> RunObserver | None:
        """A predictor begins a run; `None` when nobody listens to it (it then does not stream).

        `signature` is that of the run, which may not be the predictor's own.
        """
        ...


current_observer: ContextVar[Observer | None] = ContextVar("lmstream_sync_observer", default=None)
