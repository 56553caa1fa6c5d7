"""`LMStreamErrorsMiddleware`: the library's errors, raised in a view, as JSON with the right status."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from lmstream_sync.errors import LMStreamError
from lmstream_sync.streaming.stream import AsyncStream, Stream
from lmstream_sync.web.django.requests import remembered
from lmstream_sync.web.failures import RequestError
from lmstream_sync.web.response import answer_failure

__all__ = ["LMStreamErrorsMiddleware"]


class LMStreamErrorsMiddleware:
    """For `MIDDLEWARE`; works for synchronous and asynchronous views.

    A view that raises one of the library's errors (a wrong key, a busy provider, inputs that
    the program does not take) is answered as `stream_response` would answer it. All other
    errors go their way. Whatever a view raised, the streams in its variables are closed. And
    it tells `stream_response` of the request, which then need not be given.
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
        return response

    async def _answer(self, request: HttpRequest) -> HttpResponseBase:
        with remembered(request):
            response: HttpResponseBase = await self._get_response(request)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Called by Django with what a view raised."""
        _close_streams_of(exception)
        if not isinstance(exception, (LMStreamError, RequestError)):
            return None
        answer = answer_failure(exception, f"{request.method} {request.path}")
        return HttpResponse(answer.content, status=answer.status, headers=answer.headers)


def _close_streams_of(exception: BaseException) -> None:
    """Close the streams that the code which raised this had in its variables.

    The exception holds them, and is held itself, by asyncio and by servers, until the garbage
    collector comes: so long the model would go on.
    """
    for frame, _ in traceback.walk_tb(exception.__traceback__):
        for value in list(frame.f_locals.values()):
            if isinstance(value, (Stream, AsyncStream)):
                with value.stream if isinstance(value, AsyncStream) else value:
                    pass  # as its block would be left: one that was detached goes on
