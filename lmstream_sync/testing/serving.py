"""Sending scripted replies over HTTP. The only file of the test server that knows aiohttp."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from lmstream_sync.testing.counts import Tally
from lmstream_sync.testing.gate import Gate
from lmstream_sync.testing.reply import Reply, Request
from lmstream_sync.testing.script import Script
from lmstream_sync.testing.steps import Drop, Finish, Pause, Send, Stall, Step, streamed_steps, whole_steps
from lmstream_sync.testing.wire import Wire, as_json, error_object

__all__ = ["Serving"]

#: Steps in a row after which other connections get their turn.
_TURN = 64

#: Seconds that idle connections have to close when the server stops; replies are ended before.
_SHUTDOWN = 0.5


#: Where providers take a key: OpenAI and most others, Anthropic, Gemini.
_KEY_HEADERS = ("authorization", "x-api-key", "x-goog-api-key")


class _CountingServer(web.Server):
    """Counts the connections."""

    tally: Tally

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self.tally.add(open_connections=1)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self.tally.add(open_connections=-1)


class Serving:
    """Listens on loopback, answers by a script, counts. Belongs to one event loop.

    Args:
        script: which reply comes when; may be replaced at any time.
        tally: where it counts.
        api_key: refuse requests that bring another key, as a provider does.
    """

    def __init__(self, script: Script, tally: Tally, api_key: str | None = None) -> None:
        self.script = script
        self.stalls = Gate()
        self._tally = tally
        self._api_key = api_key
        self._stopping = False
        self._replying: set[asyncio.Task[Any]] = set()
        self._runner: web.ServerRunner | None = None

    async def start(self, port: int) -> int:
        """Listen on 127.0.0.1; gives the port (another than 0).

        Raises:
            OSError: the port is taken.
        """
        # Cancelled handlers are how a reader that left is noticed at once, also in a pause.
        server = _CountingServer(self._handle, handler_cancellation=True, access_log=None)
        server.tally = self._tally
        self._runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port, backlog=1024).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """End every reply where it stands and close every connection."""
        self._stopping = True
        for task in self._replying:
            task.cancel()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.content.read()
        path = request.path.removeprefix("/v1")
        if request.method == "POST" and path == "/chat/completions":
            return await self._complete(request, body)
        if request.method == "GET" and path == "/models":
            model = {"id": "scripted", "object": "model", "created": 0, "owned_by": "lmstream_sync"}
            return _json({"object": "list", "data": [model]})
        if request.method == "GET" and path == "/_stats":
            return _json(dataclasses.asdict(self._tally.counts))
        if request.method == "GET" and path == "/_requests":
            return _json([dataclasses.asdict(each) for each in self._tally.requests])
        if request.method == "POST" and path == "/_release":
            self.stalls.release()
            return _json({})
        if request.method == "POST" and self.script.speaks_for_others:
            return await self._complete(request, body, other=True)
        return _json(error_object(404, f"Unknown request URL: {request.method} {request.path}"), 404)

    async def _complete(self, request: web.BaseRequest, body: bytes, *, other: bool = False) -> web.StreamResponse:
        """Answer a request for a completion; `other`: on another provider's route, in its words."""
        try:
            asked = json.loads(body)
            if not isinstance(asked, dict) or not (other or isinstance(asked.get("messages"), list)):
                raise TypeError("messages")
        except (ValueError, TypeError, AttributeError):
            return _json(error_object(400, "We could not parse the JSON body of your request."), 400)
        headers = {name.lower(): value for name, value in request.headers.items()}
        heard = Request(asked, headers, request.path)
        number = self._tally.add_request(heard)
        reply = self._refused(headers) or self.script.reply_to(heard)
        if other and reply.raw is None and reply.status == 200:
            return _json(error_object(404, f"No raw reply is scripted for {request.method} {request.path}"), 404)
        return await _Answer(self, request, heard, reply, number).give()

    def _refused(self, headers: dict[str, str]) -> Reply | None:
        if self._api_key is None:
            return None
        given = (headers.get(name, "").removeprefix("Bearer ") for name in _KEY_HEADERS)
        key = next(filter(None, given), "")
        if key == self._api_key:
            return None
        return Reply(status=401, body=error_object(401, f"Incorrect API key provided: {key}."))

    # What an answer needs of its server.

    def begin(self) -> None:
        """A reply is under way in this task."""
        task = asyncio.current_task()
        assert task is not None
        self._replying.add(task)
        self._tally.add(open_streams=1)

    def end(self, *, left: bool) -> None:
        """The reply of this task is over."""
        task = asyncio.current_task()
        assert task is not None
        self._replying.discard(task)
        self._tally.add(open_streams=-1, readers_left=int(left and not self._stopping))

    def count_piece(self, tokens: int, *, streamed: bool) -> None:
        """So many tokens were sent."""
        self._tally.add(tokens_sent=tokens, pieces_sent=tokens if streamed else 0)

    async def stall(self) -> None:
        """Wait until stalls are released."""
        self._tally.add(stalled=1)
        try:
            await self.stalls.passed()
        finally:
            self._tally.add(stalled=-1)


