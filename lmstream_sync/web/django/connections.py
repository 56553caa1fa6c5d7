"""Database connections of worker threads, where no end of a request closes them.

Tools and a program's synchronous `forward` run in worker threads of this library, and
Django has a connection for each thread. Django itself looks after those of a request's thread
when the request begins and ends; the same is done here round each run of user code.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import close_old_connections

from lmstream_sync.settings import configure, settings

__all__ = ["install", "tended_connections"]


@contextmanager
def tended_connections() -> Iterator[None]:
    """Before the block and after it, close this thread's connections that are broken or older than `CONN_MAX_AGE`.

    With `CONN_MAX_AGE = 0`, which is Django's default, that is every one. One inside a
    transaction (`atomic`, a `TestCase`) is left alone.
    """
    close_old_connections()
    try:
        yield
    finally:
        close_old_connections()


def install() -> None:
    """Enter `tended_connections` round user code in workers, inside the hooks that are there; once."""
    hooks = tuple(settings.process_wide("worker_hooks") or ())
    if tended_connections not in hooks:
        configure(worker_hooks=(*hooks, tended_connections))
