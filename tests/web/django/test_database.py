"""The database beside a stream: transactions of the view, connections of worker threads."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from lmstream_sync.testing import Gate, Reply, ScriptedServer
from tests.web.django.client import Site, new_key
from tests.web.django.serving import KINDS

ANSWER = "[[ ## answer ## ]]\nIt wanted to.\n\n[[ ## completed ## ]]\n"


@pytest.fixture(params=KINDS)
def atomic(request: pytest.FixtureRequest, sites: Callable[..., Site]) -> Site:
    """A site with ATOMIC_REQUESTS."""
    return sites(request.param, atomic=True)


def test_on_end_runs_outside_the_views_transaction(atomic: Site, model: ScriptedServer) -> None:
    model.replies = ANSWER
    key = new_key()
    with atomic.get("sync", key=key) as reading:
        reading.read()
    [row] = atomic.saved(key)
    assert (row["outcome"], row["in_transaction"], row["on_loop"]) == ("completed", False, False)


@pytest.mark.parametrize(
    ("reply", "outcome"), [(Reply(status=401), "failed"), (Reply(ANSWER, stall_after=0), "left")], ids=["401", "HEAD"]
)
def test_so_it_does_where_nothing_is_streamed(atomic: Site, model: ScriptedServer, reply: Reply, outcome: str) -> None:
    model.replies = reply
    key = new_key()
    with atomic.send("HEAD" if outcome == "left" else "GET", "sync", key=key) as reading:
        reading.read()
    [row] = atomic.saved(key)
    assert (row["outcome"], row["in_transaction"]) == (outcome, False)


def test_so_it_does_where_the_view_raised_meanwhile(atomic: Site, model: ScriptedServer) -> None:
    """The transaction is rolled back; what `on_end` saved stays."""
    model.replies = ANSWER
    key = new_key()
    with atomic.get("sync", key=key, format="no such format") as reading:
        assert reading.status == 500
    [row] = atomic.saved(key)
    assert (row["outcome"], row["in_transaction"]) == ("left", False)


@pytest.mark.parametrize("kind", ["wsgiref", "uvicorn"])
def test_connections_of_workers_are_closed(kind: str, sites: Callable[..., Site], model: ScriptedServer) -> None:
    """200 streams at once, each with a `forward` and a tool that use the database in workers."""
    site = sites(kind)
    gate = Gate()
    model.replies = Reply(ANSWER, pauses={3: gate})
    asked = model.request_count

    def count() -> dict[str, Any]:
        with site.get("connections") as reading:
            counted: dict[str, Any] = reading.json()
        return counted

    with ExitStack() as stack:
        readings = [stack.enter_context(site.get("agent", question=f"Where is {n}?", wait_first=0)) for n in range(200)]
        model.wait_until(lambda counts: counts.requests == asked + 200, timeout=40)
        during = count()
        assert 0 < during["connections"] <= during["workers"]
        gate.release()
        for reading in readings:
            assert reading.text() == "It wanted to."
    after = count()
    assert after["workers"] > 0
    assert after["connections"] == 0
