"""Streams from Django views, under WSGI and under ASGI.

    # settings.py
    INSTALLED_APPS = [..., "lmstream_sync.web.django"]
    MIDDLEWARE = [..., "lmstream_sync.web.django.LMStreamErrorsMiddleware"]

    # views.py
    def ask(request):
        return stream_response(answer(question=request.GET["question"]))

`responses.py` makes the response, whose body (`body.py`) is a synchronous or an asynchronous
iterator, as the server asks; `ends.py` says where the `on_end` functions of its stream run.
`middleware.py` turns errors raised in a view into statuses; `requests.py` is how a response
knows the request it answers. `views.py` serves programs without a view of one's own.
`connections.py` ends the database connections of worker threads; `apps.py` installs it.

What this needs of Django: 5.0 or later. Before, an ASGI view never hears that its reader left.
"""

from __future__ import annotations

from lmstream_sync.web.django.middleware import LMStreamErrorsMiddleware
from lmstream_sync.web.django.responses import astream_response, stream_response
from lmstream_sync.web.django.views import program_view, programs_view

__all__ = ["LMStreamErrorsMiddleware", "astream_response", "program_view", "programs_view", "stream_response"]
