"""Scripted replies in the chat-completions wire format. Pure: plain values to bytes.

Source: OpenAI's API reference, "The chat completion object" and "... chunk object".
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from lmstream_sync.testing.replies import Reply

__all__ = ["stream_events", "whole_response"]

_CREATED = 1_700_000_000


def usage_of(reply: Reply, body: dict[str, Any]) -> dict[str, Any]:
    """The reply's token counts: as scripted, else counted by words."""
    if reply.usage is not None:
        return reply.usage
    prompt = sum(len(str(message.get("content", "")).split()) for message in body.get("messages", []))
    completion = len(reply.whole_text().split())
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def whole_response(reply: Reply, body: dict[str, Any]) -> dict[str, Any]:
    """The reply as one response object."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.whole_text()}
    if reply.reasoning is not None:
        message["reasoning_content"] = reply.reasoning
    if reply.tool_calls is not None:
        message["tool_calls"] = reply.tool_calls
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": _CREATED,
        "model": body.get("model", "scripted"),
        "choices": [
            {"index": index, "message": message, "finish_reason": reply.finish_reason}
            for index in range(int(body.get("n") or 1))
        ],
        "usage": usage_of(reply, body),
    }


def stream_events(reply: Reply, body: dict[str, Any]) -> Iterator[tuple[bytes, int]]:
    """The reply as server-sent events: the bytes of each, and how many pieces of text came before it."""
    if reply.raw is not None:
        for number, data in enumerate(reply.raw):
            yield data, number
        return
    choices = range(int(body.get("n") or 1))
    for index in choices:
        yield _event(body, _choice(index, {"role": "assistant", "content": ""})), 0
    if reply.reasoning is not None:
        for index in choices:
            yield _event(body, _choice(index, {"reasoning_content": reply.reasoning})), 0
    for call_index, call in enumerate(reply.tool_calls or ()):
        for index in choices:
            yield _event(body, _choice(index, {"tool_calls": [{"index": call_index, **call}]})), 0
    pieces = reply.cut_pieces()
    for number, piece in enumerate(pieces):
        if number == reply.error_after:
            yield _data({"error": {"message": "scripted error inside the stream", "type": "server_error"}}), number
            return
        for index in choices:
            yield _event(body, _choice(index, {"content": piece})), number
    if reply.finish_reason is not None:
        for index in choices:
            yield _event(body, _choice(index, {}, reply.finish_reason)), len(pieces)
    if (body.get("stream_options") or {}).get("include_usage"):
        yield _event(body, None, usage_of(reply, body)), len(pieces)
    if reply.done:
        yield b"data: [DONE]\n\n", len(pieces)


def _choice(index: int, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish_reason}


def _event(body: dict[str, Any], choice: dict[str, Any] | None, usage: dict[str, Any] | None = None) -> bytes:
    chunk: dict[str, Any] = {
        "id": "chatcmpl-scripted",
        "object": "chat.completion.chunk",
        "created": _CREATED,
        "model": body.get("model", "scripted"),
        "choices": [] if choice is None else [choice],
    }
    if usage is not None:
        chunk["usage"] = usage
    return _data(chunk)


def _data(value: Any) -> bytes:
    # Escaped, as many servers write it: half a surrogate pair can pass too.
    return f"data: {json.dumps(value, separators=(',', ':'))}\n\n".encode()
