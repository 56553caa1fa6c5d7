"""`Flag`: a `threading.Event` that is set once, and made only where somebody waits for it.

Most calls end without anybody in a wait for their end: their reader waits at the channel.
"""

from __future__ import annotations

import threading

__all__ = ["Flag"]


class Flag:
    """Something that becomes true once. Any thread may set it, ask and wait."""

    _is_set = False
    _event: threading.Event | None = None

    def is_set(self) -> bool:
        """Whether it was set."""
        return self._is_set

    def set(self) -> None:
        """Let go everybody who waits, now and later."""
        self._is_set = True
        event = self._event
        if event is not None:
            event.set()

    def wait(self, timeout: float) -> bool:
        """Wait until it is set, so many seconds at most; whether it was."""
        if self._is_set:
            return True
        # One event for all who wait; `setdefault` is one step. Shown first, looked at after: of
        # this and `set`, whichever comes second sees the other.
        event: threading.Event = vars(self).setdefault("_event", threading.Event())
        return self._is_set or event.wait(timeout)
