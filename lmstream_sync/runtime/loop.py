"""The event-loop thread: one a process, started on first use, fresh after a fork.

Who touches what: `_current` is decided under `_lock` and read without it; the loop's own
state belongs to its thread, and everybody else reaches it by `call_soon_threadsafe`.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from functools import lru_cache
from typing import Any

from lmstream_sync.callbacks import shared_loop_is
from lmstream_sync.errors import LoopDied
from lmstream_sync.runtime import fork
from lmstream_sync.runtime.locks import ForkSafeLock
from lmstream_sync.runtime.threads import DaemonExecutor
from lmstream_sync.runtime.unseen import unseen_while_waiting

__all__ = [
    "LoopThread",
    "at_loop_end",
    "before_loop_exit",
    "current_loop_thread",
    "end_first_at_exit",
    "loop_thread",
    "on_loop_thread",
]

_log = logging.getLogger("lmstream_sync.runtime")

#: Seconds that the clean-up at interpreter exit may take.
EXIT_SECONDS = 1.0

_at_end: list[Callable[[], Awaitable[None]]] = []


def at_loop_end(close: Callable[[], Awaitable[None]]) -> None:
    """Register what is closed on the loop before it ends with the interpreter."""
    _at_end.append(close)


_before_exit: list[Callable[[], None]] = []


def before_loop_exit(wait: Callable[[], None]) -> None:
    """Register what is waited for, while the loop still runs, when the interpreter exits."""
    _before_exit.append(wait)


class LoopThread:
    """An event loop and the daemon thread that runs it."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop = _new_loop()
        self.ident: int | None = None
        self._generation = fork.generation
        self._ready = threading.Event()
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        #: Whether it ends with the interpreter.
        self.ending = False
        # What is to begin, and whether somebody has said so to the loop.
        self._beginning: deque[tuple[Callable[[], None], Context]] = deque()
        self._told = False

    def start(self) -> None:
        """Start the thread; call once, from the thread that made this object."""
        try:
            threading.Thread(target=self._run, name="lmstream-loop", daemon=True).start()
        except BaseException as error:  # no more threads, or the interpreter is ending
            self._failure = error
            self._ended.set()
        finally:
            if self._failure is not None:
                self._ready.set()

    def wait_ready(self) -> None:
        """Wait until the loop runs.

        Raises:
            LoopDied: the thread could not be started.
        """
        while not self._ready.wait(1.0):
            pass
        if self._failure is not None:
            raise LoopDied(f"the event-loop thread could not be started: {self._failure}")

    @property
    def alive(self) -> bool:
        """Whether it runs, or is about to."""
        return not self._ended.is_set()

    @property
    def reachable(self) -> bool:
        """Whether it is alive, and of this process."""
        return not self._ended.is_set() and self._generation == fork.generation

    def post(self, fn: Callable[..., object], *args: Any) -> bool:
        """Have a function called on the loop, from any thread and from the garbage collector.

        Gives false when there is no loop to call it any more, or it is another process's.
        """
        if self._generation != fork.generation:
            return False  # its wake-up pipe is shared
        try:
            self.loop.call_soon_threadsafe(fn, *args)
        except RuntimeError:  # closed
            return False
        return True

    def begin(self, start: Callable[[], None], context: Context) -> None:
        """Have a function called on the loop that begins something, in a context of its own, from any thread.

        Many that come while the loop is busy wake it once.

        Raises:
            RuntimeError: the loop was closed.
        """
        self._beginning.append((start, context))
        if not self._told:
            self._told = True
            try:
                self.loop.call_soon_threadsafe(self._begin_all)
            except RuntimeError:
                self._told = False
                self._beginning.clear()
                raise

    def _begin_all(self) -> None:
        self._told = False  # first: who comes from here on says so himself
        waiting = self._beginning
        for _ in range(len(waiting)):
            start, context = waiting.popleft()
            try:
                context.run(start)
            except Exception as error:
                self.loop.call_exception_handler({"message": f"{start!r} raised", "exception": error})

    def _run(self) -> None:
        self.ident = threading.get_ident()
        self.loop.call_soon(self._ready.set)
        try:
            while not self.ending:
                try:
                    self.loop.run_forever()
                except (SystemExit, KeyboardInterrupt) as error:
                    # Raised in a task that a program started: it reaches whoever awaits that
                    # task; the loop belongs to all streams and goes on.
                    _log.warning("a task on the event loop raised %s; the loop goes on", type(error).__name__)
            self._clean_up()
        except BaseException as error:
            self._failure = error
            _log.critical("the event-loop thread ended", exc_info=True)
        finally:
            self._ended.set()
            self._ready.set()
            with contextlib.suppress(Exception):
                self.loop.close()
            self.ident = None  # the system gives the number to another thread

    def _clean_up(self) -> None:
        async def close() -> None:
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=EXIT_SECONDS / 2)
            for end in _at_end:
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(end(), EXIT_SECONDS / 4)
            await self.loop.shutdown_asyncgens()

        self.loop.set_exception_handler(lambda loop, context: None)
        self.loop.run_until_complete(close())

    def stop(self, seconds: float) -> None:
        """End the loop, waiting for it that long at most."""
        self.ending = True
        if self.post(self.loop.stop):
            self._ended.wait(seconds)

    def hold(self, seconds: float) -> Callable[[], None]:
        """Park the loop where it holds no lock; what is returned lets it go on."""
        release = threading.Event()
        if not self.alive or self.ident == threading.get_ident():
            return release.set
        parked = threading.Event()

        def park() -> None:
            parked.set()
            release.wait()

        if self.post(park):
            parked.wait(seconds)
        return release.set


