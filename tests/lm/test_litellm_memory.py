"""What a litellm stream leaves behind: nothing that the garbage collector would have to find."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.lm.engine import Delta
from lmstream_sync.lm.litellm_wire import Wire
from lmstream_sync.testing import Reply, ScriptedServer
from tests.lm import wire_formats as wire
from tests.lm.conftest import RecordingTap

ASKED = [{"role": "user", "content": "q"}]

# litellm's own types for Ollama, which pydantic remarks on.
pytestmark = pytest.mark.filterwarnings("ignore:.*`ReadOnly` qualifier:UserWarning")


class ResponseWatch(RecordingTap):
    """Sees, while a reply comes, the HTTP response beneath it; and later that it is gone."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port
        self.gone: list[threading.Event] = []

    def look(self) -> None:
        """Find the responses of this test's server among all objects."""
        import httpx

        for found in gc.get_objects():
            if type(found) is httpx.Response and found.url.port == self._port:
                self.gone.append(threading.Event())
                weakref.finalize(found, self.gone[-1].set)

    async def feed(self, deltas: Sequence[Delta]) -> None:
        if not self.gone:
            self.look()
        await super().feed(deltas)


def port_of(server: ScriptedServer) -> int:
    return int(server.url.split(":")[2].split("/")[0])


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize(
    "name", ["openai.sse", "anthropic.sse", "gemini.sse", "ollama.ndjson", "mistral.sse", "openai_length.sse"]
)
def test_reference_counts_free_the_response_of_a_stream(name: str) -> None:
    if sys.version_info < (3, 11) and name in ("anthropic.sse", "mistral.sse"):
        # litellm leaves these before their end, inside a context of httpx's.
        pytest.skip("contextlib keeps the GeneratorExit that passes it, with its own frame, until Python 3.11")
    with ScriptedServer(wire.reply(name)) as server:
        watch = ResponseWatch(port_of(server))
        wire.lm(name, server).request(ASKED, {}, watch)
        assert [event.wait(10) for event in watch.gone] == [True]


@pytest.mark.usefixtures("no_collector")
def test_reference_counts_free_the_response_of_a_stream_that_was_left() -> None:
    with ScriptedServer(Reply("a b c d", stall_after=2)) as server:
        watch = ResponseWatch(port_of(server))
        stream = lms.stream(server.lm(engine="litellm"), "q")
        assert next(stream)
        watch.look()
        stream.close()
        server.wait_for_reader_left()
        assert [event.wait(10) for event in watch.gone] == [True]


async def let_go_of(*, closed: bool) -> Any:
    """A response of plain httpx, in the middle of its stream or closed, after a wire has let it go."""
    import httpx

    async def body() -> AsyncIterator[bytes]:
        yield b"data: 1\n\n"
        yield b"data: [DONE]\n\n"

    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=body()))
    async with httpx.AsyncClient(transport=transport) as client:
        response = await client.send(client.build_request("GET", "http://model/"), stream=True)
        wire = Wire()
        wire.attach(response)
        assert await anext(response.aiter_lines()) == "data: 1"
        if closed:
            await response.aclose()
        wire.hang_up()
        wire.let_go()
        return response


def test_a_response_that_somebody_keeps_can_still_be_looked_at() -> None:
    """litellm gives it to callbacks."""
    response = asyncio.run(let_go_of(closed=True))
    assert response.is_closed and response.elapsed.total_seconds() >= 0
    asyncio.run(response.aclose())
    assert "_response" not in vars(response.stream)


def test_a_response_that_is_not_over_is_left_as_it_is() -> None:
    response = asyncio.run(let_go_of(closed=False))
    assert not response.is_closed and vars(response.stream)["_response"] is response
