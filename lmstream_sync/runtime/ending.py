"""How the reader's side of a call ends: by `close()`, at the end, or with the last reference.

Who touches what: `_closing` is set by any thread and read by the reader; how the stream
ended is decided once, by whoever first sets `_decided_by`: the reader, whoever closes, or, once
nobody refers to the stream any more, a worker.
"""

from __future__ import annotations

import logging
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal

from lmstream_sync.runtime import fork
from lmstream_sync.runtime.call import Call
from lmstream_sync.runtime.channel import Channel
from lmstream_sync.runtime.loop import on_loop_thread
from lmstream_sync.runtime.threads import start_user_job

__all__ = ["CLOSE_SECONDS", "OpenCall", "Outcome"]

_log = logging.getLogger("lmstream_sync.runtime")

Outcome = Literal["completed", "left", "cancelled", "failed"]

#: Seconds that `close()` waits for the clean-up of the program.
CLOSE_SECONDS = 1.0


class OpenCall(ABC):
    """A call that somebody holds: what may be done with it besides reading.

    Args:
        call: the call, not started yet.
    """

    #: The `on_end` functions; made by the first of them.
    _when_ended: list[Callable[[Any], object]] | None = None

    def __init__(self, call: Call) -> None:
        assert call.channel is not None
        self._call = call
        self._channel: Channel = call.channel
        self._closing = False
        self._ended = False
        self._outcome: Outcome | None = None
        self._error: BaseException | None = None
        self._trace: Any = None
        self._ends_through: Callable[[Callable[[], None]], object] | None = None

    @abstractmethod
    def _all_read(self) -> bool:
        """Whether everything that came was handed out; for the subclass that reads."""

    def _decorated(self, error: BaseException) -> BaseException:
        """The error with what the reader had got so far; for a subclass that knows it."""
        return error

    def close(self) -> None:
        """Stop the program and close its connections; safe from any thread, at any time.

        Waits at most 1 s for the clean-up, then warns and names what does not stop. On the
        loop thread it only posts the stop. After the end it does nothing.
        """
        if not self._begin_close():
            return
        call = self._call
        if on_loop_thread():
            call.when_done(lambda: start_user_job(self._settle_close))
            return
        deadline = time.monotonic() + CLOSE_SECONDS
        while (running := self._running()) and call.thread.alive:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            running[0].done.wait(min(0.25, left))
        try:
            self._warn_if_running()
        finally:  # warnings may be errors here
            self._settle_close()

    def _begin_close(self) -> bool:
        """Post the stop; false where there is nothing to stop or somebody else closes already."""
        if self._ended or self._closing:
            return False
        self._closing = True
        if self._call.generation != fork.generation:
            self._ended = True
            return False
        self._call.request_stop("left")
        return True

    def _running(self) -> list[Call]:
        """What has not ended: the call, or, for a subclass, what it stands for."""
        return [] if self._call.done.is_set() else [self._call]

    def _warn_if_running(self) -> None:
        call, running = self._call, self._running()
        if running and call.thread.alive:
            busy = ", ".join(name for each in running for name in each.busy_with.values()) or call.name
            warnings.warn(
                f"the stream is closed, but {busy} does not stop; it goes on in the background until its next "
                "model or tool call",
                RuntimeWarning,
                stacklevel=3,
            )

    def _settle_close(self) -> None:
        call = self._call
        if call.completed and self._all_read():
            self._conclude("completed", None)
        else:
            self._conclude("left", None)

    def _conclude(self, outcome: Outcome, error: BaseException | None) -> None:
        """Settle how the stream ended; the first to come decides. Then run the `on_end` functions."""
        mine = object()
        if vars(self).setdefault("_decided_by", mine) is not mine:  # one step, whatever thread
            return
        self._outcome = outcome
        if error is not None:
            self._error = self._decorated(error)
            self._trace = error.__traceback__
        self._ended = True
        self._tell_end()

    def _tell_end(self) -> None:
        """Run each `on_end` function once, whatever thread it was given in meanwhile."""
        functions = self._when_ended
        while functions:
            try:
                fn = functions.pop(0)
            except IndexError:  # another thread was quicker
                return
            self._run_on_end(fn)

    def _run_on_end(self, fn: Callable[[Any], object]) -> None:
        if on_loop_thread():  # a program reads this stream; what saves an answer may block
            start_user_job(lambda: self._run_on_end(fn))
            return

        def call() -> None:
            try:
                fn(self)
            except Exception:
                _log.exception("a function given to on_end raised")

        if self._ends_through is None:
            call()
            return
        try:
            self._ends_through(call)
        except Exception:
            _log.exception("what was given to on_end_through raised")

    def on_end(self, fn: Callable[[Any], object]) -> None:
        """Have `fn(stream)` called once when the stream has ended, however it ended.

        It runs in the thread that reads or closes; where the last reference went without
        either, in a worker, with a stream over the same call. What it raises is logged.
        A function that refers to the stream itself keeps it alive: use its argument.
        """
        functions: list[Callable[[Any], object]] = vars(self).setdefault("_when_ended", [])  # in any thread
        functions.append(fn)
        if self._ended:
            self._tell_end()

    def on_end_through(self, run: Callable[[Callable[[], None]], object]) -> None:
        """Have every `on_end` function run by `run`: inside a request's context, say.

        Args:
            run: gets a function without arguments, which calls the one given to `on_end` and
                logs what it raises; called in the thread that reads or closes.
        """
        self._ends_through = run

    def __del__(self) -> None:
        # In the garbage collector, maybe in the middle of anything: only a post to the loop.
        try:
            if self._ended or self._closing or self._call.generation != fork.generation:
                return
            heir: OpenCall | None = None
            if self._when_ended:
                heir = object.__new__(type(self))
                heir.__dict__.update(self.__dict__)
                heir._closing = True
            self._call.stopping = True
            self._call.asked_to_stop = self._call.asked_to_stop or "left"
            self._call.thread.post(_abandoned, self._call, heir)
        except AttributeError:  # it was never quite made
            return

    # What there is to know.

    @property
    def id(self) -> str:
        """The stream's name for `lms.cancel(id)`; cannot be guessed."""
        return self._call.id

    @property
    def closed(self) -> bool:
        """True after the end, an error or `close()`."""
        return self._ended or self._closing

    @property
    def outcome(self) -> Outcome | None:
        """`None` while the stream runs, then how it ended, as its reader saw it."""
        return self._outcome

    @property
    def error(self) -> BaseException | None:
        """What the stream raised, or `None`."""
        return self._error

    @property
    def timings(self) -> dict[str, float | None]:
        """Seconds from the call: `first` to the first output, `total` to the end of the program."""
        call = self._call
        return {
            "first": None if call.first_at is None else call.first_at - call.began,
            "total": None if call.ended_at is None else call.ended_at - call.began,
        }

    def __repr__(self) -> str:
        state = self._outcome or ("closing" if self._closing else "running")
        return f"<{type(self).__name__} of {self._call.name}, {state}>"


def _abandoned(call: Call, heir: OpenCall | None) -> None:
    """On the loop: the last reference to a stream went."""
    call.stop("left")
    if heir is not None:
        call.when_done(lambda: start_user_job(heir._settle_close))