class _Answer:
    """One reply on its way to one reader."""

    def __init__(self, serving: Serving, request: web.BaseRequest, heard: Request, reply: Reply, number: int) -> None:
        self._serving = serving
        self._request = request
        self._reply = reply
        self._streamed = heard.stream and not reply.whole and reply.status == 200
        self._wire = Wire(reply, heard, number)
        self._response = web.StreamResponse(status=reply.status, headers=self._headers())
        self._text_is_out = False

    async def give(self) -> web.StreamResponse:
        """Send it. A reader that goes away ends this at once, by cancellation or a failed write."""
        self._serving.begin()
        left = False
        try:
            await self._play(self._steps())
        except (asyncio.CancelledError, ConnectionError) as error:
            left = not self._text_is_out
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            self._serving.end(left=left)
        return self._response

    def _steps(self) -> Iterator[Step]:
        if self._reply.status != 200:
            return _refusal_steps(self._reply)
        return streamed_steps(self._reply, self._wire) if self._streamed else whole_steps(self._reply, self._wire)

    async def _play(self, steps: Iterator[Step]) -> None:
        for number, step in enumerate(steps, 1):
            if isinstance(step, Send):
                await self._send(step)
            elif isinstance(step, Pause):
                await (step.until.passed() if isinstance(step.until, Gate) else asyncio.sleep(step.until))
            elif isinstance(step, Stall):
                await self._serving.stall()
            elif isinstance(step, Finish):
                self._text_is_out = True
            elif isinstance(step, Drop):
                self._text_is_out = True  # it is the server that goes
                if self._request.transport is not None:
                    self._request.transport.close()  # what was written before goes out first
                return
            if number % _TURN == 0:
                await asyncio.sleep(0)
        await self._begun()
        await self._response.write_eof()

    async def _send(self, step: Send) -> None:
        await self._begun()
        await self._response.write(step.data)
        if step.tokens:
            self._serving.count_piece(step.tokens, streamed=self._streamed)

    async def _begun(self) -> None:
        if not self._response.prepared:
            await self._response.prepare(self._request)

    def _headers(self) -> dict[str, str]:
        reply = self._reply
        kind = "text/event-stream; charset=utf-8" if self._streamed else "application/json"
        if isinstance(reply.body, str) and reply.status != 200:
            kind = "text/plain; charset=utf-8"
        headers = {"Content-Type": reply.content_type or kind}
        if self._streamed:
            headers["Cache-Control"] = "no-cache"
        if reply.retry_after is not None:
            headers["Retry-After"] = str(reply.retry_after)
        return {**headers, **reply.headers}


def _refusal_steps(reply: Reply) -> Iterator[Step]:
    """A status other than 200, after the waits before the first piece."""
    if 0 in reply.pauses:
        yield Pause(reply.pauses[0])
    if reply.stall_after is not None:
        yield Stall()
    body = error_object(reply.status) if reply.body is None else reply.body
    yield Finish()
    yield Send(body.encode() if isinstance(body, str) else as_json(body))


def _json(value: Any, status: int = 200) -> web.Response:
    return web.json_response(value, status=status)
