"""A chat in the browser, served by Django: the page of the package, and a view that streams to it. One file.

python examples/django_chat.py [port]
"""

import json
import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import get_token
from django.urls import path
from django.views.decorators.http import require_POST

import lmstream_sync as lms
from lmstream_sync.web.django import stream_response
from lmstream_sync.web.page import chat_page
from model import model

settings.configure(
    SECRET_KEY="an example's",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    INSTALLED_APPS=["lmstream_sync.web.django"],
    MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware", "lmstream_sync.web.django.LMStreamErrorsMiddleware"],
)
chat = lms.streamify(lms.Predict("question -> answer"), stream_listeners=[lms.StreamListener("answer")])


def page(request: HttpRequest) -> HttpResponse:
    """The page, with the token that Django wants to see again."""
    return HttpResponse(chat_page(title="The kitchen", endpoint="/ask", headers={"X-CSRFToken": get_token(request)}))


@require_POST
def ask(request: HttpRequest) -> HttpResponseBase:
    """The answer, piece by piece; a reader who leaves stops the model, and what was written is kept."""
    question = str(json.loads(request.body)["question"])
    stream = chat(question=question)
    stream.on_end(lambda ended: save(question, ended))
    return stream_response(stream, request=request)


def save(question: str, stream: lms.Stream) -> None:
    """Runs once, however the stream ended, before Django closes its connections: `Answer.objects.create(...)`."""
    print(f"[saved, {stream.outcome}] {question!r}: {stream.partial.get('answer', '')!r}", flush=True)


urlpatterns = [path("", page), path("ask", ask)]

if __name__ == "__main__":
    with model({"answer": "To get to the **other side of the counter**, where the corn is kept."}) as lm:
        lms.configure(lm=lm)
        port = sys.argv[1] if len(sys.argv) > 1 else "8000"
        execute_from_command_line(["django_chat.py", "runserver", f"127.0.0.1:{port}", "--noreload", "--skip-checks"])
