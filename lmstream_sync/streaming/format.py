"""`Format`: how the events of a stream are written for somebody at the other end of a connection.

A format is pure: events in, text out, no I/O. One object serves one response and may keep
what it has to remember between events (a part that is open, a number).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ["Format", "Source"]


class Source(Protocol):
    """What a format may know of the stream it writes."""

    @property
    def id(self) -> str:
        """The stream's name: with it anybody may cancel the stream, so think before it is sent."""

    @property
    def usage(self) -> dict[str, dict[str, Any]]:
        """Model → tokens so far."""

    @property
    def partial(self) -> dict[str, str]:
        """Listened field → its text so far; all of them from the start."""

    @property
    def granularities(self) -> Mapping[tuple[str, str], str]:
        """Predictor and field → granularity, of the fields that do not stream as text."""


class Format(ABC):
    """Events to text. `""` from any method means that there is nothing to send.

    Attributes:
        name: what a view calls it (`format="sse"`).
        content_type: the header of that name.
        headers: what else the readers of this format look for.
    """

    name = ""
    content_type = "text/event-stream"
    headers: Mapping[str, str] = {}

    def begin(self, source: Source) -> str:
        """What comes before the first event."""
        return ""

    @abstractmethod
    def event(self, event: Any, *, expose: bool = False) -> str:
        """One event: a `StreamResponse`, `StatusMessage`, `StreamRestart`, `Prediction`, a raw
        chunk, what `merge` and `run_many` give, or anything that a program emitted.

        Args:
            event: the event.
            expose: whether the message of an error among events may be told.

        Raises:
            LMStreamError: what has been sent became void and this format cannot take it back;
                the stream is closed, and `failed` gets the error.
        """

    @abstractmethod
    def failed(self, error: BaseException, *, expose: bool = False) -> str:
        """The error that ended the stream, masked unless `expose`; `end` comes after it."""

    def heartbeat(self) -> str:
        """What is sent while nothing comes, and changes nothing for who reads it."""
        return ""

    def end(self) -> str:
        """What comes last, after a failure too."""
        return ""
