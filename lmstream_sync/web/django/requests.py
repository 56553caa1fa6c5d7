"""What a response must know of the request that it answers: given by the view, or remembered by the middleware."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from django.http import HttpRequest

from lmstream_sync.web.response import Asked

__all__ = ["Seen", "remembered", "seen"]


@dataclass(frozen=True)
class Seen:
    """What was seen of a request; not the request itself, which a program's context would keep alive.

    Attributes:
        asked: what the answer depends on.
        under_asgi: whether an ASGI server sent it; `None` where nobody knows.
    """

    asked: Asked
    under_asgi: bool | None

    @classmethod
    def of(cls, request: HttpRequest) -> Seen:
        """What matters of a request; of Django REST framework's wrapper round one too."""
        asked = Asked(request.method or "GET", request.headers.get("Accept"), request.headers.get("Last-Event-ID"))
        return cls(asked, hasattr(request, "scope"))


_NOTHING = Seen(Asked(), None)
_current: ContextVar[Seen] = ContextVar("lmstream_sync_django_request", default=_NOTHING)


@contextmanager
def remembered(request: HttpRequest) -> Iterator[None]:
    """Inside the block, here and in the threads that Django runs views in, this is the request that is answered."""
    token = _current.set(Seen.of(request))
    try:
        yield
    finally:
        _current.reset(token)


def seen(request: HttpRequest | None) -> Seen:
    """What is known of the request; of the one remembered where none is given."""
    return _current.get() if request is None else Seen.of(request)
