"""A Django project: settings, model, views and URLs in one module. What differs comes from the environment.

MODEL_URL     where the scripted model answers
DATABASE      path of a SQLite file
ATOMIC        "1" for ATOMIC_REQUESTS
"""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="of the tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["lmstream_sync.web.django"],
    MIDDLEWARE=[
        "django.middleware.gzip.GZipMiddleware",
        "django.middleware.http.ConditionalGetMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "lmstream_sync.web.django.LMStreamErrorsMiddleware",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["DATABASE"],
            "ATOMIC_REQUESTS": os.environ.get("ATOMIC") == "1",
            "OPTIONS": {"timeout": 20},
            # In memory, where Django would have it, two threads lock each other's tables without waiting.
            "TEST": {"NAME": os.environ["DATABASE"] + ".test"},
        }
    },
)
django.setup()

from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, models, transaction  # noqa: E402
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse  # noqa: E402
from django.middleware.csrf import get_token  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402

import lmstream_sync as lms  # noqa: E402
from lmstream_sync.runtime.threads import worker_count  # noqa: E402
from lmstream_sync.web.django import astream_response, program_view, programs_view, stream_response  # noqa: E402

lms.configure(
    lm=lms.LM("openai/scripted", api_base=os.environ["MODEL_URL"], api_key="sk-test", cache=False, num_retries=0)
)


class Saved(models.Model):
    """What an `on_end` function saved of a stream, and where it ran."""

    key = models.CharField(max_length=50)
    outcome = models.CharField(max_length=20)
    answer = models.TextField()
    in_transaction = models.BooleanField()
    on_loop = models.BooleanField()
    thread = models.CharField(max_length=100)

    class Meta:
        app_label = "project"


with connection.schema_editor() as editor:
    editor.create_model(Saved)
connection.close()

changed = threading.Condition()


def running_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def save(key: str) -> Any:
    def on_end(stream: lms.Stream) -> None:
        Saved.objects.create(
            key=key,
            outcome=stream.outcome,
            answer=stream.partial.get("answer", ""),
            in_transaction=connection.in_atomic_block,
            on_loop=running_loop(),
            thread=threading.current_thread().name,
        )
        with changed:
            changed.notify_all()

    return on_end


answer = lms.streamify(lms.Predict("question -> answer"), stream_listeners=[lms.StreamListener("answer")])


def options(request: HttpRequest) -> dict[str, Any]:
    """What of the response the test asks for."""
    found: dict[str, Any] = {}
    if "wait_first" in request.GET:
        found["wait_first"] = float(request.GET["wait_first"]) or False
    if "heartbeat" in request.GET:
        found["heartbeat"] = float(request.GET["heartbeat"])
    for name in ("on_leave", "format"):
        if name in request.GET:
            found[name] = request.GET[name]
    return found


def opened(request: HttpRequest) -> lms.Stream:
    stream = answer(question=request.GET.get("question", "Why?"))
    stream.on_end(save(request.GET.get("key", "")))
    return stream


def ask(request: HttpRequest) -> Any:
    return stream_response(opened(request), **options(request))


async def aask(request: HttpRequest) -> Any:
    return await astream_response(opened(request), **options(request))


async def aask_async_stream(request: HttpRequest) -> Any:
    return await astream_response(aiter(opened(request)))


async def wrong_in_async(request: HttpRequest) -> Any:
    stream = opened(request)
    try:
        return stream_response(stream)
    except lms.ConfigurationError as error:
        return HttpResponse(str(error), status=418)


def dropped(request: HttpRequest) -> Any:
    """A response that nobody sends."""
    stream_response(opened(request), wait_first=False)
    return HttpResponse("another")


def failing(request: HttpRequest) -> Any:
    """Raises while it holds a stream."""
    stream = opened(request)
    raise ValueError(f"the view's own, with {stream}")


async def afailing(request: HttpRequest) -> Any:
    return failing(request)


def absent(request: HttpRequest) -> Any:
    """Raises what is answered 404, and holds a stream deeper than in a variable."""
    held = [opened(request).text()]
    raise Http404(f"nothing here but {held}")


def wrapped(request: HttpRequest) -> Any:
    """Its content wrapped, as middleware does it."""
    response = stream_response(opened(request), **options(request))
    content = response.streaming_content

    if response.is_async:

        async def marked() -> Any:
            async for piece in content:
                yield b": wrapped\n\n" + piece

    else:

        def marked() -> Any:
            for piece in content:
                yield b": wrapped\n\n" + piece

    response.streaming_content = marked()
    return response


def raising(request: HttpRequest) -> Any:
    if request.GET["error"] == "other":
        raise ValueError("the view's own")
    raise lms.RateLimitError("slow down, sk-secret", status_code=429, provider="p", model="m", retry_after=7.2)


async def araising(request: HttpRequest) -> Any:
    return raising(request)


@transaction.non_atomic_requests  # else it would read what there was at its beginning, and keep others from writing
def saved(request: HttpRequest) -> Any:
    """What was saved under a key; waits for it."""
    rows = Saved.objects.filter(key=request.GET["key"])
    with changed:
        changed.wait_for(lambda: rows.exists(), timeout=10)
    return JsonResponse({"rows": list(rows.values())})


def token(request: HttpRequest) -> Any:
    return HttpResponse(get_token(request))


def seat(city: str) -> str:
    """A tool that uses the database."""
    return f"{Saved.objects.count()} saved, {city}"


class Agent(lms.Module):
    """Calls the tool in a worker thread, then the model."""

    def __init__(self) -> None:
        self.tool = lms.Tool(seat)
        self.predict = lms.Predict("question -> answer")

    def forward(self, question: str) -> Any:
        Saved.objects.count()
        self.tool(city=question)
        return self.predict(question=question)


agent = lms.streamify(Agent(), stream_listeners=[lms.StreamListener("answer")])


def ask_agent(request: HttpRequest) -> Any:
    return stream_response(agent(question=request.GET["question"]), **options(request))


def connections_open(request: HttpRequest) -> Any:
    """Descriptors of the database file that this process has open, and its worker threads."""
    connection.close()
    name = os.path.realpath(os.environ["DATABASE"])
    found = 0
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            found += os.path.realpath(f"/proc/self/fd/{descriptor}") == name
        except OSError:
            pass
    return JsonResponse({"connections": found, "workers": worker_count()})


def longest(question: str, times: int = 1) -> str:
    return question * times


def answer_saved(stream: lms.Stream) -> None:
    save("program")(stream)


predict = lms.Predict("question -> answer")
urlpatterns = [
    path("sync", ask),
    path("async", aask),
    path("async-stream", aask_async_stream),
    path("wrong", wrong_in_async),
    path("dropped", dropped),
    path("failing", failing),
    path("afailing", afailing),
    path("absent", absent),
    path("wrapped", wrapped),
    path("raising", raising),
    path("araising", araising),
    path("saved", saved),
    path("token", token),
    path("agent", ask_agent),
    path("connections", connections_open),
    path("program", program_view(predict, max_bytes=1000, on_end=answer_saved)),
    path("open", csrf_exempt(program_view(predict, max_bytes=1000))),
    path("typed", csrf_exempt(program_view(longest, max_bytes=5_000_000))),
    path("named/<str:name>", csrf_exempt(programs_view({"first": predict, "second": longest}))),
]

wsgi = get_wsgi_application()
asgi = get_asgi_application()
