"""What litellm and its stand-ins send, as our `Delta` and `Reply`. Pure.

Tolerant on purpose: objects or dicts, with or without usage, role or finish reason, a
whole response where a stream was asked for, bare strings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from lmstream_sync.errors import LMProtocolError
from lmstream_sync.lm.engine import Choice, Delta, Reply
from lmstream_sync.lm.failures import provider_of
from lmstream_sync.lm.surrogates import SurrogateJoiner, joined
from lmstream_sync.lm.tool_fragments import arguments_text, has_function
from lmstream_sync.lm.usage import plain_usage

__all__ = [
    "ChunkReader",
    "counted_usage",
    "field_of",
    "is_whole",
    "no_choices",
    "provider_fields",
    "text_of_content",
    "thought_of",
    "whole_as_pieces",
    "whole_reply",
]

#: A field of `Delta` → what the wire format calls it, where that is something else.
_WIRE_NAMES = {"reasoning": "reasoning_content"}
#: What the chunks of one stream have in common.
_STAMP = ("id", "created", "model")


def field_of(holder: Any, name: str) -> Any:
    """What a mapping or an object has under a name, or `None`."""
    if isinstance(holder, Mapping):
        return holder.get(name)
    return getattr(holder, name, None)


def _plain(value: Any) -> Any:
    """Dicts and lists all the way down."""
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def text_of_content(value: Any) -> str | None:
    """Content as text; some providers send a list of parts."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        parts = [part if isinstance(part, str) else field_of(part, "text") for part in value]
        return "".join(part for part in parts if isinstance(part, str))
    return None


def thought_of(message: Any) -> str | None:
    """The model's reasoning; Mistral sends it as a part of the content."""
    for name in ("reasoning_content", "reasoning"):
        thought = field_of(message, name)
        if thought is not None:
            return thought if isinstance(thought, str) else None
    content = field_of(message, "content")
    if not isinstance(content, list):
        return None
    parts = [text_of_content(field_of(part, "thinking")) for part in content if field_of(part, "type") == "thinking"]
    return "".join(part for part in parts if part) if parts else None


def provider_fields(message: Any) -> dict[str, Any] | None:
    """What litellm puts beside the wire format's own fields: `{"citation": ...}` in Anthropic's stream."""
    found = field_of(message, "provider_specific_fields")
    if not isinstance(found, Mapping) or not found:
        return None
    fields = {name: _plain(value) for name, value in found.items()}
    if isinstance(fields.get("citations"), list):
        # A whole reply has a list for each piece of text; a stream gives them one by one.
        groups = (each if isinstance(each, list) else [each] for each in fields["citations"])
        fields["citations"] = [citation for group in groups for citation in group]
    return fields


def counted_usage(usage: Any) -> dict[str, Any] | None:
    """A provider's usage object as plain counts; `None` where it counts nothing."""
    if type(usage) is not dict:  # litellm's
        usage = _plain(usage) if usage is not None else None
        if not isinstance(usage, Mapping):
            return None
    counts = plain_usage(usage)
    if not counts["total_tokens"]:
        return None
    if isinstance(usage.get("cost"), (int, float)):  # OpenRouter says what it took
        counts["cost"] = float(usage["cost"])
    return counts


def is_whole(response: Any) -> bool:
    """Whether this is a whole response and no stream."""
    choices = field_of(response, "choices")
    return isinstance(choices, list) and not hasattr(response, "__anext__")


