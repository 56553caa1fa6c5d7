"""Worker threads: where synchronous code of the user runs.

They are daemons, made as they are needed and used again, and there is no upper bound:
nested waits in a fixed pool deadlock. Who touches what: the idle list belongs to
`_WorkerPool` under its lock; a worker's job queue is filled by whoever took it off that
list and read by its own thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from lmstream_sync.callbacks import put_back
from lmstream_sync.runtime import fork
from lmstream_sync.runtime.locks import ForkSafeLock
from lmstream_sync.runtime.unseen import unseen
from lmstream_sync.settings import settings

__all__ = ["DaemonExecutor", "closing_unawaited", "in_user_hooks", "start_job", "start_user_job", "worker_count"]

T = TypeVar("T")

_log = logging.getLogger("lmstream_sync.runtime")

#: Seconds after which a worker with nothing to do ends.
IDLE_SECONDS = 10.0


class _Worker:
    """One thread and the queue of its next job (never more than one in it)."""

    def __init__(self, pool: _WorkerPool) -> None:
        self._pool = pool
        self._jobs: queue.Queue[Callable[[], None]] = queue.Queue()

    def start(self) -> None:
        threading.Thread(target=self._run, name="lmstream-worker", daemon=True).start()

    def give(self, job: Callable[[], None]) -> None:
        self._jobs.put(job)

    def _run(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                if self._pool.retire(self):
                    return
                continue  # it was taken off the idle list: its job is on the way
            try:
                job()
            except BaseException:  # the thread is still good
                _log.exception("a job in a worker thread raised")
            del job  # else it lives, with all it refers to, until the next one
            self._pool.rest(self)


class _WorkerPool:
    """The workers of this process."""

    def __init__(self) -> None:
        self._lock = ForkSafeLock()
        self._idle: deque[_Worker] = deque()
        self._count = 0

    def start_job(self, job: Callable[[], None]) -> None:
        with self._lock:
            worker = self._idle.pop() if self._idle else None
            if worker is None:
                self._count += 1
        if worker is None:
            worker = _Worker(self)
            try:
                worker.start()
            except BaseException:
                with self._lock:
                    self._count -= 1
                raise
        worker.give(job)

    def rest(self, worker: _Worker) -> None:
        with self._lock:
            self._idle.append(worker)

    def retire(self, worker: _Worker) -> bool:
        """Whether the worker may end: it was still idle and is no longer listed."""
        with self._lock:
            if worker not in self._idle:
                return False
            self._idle.remove(worker)
            self._count -= 1
            return True

    def forget(self) -> None:
        self._idle.clear()
        self._count = 0

    @property
    def count(self) -> int:
        return self._count


_pool = _WorkerPool()
fork.after_fork_in_child(_pool.forget)


def start_job(job: Callable[[], None]) -> None:
    """Run a job in a worker thread. It must not raise; nobody would hear it."""
    with unseen():
        _pool.start_job(job)


def worker_count() -> int:
    """How many worker threads there are now, idle ones included."""
    return _pool.count


def in_user_hooks(fn: Callable[[], T]) -> T:
    """Run a function inside the context managers of `settings.worker_hooks`."""
    hooks = settings.worker_hooks
    if not hooks:
        return fn()
    with contextlib.ExitStack() as stack:
        for hook in hooks:
            stack.enter_context(hook())
        return fn()


def start_user_job(job: Callable[[], None]) -> None:
    """`start_job` for what runs user code: inside `settings.worker_hooks`."""
    start_job(lambda: in_user_hooks(job))


def start_result(fn: Callable[[], T], deliver: Callable[[bool, Any], None]) -> None:
    """Run a function in a worker, in a copy of the caller's context; hand its end to `deliver`.

    `deliver(ok, value)` is called in the worker; `value` is the result or the error. A
    pair rather than a future, which refuses `StopIteration`.
    """
    context = contextvars.copy_context()

    def job() -> None:
        nonlocal fn
        try:
            outcome: tuple[bool, Any] = (True, context.run(in_user_hooks, fn))
        except BaseException as error:
            outcome = (False, error)
        # Dropped before the result is known: a reader that went on must not find its
        # program kept alive by an idle thread.
        del fn
        deliver(*outcome)
        del outcome

    start_job(job)


class _Unawaited:
    """The coroutines that jobs gave, so that those which nobody came to await can be closed.

    litellm makes its request's coroutine in a worker. Cancelled before it takes it, it would
    leave one behind that "was never awaited". Noted in workers, ended on the loop.
    """

    def __init__(self) -> None:
        self._given: list[Coroutine[Any, Any, Any]] = []
        self._over = False

    def note(self, result: Any) -> None:
        """A job gave this."""
        if inspect.iscoroutine(result):
            self._given.append(result)
            if self._over:  # it came for nobody
                self.end()

    def end(self) -> None:
        """Nobody awaits any more what was not begun."""
        self._over = True
        for each in tuple(self._given):
            if inspect.getcoroutinestate(each) == inspect.CORO_CREATED:
                each.close()


_unawaited: contextvars.ContextVar[_Unawaited | None] = contextvars.ContextVar("lmstream_sync_unawaited", default=None)


@contextlib.contextmanager
def closing_unawaited() -> Iterator[None]:
    """At the end of the block, close the coroutines that the executor's jobs gave and that nobody awaited."""
    noted = _Unawaited()
    token = _unawaited.set(noted)
    try:
        yield
    finally:
        put_back(_unawaited, token)
        noted.end()


class DaemonExecutor(ThreadPoolExecutor):
    """The loop's default executor (name look-ups): our daemon workers, without a bound.

    A `ThreadPoolExecutor` by class only, because `loop.set_default_executor` asks for one.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run `fn(*args, **kwargs)` in a worker."""
        future: Future[Any] = Future()
        unawaited = _unawaited.get()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                with contextlib.suppress(asyncio.InvalidStateError):
                    future.set_exception(error)
            else:
                if unawaited is not None:
                    unawaited.note(result)
                future.set_result(result)

        start_job(job)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing to do: the workers are shared, and daemons."""
