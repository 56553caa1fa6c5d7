"""`ScriptedServer`: a model that says what the test tells it to, served from a thread of this process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future

from lmstream_sync.errors import ConfigurationError
from lmstream_sync.testing.counts import Counts, Tally
from lmstream_sync.testing.observed import ObservedServer
from lmstream_sync.testing.reply import Request
from lmstream_sync.testing.script import Replies, Script
from lmstream_sync.testing.serving import Serving

__all__ = ["ScriptedServer"]

#: Seconds that starting and stopping may take.
_PATIENCE = 10.0


class ScriptedServer(ObservedServer):
    """A real HTTP server on 127.0.0.1 that speaks the chat-completions wire format by a script.

        with ScriptedServer({"chicken": Reply("To get to the other side.", cut=4)}) as server:
            lm = server.lm()              # or any client, with server.url as its base address
            ...
            server.wait_for_reader_left()

    It answers `POST /v1/chat/completions`, streamed or not, and `GET /v1/models`, from a
    thread and an event loop of its own. A reader that goes away is noticed at once, also
    while the server waits.

    It stands in for other providers too: a reply with `raw=` (the bytes of their own wire
    format) or with a refusing `status=` is given to a POST on any path, `/v1/messages` or
    `/api/chat`; `content_type=` says what it is.

    Under gevent or eventlet, and where the server must not share the interpreter with what
    is measured, use `ServerProcess`.

    Args:
        replies: a reply (a string or a `Reply`) for every request; a list, given in order,
            of which the last repeats; a dict, of which the first key that stands in the
            last user message decides; or a function of the request's body, called in the
            server's thread: it must not wait (a `Gate` in the reply does).
        api_key: refuse every other key with 401.
        port: 0 for a free one.
    """

    def __init__(self, replies: Replies = "", *, api_key: str | None = None, port: int = 0) -> None:
        self._replies = replies
        self._tally = Tally()
        self._serving = Serving(Script(replies), self._tally, api_key)
        self._port = port
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    def start(self) -> None:
        """Listen. A server starts once.

        Raises:
            OSError: the port is taken.
            ConfigurationError: it was started before.
        """
        if self._thread is not None:
            raise ConfigurationError("this ScriptedServer was started before; make a new one")
        listening: Future[int] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listening)), name="lmstream-scripted-server", daemon=True
        )
        self._thread.start()
        try:
            self._port = listening.result(_PATIENCE)
        except Exception:
            self._thread.join(_PATIENCE)
            raise

    def stop(self) -> None:
        """End every reply where it stands, close every connection, end the thread. The counters stay."""
        if self._thread is None or self._loop is None or not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_PATIENCE)

    async def _serve(self, listening: Future[int]) -> None:
        try:
            port = await self._serving.start(self._port)
        except Exception as error:
            await self._serving.stop()
            listening.set_exception(error)
            return
        self._loop = asyncio.get_running_loop()
        listening.set_result(port)
        await self._stop.wait()
        await self._serving.stop()

    @property
    def url(self) -> str:
        """The base address, for `api_base`: `http://127.0.0.1:PORT/v1`.

        Raises:
            ConfigurationError: the server was not started.
        """
        if self._loop is None:
            raise ConfigurationError("the server has not started: use `with ScriptedServer(...) as server:`")
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def replies(self) -> Replies:
        """The script; may be set at any time, for the requests that come from then on."""
        return self._replies

    @replies.setter
    def replies(self, replies: Replies) -> None:
        self._replies = replies
        self._serving.script = Script(replies)

    @property
    def counts(self) -> Counts:
        """All counters at one moment."""
        return self._tally.counts

    @property
    def requests(self) -> list[Request]:
        """The completions asked for so far, in order."""
        return self._tally.requests

    def release(self) -> None:
        """Let every stalled reply go on, and those that would stall later."""
        self._serving.stalls.release()

    def _wait(self, condition: Callable[[Counts], bool], timeout: float) -> bool:
        return self._tally.wait_until(condition, timeout)