class ChunkReader:
    """Turns the chunks of one stream into deltas, joining what was cut inside a character."""

    def __init__(self) -> None:
        self._joiners: dict[tuple[int, str], SurrogateJoiner] = {}
        # What the chunk that a half character was in is called; most streams have none.
        self._stamp: dict[str, Any] | None = None

    def read(self, chunk: Any) -> list[Delta]:
        """The deltas of one chunk, one for each choice in it."""
        if isinstance(chunk, str):
            return [Delta(content=self._whole_text(0, "content", chunk))]
        usage = counted_usage(field_of(chunk, "usage"))
        choices = field_of(chunk, "choices") or ()
        deltas: list[Delta] = []
        for choice in choices:
            first = not deltas
            deltas.append(self._delta(choice, usage if first else None, chunk if first else None))
        if not deltas:
            deltas.append(Delta(usage=usage, raw=chunk))
        if self._joiners and self.joining:
            self._stamp = {name: value for name in _STAMP if (value := field_of(chunk, name))}
        return deltas

    @property
    def joining(self) -> bool:
        """Whether a text stands cut inside a character, so that the next piece must pass here too."""
        return any(joiner.holding for joiner in self._joiners.values())

    def finish(self, make_raw: Callable[..., Any] | None = None) -> list[Delta]:
        """What is left when the stream ended: a half character, replaced.

        Args:
            make_raw: `litellm.ModelResponseStream`, where raw chunks are wanted.
        """
        left: list[Delta] = []
        for (index, name), joiner in self._joiners.items():
            rest = joiner.finish()
            if not rest:
                continue
            piece = {"index": index, "delta": {_WIRE_NAMES.get(name, name): rest}}
            left.append(
                Delta(
                    content=rest if name == "content" else None,
                    reasoning=rest if name == "reasoning" else None,
                    refusal=rest if name == "refusal" else None,
                    index=index,
                    raw=make_raw(**(self._stamp or {}), choices=[piece]) if make_raw is not None else None,
                )
            )
        return left

    def refused(self, index: int, text: str) -> Delta:
        """A piece of a refusal that came beside the chunks."""
        return Delta(refusal=self._whole_text(index, "refusal", text), index=index)

    def _delta(self, choice: Any, usage: dict[str, Any] | None, raw: Any) -> Delta:
        index = field_of(choice, "index")
        index = index if isinstance(index, int) else 0
        piece = field_of(choice, "delta")
        if piece is None:
            piece = field_of(choice, "message")
        content = self._joined(index, "content", piece, text_of_content(field_of(piece, "content")))
        reasoning = self._joined(index, "reasoning", piece, thought_of(piece))
        finish = field_of(choice, "finish_reason")
        calls = field_of(piece, "tool_calls")
        refusal = field_of(piece, "refusal")
        return Delta(
            content=content,
            reasoning=reasoning,
            index=index,
            finish_reason=str(finish) if finish else None,
            tool_calls=tuple(plain for call in calls if isinstance(plain := _plain(call), dict)) if calls else (),
            refusal=self._joined(index, "refusal", piece, refusal) if isinstance(refusal, str) else None,
            usage=usage,
            provider_fields=provider_fields(piece),
            raw=raw,
        )

    def _joined(self, index: int, name: str, piece: Any, text: str | None) -> str | None:
        if not text:
            return text
        whole = self._whole_text(index, name, text)
        if whole is not text and whole != text and piece is not None and not isinstance(piece, Mapping):
            # The raw chunk is shown too (a stream without listeners): it must say the same.
            with suppress(AttributeError, TypeError, ValueError):
                setattr(piece, _WIRE_NAMES.get(name, name), whole)
        return whole

    def _whole_text(self, index: int, name: str, text: str) -> str:
        joiner = self._joiners.get((index, name))
        if joiner is None:
            if text.isascii():
                return text
            joiner = self._joiners[index, name] = SurrogateJoiner()
        return joiner.feed(text)


def whole_reply(response: Any, model: str) -> Reply | None:
    """A whole response as a reply; `None` where it has no choices."""
    choices = field_of(response, "choices")
    if not isinstance(choices, list) or not choices:
        return None
    read: list[Choice] = []
    for position, choice in enumerate(choices):
        message = field_of(choice, "message")
        if message is None:
            message = field_of(choice, "delta")
        index = field_of(choice, "index")
        reasoning = thought_of(message)
        finish = field_of(choice, "finish_reason")
        content = text_of_content(field_of(message, "content")) or text_of_content(field_of(choice, "text")) or ""
        refusal = field_of(message, "refusal")
        if refusal is None:  # where litellm puts that of a whole reply
            refusal = (provider_fields(message) or {}).get("refusal")
        read.append(
            Choice(
                text=joined(content),
                reasoning=joined(reasoning) if reasoning is not None else None,
                finish_reason=str(finish) if finish else None,
                tool_calls=_whole_calls(field_of(message, "tool_calls") or ()),
                refusal=joined(refusal) if isinstance(refusal, str) else None,
                index=index if isinstance(index, int) else position,
                provider_fields=provider_fields(message) or {},
            )
        )
    return Reply(choices=read, usage=counted_usage(field_of(response, "usage")) or {}, model=model)


def _whole_calls(calls: Iterable[Any]) -> list[dict[str, Any]]:
    """The calls of a whole response, their arguments as text; what is none is left out."""
    read: list[dict[str, Any]] = []
    for call in map(_plain, calls):
        if not isinstance(call, dict) or not has_function(call):
            continue
        function = call.get("function")
        if function is not None:
            call = {**call, "function": {**function, "arguments": joined(arguments_text(function.get("arguments")))}}
        read.append(call)
    return read


def no_choices(model: str) -> LMProtocolError:
    """The error for a whole response without any answer in it."""
    return LMProtocolError(
        f"{model}: the reply is not what it says it is: it has no choices", provider=provider_of(model), model=model
    )


def whole_as_pieces(response: Any, model: str, make_raw: Callable[..., Any] | None) -> list[Delta]:
    """A whole response as the pieces of a stream.

    Args:
        response: what came, with a list of choices.
        model: as the LM was given it.
        make_raw: `litellm.ModelResponseStream`, where raw chunks are wanted.

    Raises:
        LMProtocolError: it has no choices.
    """
    reply = whole_reply(response, model)
    if reply is None:
        raise no_choices(model)
    deltas: list[Delta] = []
    for choice in reply.choices:
        calls = [{"index": position, **call} for position, call in enumerate(choice.tool_calls)]
        message = {
            "role": "assistant",
            "content": choice.text,
            "reasoning_content": choice.reasoning,
            "tool_calls": calls or None,
        }
        piece = {"index": choice.index, "delta": message, "finish_reason": choice.finish_reason}
        deltas.append(
            Delta(
                content=choice.text,
                reasoning=choice.reasoning,
                index=choice.index,
                finish_reason=choice.finish_reason,
                tool_calls=tuple(calls),
                refusal=choice.refusal,
                usage=reply.usage or None,
                raw=make_raw(model=model, choices=[piece]) if make_raw is not None else None,
            )
        )
    return deltas
