"""The pieces of a streamed reply, put together again. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lmstream_sync.lm.engine import Choice, Delta, Reply
from lmstream_sync.lm.surrogates import joined
from lmstream_sync.lm.tool_fragments import CallSorter

__all__ = ["Assembly", "carries_text"]


def carries_text(delta: Delta) -> bool:
    """Whether a piece has something of the reply in it: text, thought, a tool call."""
    return bool(
        delta.content
        or delta.reasoning
        or delta.tool_calls
        or delta.refusal
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
        self.calls: _Calls | None = None
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
                self.calls = _Calls()
            self.calls.add(delta.tool_calls)
        if delta.provider_fields:
            if self.provider_fields is None:
                self.provider_fields = {}
            _add_fields(self.provider_fields, delta.provider_fields)


class _Calls:
    """The tool calls of one choice; each text is kept in the pieces it came in, and joined once."""

    __slots__ = ("_arguments", "_ids", "_names", "_sorter")

    def __init__(self) -> None:
        self._sorter = CallSorter()
        self._ids: list[str | None] = []
        self._names: list[str] = []
        self._arguments: list[list[str]] = []

    def add(self, fragments: Sequence[dict[str, Any]]) -> None:
        """More fragments came."""
        for place, identity, name, arguments in self._sorter.feed(fragments):
            if place == len(self._ids):
                self._ids.append(None)
                self._names.append("")
                self._arguments.append([])
            if identity:
                self._ids[place] = identity
            if name:
                self._names[place] += name
            if arguments:
                self._arguments[place].append(arguments)

    @property
    def characters(self) -> int:
        """How long the arguments are so far."""
        return sum(sum(map(len, pieces)) for pieces in self._arguments)

    def whole(self) -> list[dict[str, Any]]:
        """The calls as far as they came: what was cut inside a character is one again."""
        return [
            {"id": identity, "type": "function", "function": {"name": name, "arguments": joined("".join(pieces))}}
            for identity, name, pieces in zip(self._ids, self._names, self._arguments, strict=True)
        ]


class Assembly:
    """Fed every delta of one reply, gives the whole. Keeps what the deltas hold, and not them.

    Attributes:
        begun: whether anything of the reply came: text, thought, a tool call, an end.
        usage: what the provider reported last.
    """

    __slots__ = ("_choices", "begun", "usage")

    def __init__(self) -> None:
        self._choices: dict[int, _Parts] = {}
        self.begun = False
        self.usage: dict[str, Any] | None = None

    def add(self, deltas: Sequence[Delta]) -> None:
        """More pieces came."""
        choices = self._choices
        for delta in deltas:
            parts = choices.get(delta.index)
            if (  # text and nothing else, after other text: nearly all of them
                parts is not None
                and self.begun
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
            if delta.finish_reason or carries_text(delta):
                self.begun = True
            elif not delta.provider_fields:
                continue
            if parts is None:
                parts = choices[delta.index] = _Parts()
            parts.add(delta)

    @property
    def characters(self) -> int:
        """How long the reply is so far."""
        return sum(
            sum(map(len, parts.content))
            + sum(map(len, parts.reasoning or ()))
            + (parts.calls.characters if parts.calls is not None else 0)
            for parts in self._choices.values()
        )

    def reply(self, model: str) -> Reply:
        """The reply as far as it came; without any piece, one empty choice."""
        choices = [
            Choice(
                text="".join(parts.content),
                reasoning="".join(parts.reasoning) if parts.reasoning else None,
                finish_reason=parts.finish_reason,
                tool_calls=parts.calls.whole() if parts.calls is not None else [],
                refusal="".join(parts.refusal) if parts.refusal else None,
                index=index,
                provider_fields=_whole_fields(parts.provider_fields) if parts.provider_fields else {},
            )
            for index, parts in sorted(self._choices.items())
        ]
        return Reply(choices=choices or [Choice()], usage=dict(self.usage or {}), model=model)


def _add_fields(fields: dict[str, Any], more: dict[str, Any]) -> None:
    """Keep what a piece carries beside the format's own fields; a stream gives citations one by one."""
    for name, value in more.items():
        if name == "citation":
            _list_in(fields, "citations").append(value)
        elif name == "thinking_blocks" and isinstance(value, list):
            _add_blocks(_list_in(fields, name), value)
        elif name == "thought_signatures" and isinstance(value, list):
            _list_in(fields, name).extend(value)
        elif value is not None:
            fields[name] = value


def _list_in(fields: dict[str, Any], name: str) -> list[Any]:
    """The list under a name; what else a provider put there goes."""
    found = fields.get(name)
    if not isinstance(found, list):
        found = fields[name] = []
    return found


def _add_blocks(blocks: list[dict[str, Any]], more: list[dict[str, Any]]) -> None:
    """Join Anthropic's pieces of thinking to blocks, as they must be sent back; a signature closes its block.

    Until the reply is over, a block's text is the list of its pieces.
    Source: Anthropic, "Extended thinking", on streaming and on preserving thinking blocks.
    """
    for piece in more:
        if not isinstance(piece, dict):
            continue
        if piece.get("type") != "thinking":
            blocks.append(dict(piece))
            continue
        thought = str(piece.get("thinking") or "")
        last = blocks[-1] if blocks else {}
        if last.get("type") != "thinking" or last.get("signature"):
            blocks.append({**piece, "thinking": [thought]})
            continue
        last["thinking"].append(thought)
        if piece.get("signature"):
            last["signature"] = piece["signature"]


def _whole_fields(fields: dict[str, Any]) -> dict[str, Any]:
    blocks = fields.get("thinking_blocks")
    if not isinstance(blocks, list):
        return fields
    whole = [
        {**block, "thinking": "".join(block["thinking"])} if block.get("type") == "thinking" else block
        for block in blocks
    ]
    return {**fields, "thinking_blocks": whole}
