"""What the direct engine makes and keeps for one request: work that is counted, not timed."""

from __future__ import annotations

import gc
import socket
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from lmstream_sync.lm.direct_calls import calls
from lmstream_sync.lm.direct_http import _Socket
from lmstream_sync.lm.direct_request import _plain_url, outgoing
from lmstream_sync.lm.engine import Delta, LMRequest
from lmstream_sync.lm.secrets import hide
from lmstream_sync.runtime import crossing
from lmstream_sync.testing import Gate, Reply, ScriptedServer
from tests.lm.conftest import RecordingTap

ASKED = [{"role": "user", "content": "q"}]


def test_of_a_chunk_nothing_is_kept_but_its_text() -> None:
    """What was read would else be there, object by object, in each of a thousand streams that wait."""
    seen = threading.Semaphore(0)

    class Tap:
        async def feed(self, deltas: Sequence[Delta]) -> None:
            seen.release(len(deltas))

        async def end(self, reply: Any) -> None:
            pass

    async def kept() -> list[Delta]:
        return [each for each in gc.get_objects() if type(each) is Delta and each.content in pieces]

    gate = Gate()
    pieces = [f"piece {number} " for number in range(6)]
    with ScriptedServer(Reply(pieces=pieces, pauses={5: gate})) as server:
        lm = server.lm(engine="direct")
        answers: list[Any] = []
        asking = threading.Thread(target=lambda: answers.append(lm.request(ASKED, {}, Tap())))
        asking.start()
        for _ in range(5):
            assert seen.acquire(timeout=10)
        assert crossing.run(kept, instead="await") == []
        gate.release()
        asking.join(10)
    assert answers[0].choices[0].text == "".join(pieces)


def test_what_only_a_second_attempt_needs_is_not_made_for_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    for remembered in ("_refuses_usage", "_wants_version"):  # of the endpoints of other tests
        monkeypatch.setattr(calls, remembered, {})
    monkeypatch.setattr("lmstream_sync.lm.asking.retrying", None)
    monkeypatch.setattr("lmstream_sync.lm.direct_calls.shown_base", None)
    with ScriptedServer("a") as server:
        assert server.lm(engine="direct").request(ASKED, {}, RecordingTap()).choices[0].text == "a"


def test_the_environment_is_asked_for_each_request(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"OPENAI_ORG_ID": "openai-organization", "OPENAI_PROJECT_ID": "openai-project"}
    for name in ("OPENAI_ORGANIZATION", *variables):
        monkeypatch.delenv(name, raising=False)
    with ScriptedServer("fine") as server:
        lm = server.lm(engine="direct", cache=False)
        for value in (None, "first", "second", ""):
            for name in variables:
                monkeypatch.setenv(name, value) if value is not None else None
            lm("q")
            headers = server.requests[-1].headers
            assert [headers.get(header) for header in variables.values()] == [value or None] * 2


def test_a_connection_says_of_what_kind_it_is_without_an_enumeration() -> None:
    """asyncio asks for each connection seven times, and `socket.socket` looks a member up for each answer."""
    gate = Gate()
    with ScriptedServer(Reply(pieces=["a", "b"], pauses={1: gate})) as server:
        port = int(server.url.split(":")[2].split("/")[0])
        asking = threading.Thread(target=lambda: server.lm(engine="direct").request(ASKED, {}, RecordingTap()))
        asking.start()
        gate.wait()
        ours = [each for each in gc.get_objects() if type(each) is _Socket and each.fileno() >= 0]
        (found,) = [each for each in ours if each.getpeername()[1] == port]
        assert (found.family, found.type) == (socket.AF_INET, socket.SOCK_STREAM)
        assert type(found.family) is type(found.type) is int
        gate.release()
        asking.join(10)


def test_an_address_with_a_secret_in_it_is_not_remembered() -> None:
    for base, count in (("http://h/a/v1", 1), ("http://me:pw@h/a/v1", 0), ("http://h/a/v1?key=abc", 0)):
        _plain_url.cache_clear()
        request = LMRequest("openai/m", ASKED, hide({"api_base": base}))
        for _ in range(2):
            outgoing(request, path="/chat/completions", stream=True, usage=True)
        assert _plain_url.cache_info().currsize == count
