"""What a scripted server counts, and waiting until it has counted so far."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from lmstream_sync.testing.reply import Request

__all__ = ["Counts", "Tally"]


@dataclass(frozen=True)
class Counts:
    """What a server had counted at one moment.

    Attributes:
        requests: completions asked for.
        pieces_sent: pieces of streamed replies that were sent.
        tokens_sent: the same, and the pieces of replies that went out whole.
        readers_left: readers that went away before the text of their reply was out.
        open_streams: replies under way, whole ones too.
        stalled: replies that stand in a stall now.
        open_connections: TCP connections, idle ones too.
    """

    requests: int = 0
    pieces_sent: int = 0
    tokens_sent: int = 0
    readers_left: int = 0
    open_streams: int = 0
    stalled: int = 0
    open_connections: int = 0


class Tally:
    """The counts of one server, added to in its thread and read in any."""

    def __init__(self) -> None:
        self._changed = threading.Condition()  # guards both fields below
        self._counts = dataclasses.asdict(Counts())
        self._requests: list[Request] = []

    def add(self, **by: int) -> None:
        """Add to some of the counts, in one step."""
        with self._changed:
            for name, number in by.items():
                self._counts[name] += number
            self._changed.notify_all()

    def add_request(self, request: Request) -> int:
        """Record a request; gives its number, from 1."""
        with self._changed:
            self._requests.append(request)
            self._counts["requests"] += 1
            self._changed.notify_all()
            return len(self._requests)

    @property
    def counts(self) -> Counts:
        """All counts at this moment."""
        with self._changed:
            return Counts(**self._counts)

    @property
    def requests(self) -> list[Request]:
        """All requests so far, in order."""
        with self._changed:
            return list(self._requests)

    def wait_until(self, condition: Callable[[Counts], bool], timeout: float) -> bool:
        """Wait until the counts are as `condition` says; false when `timeout` seconds passed before."""
        until = time.monotonic() + timeout
        with self._changed:
            while not condition(Counts(**self._counts)):
                remaining = until - time.monotonic()
                if remaining <= 0:
                    return False
                self._changed.wait(remaining)
            return True
