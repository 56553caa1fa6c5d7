"""Tests as a user of Django writes them, run by Django's own runner: `python -m tests.web.django.suite`."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from tests.web.django import project  # configures Django

from django.db import connection  # isort: skip
from django.test import AsyncClient, Client, RequestFactory, TransactionTestCase  # isort: skip
from django.test.runner import DiscoverRunner  # isort: skip

import lmstream_sync as lms
from lmstream_sync.runtime.register import running_calls
from lmstream_sync.settings import settings
from lmstream_sync.testing import Reply, ScriptedServer, read_sse
from lmstream_sync.web.django import apps, connections, stream_response

ANSWER = "[[ ## answer ## ]]\nIt wanted to.\n\n[[ ## completed ## ]]\n"


def text_of(body: bytes) -> str:
    return "".join(event["chunk"]["chunk"] for event in read_sse(body) if "chunk" in event)


class Streams(TransactionTestCase):
    """With `TestCase` the rows of a test would be in a transaction that no other thread sees."""

    available_apps = ["lmstream_sync.web.django"]

    def setUp(self) -> None:
        if project.Saved._meta.db_table not in connection.introspection.table_names():
            with connection.schema_editor() as editor:
                editor.create_model(project.Saved)
        self.model = ScriptedServer(ANSWER)
        self.model.start()
        self.addCleanup(self.model.stop)
        lms.configure(lm=self.model.lm(num_retries=0))
        project.Saved.objects.all().delete()

    def saved(self) -> list[Any]:
        return list(project.Saved.objects.values_list("outcome", "answer"))

    def test_client(self) -> None:
        for view in ("/sync", "/wrapped", "/program?question=Why"):
            response = Client().get(view)
            self.assertEqual(response["Content-Type"], "text/event-stream")
            self.assertEqual(text_of(response.getvalue()), "It wanted to.")
        self.assertEqual(self.saved(), [("completed", "It wanted to.")] * 3)

    def test_async_client(self) -> None:
        async def read(view: str) -> bytes:
            response = await AsyncClient().get(view)
            return b"".join([piece async for piece in response])

        for view in ("/sync", "/async", "/wrapped", "/program?question=Why"):
            self.assertEqual(text_of(asyncio.run(read(view))), "It wanted to.")
        self.assertEqual(self.saved(), [("completed", "It wanted to.")] * 4)

    def test_client_leaves(self) -> None:
        self.model.replies = Reply(ANSWER, stall_after=0)
        response = Client().get("/sync", {"wait_first": "0"})
        self.model.wait_for_request()
        response.close()
        self.model.wait_until_idle()
        self.assertEqual(self.saved(), [("left", "")])

    def test_async_client_leaves(self) -> None:
        self.model.replies = Reply(ANSWER, stall_after=0)

        async def leave() -> None:
            response = await AsyncClient().get("/async", {"wait_first": "0"})
            response.close()

        asyncio.run(leave())
        self.model.wait_until_idle()
        with project.changed:  # a worker saves: there is no thread of the request
            project.changed.wait_for(project.Saved.objects.exists, timeout=10)
        self.assertEqual(self.saved(), [("left", "")])

    def test_a_failure(self) -> None:
        self.model.replies = Reply(status=429, retry_after=2)
        response = Client().get("/sync")
        self.assertEqual((response.status_code, response["Retry-After"]), (429, "2"))
        self.assertEqual(response.json()["error"]["type"], "RateLimitError")
        self.assertEqual(self.saved(), [("failed", "")])

    def test_head(self) -> None:
        self.model.replies = Reply(ANSWER, stall_after=0)
        response = Client().head("/sync")
        self.assertEqual(response.status_code, 200)
        self.assertEqual(self.saved(), [])  # not before the response is over
        self.assertEqual(response.getvalue(), b"")
        self.assertEqual(self.saved(), [("left", "")])

    def test_a_view_called_with_a_request_of_its_own(self) -> None:
        """No middleware remembers the request: it is given, or nothing is known of it."""
        request = RequestFactory().head("/sync")
        self.model.replies = Reply(ANSWER, stall_after=0)
        response = stream_response(project.opened(request), request=request)
        self.assertEqual(list(response), [])
        response.close()
        self.model.wait_until_idle()
        self.model.replies = ANSWER
        response = project.ask(RequestFactory().get("/sync"))
        self.assertEqual(text_of(b"".join(response)), "It wanted to.")
        response.close()

    def test_closed_twice_and_before_the_first_piece(self) -> None:
        self.model.replies = Reply(ANSWER, stall_after=0)
        response = stream_response(project.opened(RequestFactory().get("/")), wait_first=False)
        response.close()
        response.close()
        self.assertEqual(self.saved(), [("left", "")])
        self.assertEqual(list(response), [])
        self.assertEqual(running_calls(), 0)

    def test_a_tool_sees_the_rows_of_the_test(self) -> None:
        project.Saved.objects.create(key="k", outcome="o", answer="a", in_transaction=False, on_loop=False)
        told: list[str] = []

        def count(city: str) -> str:
            told.append(project.seat(city))
            return told[-1]

        class Agent(lms.Module):
            def forward(self, city: str) -> Any:
                return lms.Prediction(answer=lms.Tool(count)(city=city))

        response = stream_response(lms.stream(Agent(), city="Bern"))
        self.assertIn(b"1 saved, Bern", b"".join(response))
        response.close()
        self.assertEqual(told, ["1 saved, Bern"])

    def test_what_is_no_stream(self) -> None:
        with self.assertRaises(lms.ConfigurationError):
            stream_response("text")  # type: ignore[arg-type]
        with self.assertRaises(lms.ConfigurationError):
            stream_response(project.opened(RequestFactory().get("/")), on_leave="wait")  # type: ignore[arg-type]

    def test_the_hook_is_installed_once_beside_others(self) -> None:
        before = settings.worker_hooks
        self.assertEqual(before.count(connections.tended_connections), 1)
        self.addCleanup(lms.configure, worker_hooks=before)
        own: Any = object()
        lms.configure(worker_hooks=[own])
        config = apps.LMStreamConfig.create("lmstream_sync.web.django")
        config.ready()
        config.ready()
        self.assertEqual(settings.worker_hooks, (own, connections.tended_connections))


if __name__ == "__main__":
    from tests.web.django import suite  # under its own name, which Django's runner looks for

    sys.exit(bool(DiscoverRunner(verbosity=2).run_tests([suite.__name__, *sys.argv[1:]])))
