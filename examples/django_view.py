"""A Django project in one file: a view that streams, and saves what its reader saw in a database.

python examples/django_view.py [port]
curl -N "http://127.0.0.1:8000/ask?question=Why" http://127.0.0.1:8000/saved
"""

import sys
import tempfile

import django
from django.conf import settings

settings.configure(
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": tempfile.mkdtemp() + "/answers"}},
    INSTALLED_APPS=["lmstream_sync.web.django"],  # looks after the database connections of worker threads
    MIDDLEWARE=["lmstream_sync.web.django.LMStreamErrorsMiddleware"],
)
django.setup()

from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, models  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.http.response import HttpResponseBase  # noqa: E402
from django.urls import path  # noqa: E402

import lmstream_sync as lms  # noqa: E402
from lmstream_sync.web.django import stream_response  # noqa: E402
from model import model  # noqa: E402

answer = lms.streamify(lms.Predict("question -> answer"), stream_listeners=[lms.StreamListener("answer")])


class Answer(models.Model):
    answer = models.TextField()
    outcome = models.TextField()

    class Meta:
        app_label = "example"


def ask(request: HttpRequest) -> HttpResponseBase:
    """The answer, piece by piece. What the reader saw of it is saved, also where they left midway."""
    stream = answer(question=request.GET["question"])
    stream.on_end(lambda ended: Answer.objects.create(answer=ended.partial["answer"], outcome=ended.outcome))
    return stream_response(stream)


urlpatterns = [path("ask", ask), path("saved", lambda request: JsonResponse([*Answer.objects.values()], safe=False))]

if __name__ == "__main__":
    with connection.schema_editor() as editor:
        editor.create_model(Answer)
    with model({"answer": "To get to the other side of the counter."}) as lm:
        lms.configure(lm=lm)
        server = ThreadedWSGIServer(("127.0.0.1", int(sys.argv[1] if sys.argv[1:] else 8000)), WSGIRequestHandler)
        server.set_app(get_wsgi_application())
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
