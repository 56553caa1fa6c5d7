"""The pieces of a streamed reply, put together again. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lmstream_sync.lm.engine import Choice, Delta, Reply
from lmstream_sync.lm.surrogates import joined

__all__ = ["Assembly", "carries_token"]


def carries_token(delta: Delta) -> bool:
    """Whether a piece has something of the reply in it: text, thought, a tool call, an end."""
    return bool(delta.content or delta.reasoning or delta.tool_calls or delta.refusal or delta.finish_reason)


class _Parts:
    """One choice in the making."""

    __slots__ = ("calls", "content", "finish_reason", "reasoning", "refusal")

    def __init__(self) -> None:
        self.content: list[str] = []
        self.reasoning: list[str] = []
        self.refusal: list[str] = []
        self.finish_reason: str | None = None
        self.calls: dict[Any, dict[str, Any]] = {}


class Assembly:
    """Fed every delta of one reply, gives the whole."""

    def __init__(self) -> None:
        self._choices: dict[int, _Parts] = {}
        self.usage: dict[str, Any] | None = None

    def add(self, deltas: Sequence[Delta]) -> None:
        """More pieces came."""
        for delta in deltas:
            if delta.usage:
                self.usage = delta.usage
            if not carries_token(delta):
                continue
            parts = self._choices.get(delta.index)
            if parts is None:
                parts = self._choices[delta.index] = _Parts()
            if delta.content:
                parts.content.append(delta.content)
            if delta.reasoning:
                parts.reasoning.append(delta.reasoning)
            if delta.refusal:
                parts.refusal.append(delta.refusal)
            if delta.finish_reason:
                parts.finish_reason = delta.finish_reason
            for fragment in delta.tool_calls:
                _add_call(parts.calls, fragment)

    @property
    def characters(self) -> int:
        """How long the reply is so far."""
        return sum(
            len(piece) for parts in self._choices.values() for piece in (*parts.content, *parts.reasoning)
        ) + sum(len(call["function"]["arguments"]) for parts in self._choices.values() for call in parts.calls.values())

    def reply(self, model: str) -> Reply:
        """The reply as far as it came; without any piece, one empty choice."""
        choices = [
            Choice(
                text="".join(parts.content),
                reasoning="".join(parts.reasoning) if parts.reasoning else None,
                finish_reason=parts.finish_reason,
                tool_calls=[
                    {**call, "function": {**call["function"], "arguments": joined(call["function"]["arguments"])}}
                    for call in parts.calls.values()
                ],
                refusal="".join(parts.refusal) if parts.refusal else None,
                index=index,
            )
            for index, parts in sorted(self._choices.items())
        ]
        return Reply(choices=choices or [Choice()], usage=dict(self.usage or {}), model=model)


def _add_call(calls: dict[Any, dict[str, Any]], fragment: dict[str, Any]) -> None:
    """Join a tool call's fragments by their `index` (OpenAI's chat completions, `delta.tool_calls`)."""
    key = fragment.get("index")
    if key is None:
        key = fragment.get("id") or (next(reversed(calls)) if calls else 0)
    call = calls.get(key)
    if call is None:
        call = calls[key] = {"id": None, "type": "function", "function": {"name": "", "arguments": ""}}
    if fragment.get("id"):
        call["id"] = fragment["id"]
    function = fragment.get("function") or {}
    if function.get("name"):
        call["function"]["name"] += function["name"]
    if function.get("arguments"):
        call["function"]["arguments"] += function["arguments"]
