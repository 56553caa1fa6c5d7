"""The model of the benchmarks: a loopback HTTP server in a process of its own.

It prints its address and serves until it is killed. It must never be what is measured: the
bytes of a reply are made once and written in one go, and the pieces of delayed replies go
out from a wheel of time slots, so that a piece for a thousand streams is made once.

What a reply looks like stands in the path, `/TAG/CHUNKS/DELAY/v1/chat/completions`: so many
pieces, so many milliseconds apart (0: all at once). A delayed reply's first write brings
everything up to the first word; each later word holds the time at which it was sent. For a tag
that begins with `watch`, `GET /TAG` tells when pieces were sent and when the client's socket
closed, on the clock that all processes of a machine share (`time.monotonic`).
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from functools import cache
from typing import Any

TEXT = (
    "A chicken crosses the kitchen for the reason that anyone does: the stove is warm, the window is open, and "
    "somebody has left the bread on the table. It walks slowly, because the floor is slippery; it stops twice, "
    "looks round, and goes on.\n\nWhether it knew of the cat behind the door, nobody can say. "
)
#: The text as models cut it: a word with the blank before it, a sign, a line's end.
WORDS = re.findall(r"\n+| ?\w+|[^\w\s]", TEXT)
#: The marker of the field `answer`, which DSPy's and our chat format share, and the last one.
BEGIN = ["[[", " ##", " answer", " ##", " ]]", "\n\n"]
END = ["\n\n", "[[", " ##", " completed", " ##", " ]]"]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
USAGE = {"prompt_tokens": 100, "completion_tokens": 100, "total_tokens": 200}


def envelope(**more: Any) -> dict[str, Any]:
    """A chunk as OpenAI's API has it, but for what is in it."""
    return {
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion.chunk",
        "created": 1741569952,
        "model": "gpt-4o-mini-2024-07-18",
        "service_tier": "default",
        "system_fingerprint": "fp_b705f0c291",
        **more,
    }


def event(value: Any) -> bytes:
    """One server-sent event, in an HTTP chunk of its own."""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    line = f"data: {text}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(line), line)


def piece(delta: dict[str, Any], finish: str | None = None) -> bytes:
    """The event of one delta."""
    return event(envelope(choices=[{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]))


def first_events() -> bytes:
    """Everything before the first word."""
    return piece({"role": "assistant", "content": ""}) + b"".join(piece({"content": each}) for each in BEGIN)


@cache
def last_events(usage: bool) -> bytes:
    """Everything after the last word."""
    reported = event(envelope(choices=[], usage=USAGE)) if usage else b""
    pieces = b"".join(piece({"content": each}) for each in END)
    return pieces + piece({}, "stop") + reported + event("[DONE]") + b"0\r\n\r\n"


@cache
def whole_stream(chunks: int, usage: bool) -> bytes:
    """A reply of so many chunks, markers included, and its head."""
    words = (WORDS[i % len(WORDS)] for i in range(chunks - len(BEGIN) - len(END) - 2))
    return HEAD + first_events() + b"".join(piece({"content": word}) for word in words) + last_events(usage)


def answer(body: bytes, kind: str = "application/json") -> bytes:
    """A response that does not stream."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (kind.encode(), len(body), body)


@cache
def whole_reply() -> bytes:
    """The answer where no stream was asked for."""
    message = {"role": "assistant", "content": f"[[ ## answer ## ]]\n{TEXT}\n\n[[ ## completed ## ]]"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    whole = envelope(choices=[choice], usage=USAGE) | {"object": "chat.completion"}
    return answer(json.dumps(whole).encode())


class Wheel:
    """Calls streams when their next piece is due, all of one millisecond together."""

    def __init__(self) -> None:
        self._slots: dict[int, list[Client]] = {}

    def add(self, client: Client, when: float) -> None:
        """Have a client's next piece sent at that time."""
        slot = int(when * 1000) + 1
        if slot not in self._slots:
            self._slots[slot] = []
            asyncio.get_running_loop().call_at(slot / 1000, self._turn, slot)
        self._slots[slot].append(client)

    def _turn(self, slot: int) -> None:
        clients = self._slots.pop(slot)
        word = timed_word()
        for client in clients:
            client.send_next(word, slot / 1000)


def timed_word() -> bytes:
    """A word that says when it was sent."""
    return piece({"content": f" T{time.monotonic():.6f}"})


#: Tag → when pieces were sent, and when the socket closed.
watched: dict[str, dict[str, Any]] = {}


class Client(asyncio.Protocol):
    """One connection."""

    wheel = Wheel()

    def __init__(self) -> None:
        self._received = b""
        self._left = 0
        self._usage = False
        self._delay = 0.0
        self._watch: dict[str, Any] | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        if len(rest) < (size := int(length[1]) if length else 0):
            if b"100-continue" in head:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        self._received = rest[size:]
        self._answer(head.split(b" ", 2)[1].decode(), rest[:size])

    def _answer(self, path: str, body: bytes) -> None:
        tag, *parts = path.lstrip("/").split("/")
        if len(parts) < 2:
            self._transport.write(answer(json.dumps(watched.get(tag)).encode()))
            return
        asked = json.loads(body or b"{}")
        if not asked.get("stream"):
            self._transport.write(whole_reply())
            return
        chunks, delay = int(parts[0]), float(parts[1]) / 1000
        self._usage = bool((asked.get("stream_options") or {}).get("include_usage"))
        if not delay:
            self._transport.write(whole_stream(chunks, self._usage))
            return
        self._left, self._delay = chunks, delay
        if tag.startswith("watch"):
            self._watch = watched[tag] = {"sent": [], "closed": None}
        self.send_next(HEAD + first_events() + timed_word(), time.monotonic())

    def send_next(self, word: bytes, due: float) -> None:
        """A piece is due."""
        if self._transport.is_closing():
            return
        self._left -= 1
        self._transport.write(word if self._left else word + last_events(self._usage))
        if self._watch is not None:
            self._watch["sent"].append(time.monotonic())
        if self._left:
            self.wheel.add(self, due + self._delay)

    def eof_received(self) -> None:
        self._closed()

    def connection_lost(self, error: Exception | None) -> None:
        self._closed()

    def _closed(self) -> None:
        if self._watch is not None and self._watch["closed"] is None and self._left:
            self._watch["closed"] = time.monotonic()


async def main() -> None:
    """Serve for ever."""
    server = await asyncio.get_running_loop().create_server(Client, "127.0.0.1", 0, backlog=4096)
    print("http://{}:{}".format(*server.sockets[0].getsockname()), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