#: Bytes that one read of a socket takes at most. asyncio's own 256 KiB are more than the C
#: library gives without mapping them (`M_MMAP_THRESHOLD` in mallopt(3): 128 KiB), which it would
#: then do, and undo, for each read of a few hundred bytes: two thirds of what a read takes.
READ_SIZE = 64 * 1024


class _Loop(asyncio.SelectorEventLoop):
    """A selector loop for what models send.

    Its sockets are read in pieces of the size of that. What opens a connection is not kept with it:
    asyncio has the callbacks of a connection run in the context that it was opened in, and one
    that is kept alive would keep the call it was opened for, with its inputs and its answer.
    """

    # As in asyncio's own loops since 3.4; a Python without them does as it always does.

    def _make_socket_transport(self, sock: Any, protocol: Any, *args: Any, **kwargs: Any) -> Any:
        make: Any = super()._make_socket_transport  # type: ignore[misc]
        transport = _context_for(protocol).run(make, sock, protocol, *args, **kwargs)
        transport.max_size = READ_SIZE
        return transport

    def _make_ssl_transport(self, rawsock: Any, protocol: Any, *args: Any, **kwargs: Any) -> Any:
        make: Any = super()._make_ssl_transport  # type: ignore[misc]
        return _context_for(protocol).run(make, rawsock, protocol, *args, **kwargs)


def _context_for(protocol: Any) -> Context:
    """The context to open a connection in: that of nobody for one of a pool, else a copy of the one of here."""
    kind: Any = type(protocol)
    return Context() if _is_pooled(kind) else copy_context()


@lru_cache(maxsize=100)
def _is_pooled(kind: type) -> bool:
    return any(each.__module__.startswith(_POOLED) for each in kind.__mro__)


#: The libraries whose connections outlive the request that opened them: aiohttp, and httpx by way of anyio.
_POOLED = ("aiohttp.client", "anyio.")


def _new_loop() -> asyncio.AbstractEventLoop:
    """A selector loop, whatever policy is set: what a forked child must do needs to know its sockets."""
    loop = asyncio.new_event_loop() if sys.platform == "win32" else _Loop()
    loop.set_default_executor(DaemonExecutor(max_workers=1))
    unseen_while_waiting(loop)
    return loop


_lock = ForkSafeLock()
_current: LoopThread | None = None


def loop_thread() -> LoopThread:
    """The loop thread of this process; starts it where there is none or it died.

    Raises:
        LoopDied: it cannot be started (no more threads; the interpreter is ending).
    """
    global _current
    current = _current
    if current is not None and current.alive and current.ident is not None:
        return current
    starts = False
    with _lock:
        if _current is None or not _current.alive:
            _current = LoopThread()
            starts = True
        current = _current
    if starts:  # outside the lock: under gevent a start switches to other greenlets
        current.start()
    current.wait_ready()
    return current


def current_loop_thread() -> LoopThread | None:
    """The loop thread, where one was started."""
    return _current


def on_loop_thread() -> bool:
    """Whether this code runs on the loop thread.

    By thread identity: under gevent `asyncio.get_running_loop()` answers in every greenlet.
    """
    current = _current
    return current is not None and current.ident == threading.get_ident() and current.alive


shared_loop_is(on_loop_thread)


def _hold(seconds: float) -> Callable[[], None]:
    current = _current
    return current.hold(seconds) if current is not None else (lambda: None)


# What a child must never let go of: the finalizers of the parent's loop, tasks and
# transports would edit the epoll that both processes share.
_buried: list[Any] = []


def _bury_in_child() -> None:
    global _current
    old, _current = _current, None
    if old is None:
        return
    if old.ident == threading.get_ident():  # forked by code on the loop
        asyncio._set_running_loop(None)
    with contextlib.suppress(RuntimeError):
        _buried.append(list(asyncio.all_tasks(old.loop)))
    _buried.append(old)
    _close_copies_of_sockets(old.loop)


def _close_copies_of_sockets(loop: asyncio.AbstractEventLoop) -> None:
    """Close this process's copies of the provider sockets, and nothing else.

    `/dev/null` is put over them, so that the descriptors stay taken, the connections end
    when the parent ends them, and neither the epoll nor the wake-up pipe is touched.
    """
    selector = getattr(loop, "_selector", None)
    registered = selector.get_map() if selector is not None else None
    sockets = set(registered or ()) | set(getattr(loop, "_transports", None) or ())
    for name in ("_ssock", "_csock"):
        pipe = getattr(loop, name, None)
        if pipe is not None:
            sockets.discard(pipe.fileno())
    if not sockets:
        return
    null = os.open(os.devnull, os.O_RDWR)
    try:
        for descriptor in sockets:
            with contextlib.suppress(OSError, TypeError):
                os.dup2(null, descriptor, inheritable=False)
    finally:
        os.close(null)


def _stop_at_exit() -> None:
    current = _current
    if current is not None and current.alive:
        for wait in _before_exit:
            with contextlib.suppress(Exception):
                wait()
        current.stop(EXIT_SECONDS)


def end_first_at_exit() -> None:
    """At exit, end the loop before what was registered with `atexit` until now is run.

    For libraries that clean up at exit, on a loop of their own, what belongs to ours.
    """
    atexit.unregister(_stop_at_exit)
    atexit.register(_stop_at_exit)


fork.before_fork(_hold)
fork.after_fork_in_child(_bury_in_child)
end_first_at_exit()
