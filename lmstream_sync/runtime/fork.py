"""What happens round a `fork()`: gunicorn `--preload`, Celery prefork, uWSGI.

Before it, the loop thread is parked where it holds no lock, imports that we started are
waited for, and our locks are taken; 2 s at most in all. The parent then goes on as if
nothing was. The child forgets the loop, the workers and the calls of its parent, and
starts its own on first use.

Source: CPython's `os.register_at_fork`; what a child may not do with a shared epoll
descriptor: epoll(7), "Questions and answers", 6.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator

from lmstream_sync.runtime.locks import ForkSafeLock, renew_all, take_all

__all__ = ["after_fork_in_child", "before_fork", "generation", "importing"]

#: Seconds that a fork waits for the loop, for imports and for locks, all together.
PATIENCE = 2.0

#: How many forks lie between this process and the one that imported us.
generation = 0

_before: list[Callable[[float], Callable[[], None]]] = []
_in_child: list[Callable[[], None]] = []
# What a forking thread holds still: two may fork at once, and each lets go of its own.
_held: dict[int, tuple[list[Callable[[], None]], list[ForkSafeLock]]] = {}

# The heavy imports that run now: a token of each → the thread it runs in, and the modules
# that there were when it began.
_imports: dict[object, tuple[int, frozenset[str]]] = {}


def before_fork(hold: Callable[[float], Callable[[], None]]) -> None:
    """Register what holds something still before a fork.

    `hold(seconds)` waits that long at most and returns what lets it go on, in the parent.
    """
    _before.append(hold)


def after_fork_in_child(forget: Callable[[], None]) -> None:
    """Register what a forked child does first, in the order of registration."""
    _in_child.append(forget)


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Tell that a heavy import runs here, so that a fork waits for it."""
    token = object()
    _imports[token] = (threading.get_ident(), frozenset(sys.modules))
    try:
        yield
    finally:
        _imports.pop(token, None)


def _before_fork() -> None:
    until = time.monotonic() + PATIENCE
    here = threading.get_ident()
    while any(thread != here for thread, _ in list(_imports.values())) and time.monotonic() < until:
        time.sleep(0.005)
    released = [hold(max(0.0, until - time.monotonic())) for hold in _before]
    _held[here] = (released, take_all(max(0.0, until - time.monotonic())))


def _after_in_parent() -> None:
    released, locks = _held.pop(threading.get_ident(), ([], []))
    for lock in locks:
        lock.release()
    for release in released:
        release()


def _after_in_child() -> None:
    global generation
    generation += 1
    _held.clear()
    renew_all()
    _forget_unfinished_imports()
    for forget in _in_child:
        forget()


def _forget_unfinished_imports() -> None:
    """Let an import that was still running start anew, rather than wait for a thread that is not here."""
    if not _imports:
        return
    known = frozenset.intersection(*(modules for _, modules in _imports.values()))
    _imports.clear()
    unfinished = [
        name
        for name, module in list(sys.modules.items())
        if getattr(getattr(module, "__spec__", None), "_initializing", False)
    ]
    # With a package that is not finished, all of it that came with it: its finished parts
    # hang on the old package object, and the new one would lack them.
    inside = tuple(f"{name}." for name in unfinished)
    for name in list(sys.modules):
        if name in unfinished or (name.startswith(inside) and name not in known):
            del sys.modules[name]
    # The locks of modules in the making belong to a thread of the parent. CPython offers
    # no public way to drop them; where this name is gone, the import waits as it always did.
    locks = getattr(getattr(importlib, "_bootstrap", None), "_module_locks", None)
    if isinstance(locks, dict):
        locks.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
