"""The events of a stream of chat completions as `Delta`, and whether it came to its end. Pure.

A chunk of the usual shape is read by the typed decoder; any other (content as a list of
parts, half of a surrogate pair, an index that is no number) by the same tolerant reader
that reads litellm's chunks, so that both engines understand the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from lmstream_sync.lm.assembly import carries_text
from lmstream_sync.lm.engine import Delta
from lmstream_sync.lm.json_decoding import NOT_TYPED, plain_json, typed_chunk
from lmstream_sync.lm.litellm_chunks import (
    ChunkReader,
    counted_usage,
    provider_fields,
    text_of_content,
    thought_of,
)
from lmstream_sync.lm.said_errors import error_in

__all__ = ["DirectReader"]

_STAMP = (("id", str), ("created", int), ("model", str))


class DirectReader:
    """Fed the data of each event of one stream.

    Args:
        make_raw: `litellm.ModelResponseStream`, where every piece shall carry one.

    Attributes:
        begun: whether anything of the reply came.
        over: whether nothing more is read: after `[DONE]`, an error, or an event that is no chunk.
        done: whether `[DONE]` came.
        error: the error that came in the place of a chunk, or within one, as a mapping with `error`.
        refused: why an event is no chunk; nothing is read after it.
    """

    __slots__ = (
        "_before",
        "_chunks",
        "_finished",
        "_make_raw",
        "_plain",
        "_seen",
        "_stray",
        "begun",
        "done",
        "error",
        "over",
        "refused",
    )

    def __init__(self, make_raw: Callable[..., Any] | None = None) -> None:
        self._make_raw = make_raw
        self._chunks: ChunkReader | None = None  # made when something is not of the usual shape
        # Whether the typed decoder may read the next event.
        self._plain = make_raw is None
        # Which choice the last piece belonged to, and those before; mostly there is one.
        self._seen: int | None = None
        self._before: set[int] | None = None
        self._finished: set[int] | None = None
        self.begun = self.over = self.done = False
        self.error: Mapping[str, Any] | None = None
        self._stray: dict[str, Any] | None = None
        self.refused: Exception | None = None

    def read(self, events: Sequence[bytes]) -> list[Delta]:
        """The pieces in some events."""
        deltas: list[Delta] = []
        append = deltas.append
        for data in events:
            try:
                chunk = typed_chunk(data) if self._plain else None
            except NOT_TYPED:
                chunk = None
            if chunk is None:
                self._other(data, deltas)
                if self.over:
                    break
                continue
            usage = chunk.usage
            for choice in chunk.choices:
                piece = choice.delta
                index = choice.index
                reason = choice.finish_reason
                if index != self._seen or reason:
                    self._saw(index, reason)
                thought = piece.reasoning_content
                if (  # text and nothing else: nearly all of them
                    thought is None
                    and usage is None
                    and not reason
                    and piece.reasoning is None
                    and piece.tool_calls is None
                    and piece.refusal is None
                    and piece.provider_specific_fields is None
                ):
                    append(Delta(piece.content, None, index))
                    continue
                append(
                    Delta(
                        piece.content,
                        piece.reasoning if thought is None else thought,
                        index,
                        reason or None,
                        tuple(piece.tool_calls) if piece.tool_calls else (),
                        piece.refusal,
                        counted_usage(usage),
                        provider_fields(piece) if piece.provider_specific_fields else None,
                    )
                )
                usage = None
            if usage is not None:
                append(Delta(usage=counted_usage(usage)))
        if deltas:
            self.begun = True
        return deltas

    def _saw(self, index: int, reason: str | None) -> None:
        """A piece of a choice came, the first for it or its last."""
        if self._seen is not None and self._seen != index:
            if self._before is None:
                self._before = set()
            self._before.add(self._seen)
        self._seen = index
        if reason:
            if self._finished is None:
                self._finished = set()
            self._finished.add(index)

    def finish(self) -> list[Delta]:
        """What is left when the stream ended: a half character, replaced."""
        return self._chunks.finish(self._make_raw) if self._chunks is not None else []

    @property
    def stray(self) -> dict[str, Any] | None:
        """What came in the place of a reply: the first object without choices, where no chunk had any."""
        return self._stray if self._seen is None else None

    @property
    def ended_plainly(self) -> bool:
        """Whether `[DONE]` came after chunks of the usual shape alone: nothing is left, and nothing is wrong."""
        return self.done and self._chunks is None and self._seen is not None

    @property
    def complete(self) -> bool:
        """Whether the provider said the end: `[DONE]`, or a finish reason of every choice that began."""
        if self.done or self._finished is None:
            return self.done
        return self._seen in self._finished and (self._before or set()) <= self._finished

    def _other(self, data: bytes, deltas: list[Delta]) -> None:
        """An event that the typed decoder did not take, or whose raw object is wanted."""
        stripped = data.strip()
        if stripped == b"[DONE]":
            self.over = self.done = True
            return
        if not stripped:
            return
        try:
            chunk = plain_json(data)
            if not isinstance(chunk, dict):
                raise ValueError(f"an event is a JSON {type(chunk).__name__} and no object")
        except ValueError as error:
            self.over, self.refused = True, error
            return
        self.error = error_in(chunk)
        if self.error is not None:
            self.over = True
            if isinstance(chunk.get("choices"), list):
                deltas += filter(carries_text, self._read_slowly(chunk))
            return
        if self._stray is None and chunk and "choices" not in chunk and "usage" not in chunk:
            self._stray = chunk
        try:
            found = self._read_slowly(chunk)
        except Exception as error:  # of no shape that could be read; what came before it stays
            self.over, self.refused = True, error
            return
        if chunk.get("choices"):
            for delta in found:
                self._saw(delta.index, delta.finish_reason)
        deltas += found

    def _read_slowly(self, chunk: dict[str, Any]) -> list[Delta]:
        """The pieces of a chunk of any shape."""
        if self._chunks is None:
            self._chunks = ChunkReader()
        if self._make_raw is not None:
            raw = self._raw(chunk)
            if raw is not None:
                return self._chunks.read(raw)
            found = self._chunks.read(chunk)
            found[0] = replace(found[0], raw=self._bare_raw(chunk, found))
            return found
        found = self._chunks.read(chunk)
        self._plain = not self._chunks.joining
        return [replace(delta, raw=None) for delta in found]

    def _raw(self, chunk: dict[str, Any]) -> Any:
        """The object of litellm's that litellm's own engine would show for a chunk; `None` where it takes it not."""
        assert self._make_raw is not None
        choices = [
            {**choice, "delta": _as_litellm_names(choice.get("delta") or {})}
            for choice in chunk.get("choices") or ()
            if isinstance(choice, dict)
        ]
        if not choices:
            choices = [{"index": 0, "delta": {}}]  # as litellm shows the chunk that has the usage alone
        try:
            return self._make_raw(**{**chunk, "choices": choices})
        except Exception:  # pydantic's, of a field of another type than the format has
            with suppress(Exception):
                return self._make_raw(**_stamp(chunk), choices=choices)
        return None

    def _bare_raw(self, chunk: dict[str, Any], deltas: Sequence[Delta]) -> Any:
        """The same for a chunk with something in its choices that litellm's does not take: text and ends alone."""
        assert self._make_raw is not None
        choices = [
            {"index": each.index, "delta": {"content": each.content}, "finish_reason": each.finish_reason}
            for each in deltas
        ]
        return self._make_raw(**_stamp(chunk), choices=choices)


def _stamp(chunk: Mapping[str, Any]) -> dict[str, Any]:
    """What a chunk is called, as far as it is of the format's types."""
    return {name: chunk[name] for name, kind in _STAMP if isinstance(chunk.get(name), kind)}


def _as_litellm_names(delta: dict[str, Any]) -> dict[str, Any]:
    """litellm calls the model's reasoning by one name, and content is a text."""
    named = {**delta, "content": text_of_content(delta.get("content"))}
    thought = thought_of(delta)
    if thought is not None:
        named.pop("reasoning", None)
        named["reasoning_content"] = thought
    return named
