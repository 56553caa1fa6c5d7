"""The chat-completions wire format: a scripted reply as JSON objects and server-sent events. No I/O.

Source: OpenAI's API reference, "Chat Completions" and "Streaming"; `reasoning_content` is
the field that DeepSeek, vLLM and others add to it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from lmstream_sync.testing.reply import Reply, Request, text_of_content

__all__ = ["Wire", "as_event", "as_json", "error_object"]

_ERRORS: dict[int, tuple[str, str, str | None]] = {
    401: ("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    403: ("You are not allowed to do this.", "invalid_request_error", None),
    404: ("The model does not exist or you do not have access to it.", "invalid_request_error", "model_not_found"),
    429: ("Rate limit reached, please try again later.", "requests", "rate_limit_exceeded"),
}


def error_object(status: int, message: str | None = None) -> dict[str, Any]:
    """The JSON body of a refusal, as OpenAI words it."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    default = "The server had an error." if status >= 500 else "The request cannot be served as it is."
    text, kind, code = _ERRORS.get(status, (default, kind, None))
    return {"error": {"message": message or text, "type": kind, "param": None, "code": code}}


def as_json(value: Any) -> bytes:
    """Compact JSON in UTF-8; text with half a surrogate pair, which UTF-8 has not, is escaped instead."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


class Wire:
    """One reply to one request, in the words of the wire format.

    Args:
        reply: what to say.
        request: what was asked.
        number: of the request, for the ids.
    """

    def __init__(self, reply: Reply, request: Request, number: int) -> None:
        self._reply = reply
        self._request = request
        self._id = f"chatcmpl-scripted-{number}"
        self._created = int(time.time())
        self._choices = range(max(1, int(request.body.get("n") or 1)))
        self._calls = [_tool_call(call, index) for index, call in enumerate(reply.tool_calls)]
        options = request.body.get("stream_options") or {}
        self._reports_usage = bool(options.get("include_usage")) and reply.usage is not False
        self._by_choice = [list(self._deltas(index)) for index in self._choices]
        self._finish = "tool_calls" if self._calls and reply.finish_reason == "stop" else reply.finish_reason

    def whole(self) -> dict[str, Any]:
        """The response to a request that asked for no stream."""
        made: dict[str, Any] = {
            "id": self._id,
            "object": "chat.completion",
            "created": self._created,
            "model": self._request.body.get("model"),
            "choices": [
                {"index": index, "message": self._message(index), "logprobs": None, "finish_reason": self._finish}
                for index in self._choices
            ],
        }
        if self._reply.usage is not False:
            made["usage"] = self._usage()
        return made

    @property
    def piece_count(self) -> int:
        """How many events `pieces` gives."""
        return sum(map(len, self._by_choice))

    def opening(self) -> Iterator[bytes]:
        """The events that come before the first piece: the role."""
        for index in self._choices:
            yield self._event(index, {"role": "assistant", "content": ""})

    def pieces(self) -> Iterator[bytes]:
        """One event for each piece; those of several choices take turns."""
        for at in range(max(map(len, self._by_choice))):
            for index, deltas in enumerate(self._by_choice):
                if at < len(deltas):
                    yield self._event(index, deltas[at])

    def closing(self) -> Iterator[bytes]:
        """The events after the last piece: finish reasons, usage, `[DONE]`, as far as the reply has them."""
        if self._finish is not None:
            for index in self._choices:
                yield self._event(index, {}, self._finish)
        if self._reports_usage:
            yield as_event({**self._frame(), "choices": [], "usage": self._usage()})
        if self._reply.done:
            yield b"data: [DONE]\n\n"

    def malformed(self) -> bytes:
        """An event whose JSON breaks off."""
        return self._event(0, {"content": "broken"})[:-12] + b"\n\n"

    def error(self) -> dict[str, Any]:
        """The error object that comes in the place of a reply, status 200."""
        body = self._reply.body
        return dict(body) if isinstance(body, Mapping) else error_object(500, body)

    def _message(self, index: int) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self._reply.text_of_choice(index)}
        if self._reply.refusal is not None:
            message |= {"content": None, "refusal": self._reply.refusal}
        if self._reply.reasoning is not None:
            message["reasoning_content"] = self._reply.reasoning
        if self._calls:
            message["tool_calls"] = self._calls
            message["content"] = message["content"] or None
        return message

    def _deltas(self, index: int) -> Iterator[dict[str, Any]]:
        reply = self._reply
        for piece in reply.cut_up(reply.reasoning or ""):
            yield {"reasoning_content": piece}
        if reply.refusal is not None:
            for piece in reply.cut_up(reply.refusal):
                yield {"refusal": piece}
        else:
            for piece in reply.pieces_of_choice(index):
                yield {"content": piece}
        for at, call in enumerate(self._calls):
            function = call["function"]
            yield {"tool_calls": [{**call, "index": at, "function": {**function, "arguments": ""}}]}
            for piece in reply.cut_up(function["arguments"]):
                yield {"tool_calls": [{"index": at, "function": {"arguments": piece}}]}

    def _usage(self) -> dict[str, Any]:
        if isinstance(self._reply.usage, Mapping):
            return dict(self._reply.usage)
        messages = self._request.body.get("messages") or []
        prompt = sum(len(text_of_content(message.get("content")).split()) for message in messages)
        completion = self.piece_count
        usage: dict[str, Any] = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }
        if self._reply.reasoning:
            thought = len(self._reply.cut_up(self._reply.reasoning)) * len(self._choices)
            usage["completion_tokens_details"] = {"reasoning_tokens": thought}
        return usage

    def _event(self, index: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        made = {**self._frame(), "choices": [choice]}
        if self._reports_usage:
            made["usage"] = None
        return as_event(made)

    def _frame(self) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._request.body.get("model"),
        }


def as_event(value: Any) -> bytes:
    """A server-sent event of one line of JSON."""
    return b"data: " + as_json(value) + b"\n\n"


def _tool_call(call: Mapping[str, Any], index: int) -> dict[str, Any]:
    """A tool call in the wire format."""
    function = dict(call.get("function") or {"name": call.get("name"), "arguments": call.get("arguments", {})})
    if not isinstance(function.get("arguments"), str):
        function["arguments"] = json.dumps(function.get("arguments") or {})
    return {"id": call.get("id", f"call_{index}"), "type": "function", "function": function}
