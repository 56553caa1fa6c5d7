"""`LMStreamErrorsMiddleware`: the library's errors, raised in a view, as JSON with the right status."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from lmstream_sync.errors import ConfigurationError, LMStreamError
from lmstream_sync.web.django.requests import remembered
from lmstream_sync.web.failures import RequestError
from lmstream_sync.web.response import answer_failure

__all__ = ["LMStreamErrorsMiddleware"]

#: Where the request keeps what its view raised.
_RAISED = "_lmstream_sync_raised"


class LMStreamErrorsMiddleware:
    """For `MIDDLEWARE`; works for synchronous and asynchronous views.

    A view that raises one of the library's errors (a wrong key, a busy provider, inputs that
    the program does not take) is answered as `stream_response` would answer it; with `DEBUG`,
    what is set up wrong has Django's own page. All other errors go their way. Once what a view
    raised was answered and reported, its variables are dropped, so that the streams in them
    are closed. And it tells `stream_response` of the request, which then need not be given.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Answer a request."""
        if self._is_async:
            return self._answer(request)
        with remembered(request):
            response: HttpResponseBase = self._get_response(request)
        _let_go(request)
        return response

    async def _answer(self, request: HttpRequest) -> HttpResponseBase:
        with remembered(request):
            response: HttpResponseBase = await self._get_response(request)
        _let_go(request)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Called by Django with what a view raised."""
        setattr(request, _RAISED, exception)
        if not isinstance(exception, (LMStreamError, RequestError)):
            return None
        if settings.DEBUG and isinstance(exception, ConfigurationError):
            return None
        answer = answer_failure(exception, f"{request.method} {request.path}")
        return HttpResponse(answer.content, status=answer.status, headers=answer.headers)


def _let_go(request: HttpRequest) -> None:
    """Drop what the frames of a view's error hold.

    The error is in a cycle with them, which waits for the garbage collector: so long the model
    would go on. By now it was answered, and whoever reports errors has seen it.
    """
    error: BaseException | None = request.__dict__.pop(_RAISED, None)
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
