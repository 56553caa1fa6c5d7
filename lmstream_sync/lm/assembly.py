"""The pieces of a streamed reply, put together again. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lmstream_sync.lm.engine import Choice, Delta, Reply
from lmstream_sync.lm.surrogates import joined

__all__ = ["Assembly", "carries_token"]


def carries_token(delta: Delta) -> bool:
    """Whether a piece has something of the reply in it: text, thought, a tool call, an end."""
    return bool(
        delta.content
        or delta.reasoning
        or delta.tool_calls
        or delta.refusal
        or delta.finish_reason
        or (delta.provider_fields and "citation" in delta.provider_fields)
    )


class _Parts:
    """One choice in the making. Most have a text alone: the rest is made when it comes."""

    __slots__ = ("calls", "content", "finish_reason", "provider_fields", "reasoning", "refusal")

    def __init__(self) -> None:
        self.content: list[str] = []
        self.reasoning: list[str] | None = None
        self.refusal: list[str] | None = None
        self.finish_reason: str | None = None
        self.calls: dict[Any, dict[str, Any]] | None = None
        self.provider_fields: dict[str, Any] | None = None

    def add(self, delta: Delta) -> None:
        """All that a piece has."""
        if delta.content:
            self.content.append(delta.content)
        if delta.reasoning:
            if self.reasoning is None:
                self.reasoning = []
            self.reasoning.append(delta.reasoning)
        if delta.refusal:
            if self.refusal is None:
                self.refusal = []
            self.refusal.append(delta.refusal)
        if delta.finish_reason:
            self.finish_reason = delta.finish_reason
        if delta.tool_calls:
            if self.calls is None:
                self.calls = {}
            for fragment in delta.tool_calls:
                _add_call(self.calls, fragment)
        if delta.provider_fields:
            if self.provider_fields is None:
                self.provider_fields = {}
            _add_fields(self.provider_fields, delta.provider_fields)


class Assembly:
    """Fed every delta of one reply, gives the whole. Keeps what the deltas hold, and not them."""

    __slots__ = ("_choices", "usage")

    def __init__(self) -> None:
        self._choices: dict[int, _Parts] = {}
        self.usage: dict[str, Any] | None = None

    def add(self, deltas: Sequence[Delta]) -> None:
        """More pieces came."""
        choices = self._choices
        for delta in deltas:
            parts = choices.get(delta.index)
            if (  # text and nothing else: nearly all of them
                parts is not None
                and delta.reasoning is None
                and delta.finish_reason is None
                and not delta.tool_calls
                and delta.usage is None
                and delta.refusal is None
                and delta.provider_fields is None
            ):
                if delta.content:
                    parts.content.append(delta.content)
                continue
            if delta.usage:
                self.usage = delta.usage
            if carries_token(delta) or delta.provider_fields:
                if parts is None:
                    parts = choices[delta.index] = _Parts()
                parts.add(delta)

    @property
    def characters(self) -> int:
        """How long the reply is so far."""
        return sum(
            sum(map(len, parts.content))
            + sum(map(len, parts.reasoning or ()))
            + sum(len(call["function"]["arguments"]) for call in (parts.calls or {}).values())
            for parts in self._choices.values()
        )

    def reply(self, model: str) -> Reply:
        """The reply as far as it came; without any piece, one empty choice."""
        choices = [
            Choice(
                text="".join(parts.content),
                reasoning="".join(parts.reasoning) if parts.reasoning else None,
                finish_reason=parts.finish_reason,
                tool_calls=_whole(parts.calls) if parts.calls else [],
                refusal="".join(parts.refusal) if parts.refusal else None,
                index=index,
                provider_fields=parts.provider_fields or {},
            )
            for index, parts in sorted(self._choices.items())
        ]
        return Reply(choices=choices or [Choice()], usage=dict(self.usage or {}), model=model)


def _whole(calls: dict[Any, dict[str, Any]]) -> list[dict[str, Any]]:
    """Calls that have all their fragments: what was cut inside a character is one again."""
    return [
        {**call, "function": {**call["function"], "arguments": joined(call["function"]["arguments"])}}
        for call in calls.values()
    ]


def _add_fields(fields: dict[str, Any], more: dict[str, Any]) -> None:
    """Keep what a piece carries beside the format's own fields; a stream gives citations one by one."""
    for name, value in more.items():
        if name == "citation":
            fields.setdefault("citations", []).append(value)
        elif name == "thinking_blocks" and isinstance(value, list):
            _add_blocks(fields.setdefault(name, []), value)
        elif name == "thought_signatures" and isinstance(value, list):
            fields.setdefault(name, []).extend(value)
        elif value is not None:
            fields[name] = value


def _add_blocks(blocks: list[dict[str, Any]], more: list[dict[str, Any]]) -> None:
    """Join Anthropic's pieces of thinking to blocks, as they must be sent back; a signature closes its block.

    Source: Anthropic, "Extended thinking", on streaming and on preserving thinking blocks.
    """
    for piece in more:
        last = blocks[-1] if blocks else {}
        if last.get("type") == piece.get("type") == "thinking" and not last.get("signature"):
            last["thinking"] = (last.get("thinking") or "") + (piece.get("thinking") or "")
            if piece.get("signature"):
                last["signature"] = piece["signature"]
        else:
            blocks.append(dict(piece))


def _add_call(calls: dict[Any, dict[str, Any]], fragment: dict[str, Any]) -> None:
    """Join a tool call's fragments by their `index` (OpenAI's chat completions, `delta.tool_calls`)."""
    key = fragment.get("index")
    if key is None:
        key = fragment.get("id") or (next(reversed(calls)) if calls else 0)
    call = calls.get(key)
    if call is not None and fragment.get("id") and call["id"] not in (None, fragment["id"]):
        # Another call under the same number: Ollama's (through litellm) are all number 0.
        calls[key, call["id"]] = calls.pop(key)
        call = None
    if call is None:
        call = calls[key] = {"id": None, "type": "function", "function": {"name": "", "arguments": ""}}
    if fragment.get("id"):
        call["id"] = fragment["id"]
    function = fragment.get("function") or {}
    if function.get("name"):
        call["function"]["name"] += function["name"]
    if function.get("arguments"):
        call["function"]["arguments"] += function["arguments"]
