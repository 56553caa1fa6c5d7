"""`ScriptedServer`: a real HTTP server on loopback that speaks the chat-completions wire format.

Public, so that users test their own views and programs with it: no key, no network, the
same bytes a provider sends. It runs in a thread with an event loop of its own; as a process
of its own it is `python -m lmstream_sync.testing`.

Who touches what: the counters belong to `_changed`, a condition; the replies are read on
the server's loop only.

Source of the format: OpenAI's API reference, "Chat completions" and "Streaming".
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from lmstream_sync.testing.replies import Reply
from lmstream_sync.testing.wire import stream_events, whole_response

if TYPE_CHECKING:
    from aiohttp import web

    from lmstream_sync.lm import LM

__all__ = ["Recorded", "ScriptedServer"]

#: What a server can be given to say.
Script = (
    str
    | Reply
    | Sequence[str | Reply]
    | dict[str, str | Reply]
    | Callable[[dict[str, Any]], str | Reply]
)


@dataclass(frozen=True)
class Recorded:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class ScriptedServer:
    """Serves scripted replies and counts what happens. A context manager.

    Args:
        replies: a reply (text or `Reply`); a list, served in order, the last one again
            and again; a dict from a piece of the last user message to a reply; or a
            function of the request's body.
        port: the port, 0 for a free one.

    Attributes:
        url: the base for `api_base`.
        requests: what came, oldest first.
    """

    def __init__(self, replies: Script = "", *, port: int = 0) -> None:
        self._replies = replies
        self._port = port
        self._served = 0
        self._changed = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._go_on: asyncio.Event | None = None
        self._released = False
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self.requests: list[Recorded] = []
        self.pieces_sent = 0
        self.readers_left = 0
        self.open_streams = 0
        self.open_connections = 0
        self.url = ""

    # Its life.

    def start(self) -> ScriptedServer:
        """Start serving; returns when it listens."""
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="scripted-server", daemon=True)
        self._thread.start()
        ready.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def stop(self) -> None:
        """Close every connection and end the thread."""
        loop, stop, thread = self._loop, self._stop, self._thread
        if loop is None or stop is None or thread is None:
            return
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        self._thread = None

    def __enter__(self) -> ScriptedServer:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def _run(self, ready: threading.Event) -> None:
        loop = asyncio.SelectorEventLoop()
        try:
            loop.run_until_complete(self._serve(ready))
        except BaseException as error:
            self._failure = error
        finally:
            ready.set()
            loop.close()

    async def _serve(self, ready: threading.Event) -> None:
        from aiohttp import web  # heavy, and not needed to import `lmstream_sync.testing`

        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._go_on = asyncio.Event()
        app = web.Application(client_max_size=64 * 1024 * 1024)
        for prefix in ("", "/v1"):
            app.router.add_post(f"{prefix}/chat/completions", self._answer)
            app.router.add_get(f"{prefix}/models", self._models)
        app.router.add_get("/_stats", self._stats)
        # Handlers are cancelled when their reader leaves: also between two pieces.
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self._port, backlog=2048)
        await site.start()
        port = runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/v1"
        ready.set()
        await self._stop.wait()
        await runner.cleanup()

    def lm(self, **options: Any) -> LM:
        """An `LM` that asks this server; `cache=False` unless told otherwise."""
        from lmstream_sync.lm import LM

        return LM("openai/scripted", **{"api_base": self.url, "api_key": "sk-test", "cache": False, **options})

    # What happened.

    @property
    def request_count(self) -> int:
        """How many completions were asked for."""
        return len(self.requests)

    @property
    def tokens_sent(self) -> int:
        """Pieces of text sent; a scripted token is a piece."""
        return self.pieces_sent

    def wait_for_request(self, n: int = 1, timeout: float = 5) -> None:
        """Wait until `n` requests came in all; `TimeoutError` after `timeout` seconds."""
        self._wait(lambda: len(self.requests) >= n, timeout, f"{n} requests")

    def wait_for_reader_left(self, n: int = 1, timeout: float = 5) -> None:
        """Wait until `n` readers left in the middle of a reply; `TimeoutError` after `timeout` seconds."""
        self._wait(lambda: self.readers_left >= n, timeout, f"{n} readers that left")

    def wait_until_idle(self, timeout: float = 5) -> None:
        """Wait until no reply is being sent; `TimeoutError` after `timeout` seconds."""
        self._wait(lambda: self.open_streams == 0, timeout, "the end of all replies")

    def release(self) -> None:
        """Let every stalled reply go on, now and from here on."""
        self._released = True
        if self._loop is not None and self._go_on is not None:
            self._loop.call_soon_threadsafe(self._go_on.set)

    def _wait(self, happened: Callable[[], bool], timeout: float, what: str) -> None:
        with self._changed:
            if not self._changed.wait_for(happened, timeout):
                raise TimeoutError(
                    f"waited {timeout:g} s for {what}; there were {len(self.requests)} requests, "
                    f"{self.readers_left} readers left, {self.open_streams} replies are open"
                )

    def _count(self, **changes: int) -> None:
        with self._changed:
            for name, change in changes.items():
                setattr(self, name, getattr(self, name) + change)
            self._changed.notify_all()

    # Answering, on the server's loop.

    async def _models(self, request: web.Request) -> web.Response:
        from aiohttp import web

        return web.json_response({"object": "list", "data": [{"id": "scripted", "object": "model"}]})

    async def _stats(self, request: web.Request) -> web.Response:
        from aiohttp import web

        return web.json_response(
            {
                "requests": len(self.requests),
                "pieces_sent": self.pieces_sent,
                "readers_left": self.readers_left,
                "open_streams": self.open_streams,
            }
        )

    def _choose(self, body: dict[str, Any]) -> Reply:
        replies = self._replies
        chosen: str | Reply
        if callable(replies):
            chosen = replies(body)
        elif isinstance(replies, dict):
            asked = _last_user_text(body)
            chosen = next((reply for part, reply in replies.items() if part in asked), "")
        elif isinstance(replies, (str, Reply)):
            chosen = replies
        else:
            chosen = replies[min(self._served, len(replies) - 1)]
        self._served += 1
        return Reply(chosen) if isinstance(chosen, str) else chosen

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        body = json.loads(await request.read() or b"{}")
        with self._changed:
            self.requests.append(Recorded(request.path, dict(request.headers), body))
            self._changed.notify_all()
        reply = self._choose(body)
        if reply.drop_after == 0:
            _abort(request)
            return web.Response()
        if reply.status != 200:
            headers = {"Retry-After": f"{reply.retry_after:g}"} if reply.retry_after is not None else {}
            answer = reply.body
            if answer is None:
                answer = {"error": {"message": f"scripted {reply.status}", "type": "scripted", "code": None}}
            text = answer if isinstance(answer, str) else json.dumps(answer)
            return web.Response(status=reply.status, text=text, content_type="application/json", headers=headers)
        if not body.get("stream") or reply.whole:
            await asyncio.sleep(reply.delay)
            self._count(pieces_sent=1)
            return web.json_response(whole_response(reply, body))
        return await self._stream(request, reply, body)

    async def _stream(self, request: web.Request, reply: Reply, body: dict[str, Any]) -> web.StreamResponse:
        from aiohttp import web

        response = web.StreamResponse(headers={"Content-Type": reply.content_type, "Cache-Control": "no-cache"})
        self._count(open_streams=1)
        try:
            await response.prepare(request)
            for number, (data, pieces) in enumerate(stream_events(reply, body)):
                if pieces == reply.drop_after:
                    _abort(request)
                    return response
                if pieces == reply.stall_after and not self._released and self._go_on is not None:
                    await self._go_on.wait()
                pause = reply.pauses.get(pieces, reply.delay if number else 0)
                if pause:
                    await asyncio.sleep(pause)
                await response.write(data)
                self._count(pieces_sent=1)
            await response.write_eof()
            return response
        except (ConnectionError, asyncio.CancelledError):
            self._count(readers_left=1)
            raise
        finally:
            self._count(open_streams=-1)


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _last_user_text(body: dict[str, Any]) -> str:
    for message in reversed(body.get("messages", [])):
        if message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            return " ".join(part.get("text", "") for part in content or [])
    return ""
