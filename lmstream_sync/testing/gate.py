"""`Gate`: holds a scripted reply at a place until the test lets it go on."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable

__all__ = ["Gate"]


class Gate:
    """A place in a reply where the server waits for the test: no sleeping, no guessing.

        gate = Gate()
        with ScriptedServer(Reply("one two three", pauses={2: gate})) as server:
            stream = program(q="?")
            gate.wait()      # two pieces are out, the server holds the third
            ...
            gate.release()

    Attributes:
        reached: set when a reply first stands at the gate.
    """

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._lock = threading.Lock()  # `_wake` grows only while the gate is shut
        self._released = False
        self._wake: list[Callable[[], None]] = []

    def wait(self, timeout: float = 5.0) -> None:
        """Wait until a reply stands at the gate.

        Args:
            timeout: seconds.

        Raises:
            TimeoutError: none came.
        """
        if not self.reached.wait(timeout):
            raise TimeoutError(f"no reply reached the gate within {timeout:g} s")

    def release(self) -> None:
        """Open the gate for good: those that wait, and those that come later, go on."""
        with self._lock:
            self._released = True
            wake, self._wake = self._wake, []
        for each in wake:
            each()

    async def passed(self) -> None:
        """Stand at the gate until it opens; the server does this."""
        loop = asyncio.get_running_loop()
        opened = asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the server has stopped meanwhile
                loop.call_soon_threadsafe(opened.set)

        with self._lock:
            if self._released:
                opened.set()
            else:
                self._wake.append(wake)
        self.reached.set()
        await opened.wait()
