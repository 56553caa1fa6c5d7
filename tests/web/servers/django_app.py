"""The same with Django, in one file: `application` for WSGI servers, `asgi` for the others."""

from __future__ import annotations

import os

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.urls import path

import lmstream_sync as lms
from tests.web.servers.census import census

settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={},
    INSTALLED_APPS=["lmstream_sync.web.django"],
    MIDDLEWARE=["lmstream_sync.web.django.LMStreamErrorsMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="for tests",
)
django.setup()

from lmstream_sync.web.django import stream_response  # noqa: E402 - it needs the settings

lms.configure(lm=lms.LM("openai/scripted", api_base=os.environ["LMSTREAM_TEST_MODEL"], api_key="sk-test", cache=False))
program = lms.streamify(lms.Predict("question -> answer"), stream_listeners=[lms.StreamListener("answer")])


def stream(request: HttpRequest) -> HttpResponseBase:
    """The answer as server-sent events, and which process gives it."""
    return stream_response(
        program(question=request.GET["question"]),
        heartbeat=float(request.GET.get("heartbeat", 0.1)),
        wait_first=float(request.GET.get("wait_first", 10)),
        headers={"X-Worker": str(os.getpid())},
    )


def tell(request: HttpRequest) -> HttpResponseBase:
    """What lives in the worker."""
    return JsonResponse(census())


urlpatterns = [path("stream", stream), path("census", tell)]
application = WSGIHandler()
asgi = ASGIHandler()
