"""Parts of a prompt that are no text: an image, a sound, a file, in their place between the text.

Prompts are written as text. While one is written, each part stands in it as a word that no
user can guess, and is put in its place when the text is finished (`CollectedParts.split`).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from lmstream_sync.errors import SignatureError

__all__ = ["CollectedParts", "collecting_parts", "not_collecting", "parts_being_collected"]


class CollectedParts:
    """The parts of one prompt, and the words that stand for them."""

    def __init__(self) -> None:
        self._held: list[list[dict[str, Any]]] = []
        self._word = ""

    @property
    def held(self) -> bool:
        """Whether there is any."""
        return bool(self._held)

    def hold(self, parts: Sequence[Mapping[str, Any]], kind: str) -> str:
        """The word that stands for content parts until the text is split.

        Args:
            parts: content parts as OpenAI's chat completions have them.
            kind: the type they are of, for the error.

        Raises:
            SignatureError: they are no content parts.
        """
        for part in parts:
            if not isinstance(part, Mapping) or not isinstance(part.get("type"), str):
                raise SignatureError(
                    f"{kind}.format() must give a text or a list of content parts, each a dict with a 'type'; "
                    f"it gave {part!r:.80}"
                )
        # Letters, digits and underscores: no adapter has to escape them, and JSON keeps them as they are.
        self._word = self._word or f"lmspart_{secrets.token_hex(16)}_"
        self._held.append([dict(part) for part in parts])
        return f"{self._word}{len(self._held) - 1}_"

    def unquoted(self, text: str) -> str:
        """JSON text in which the parts stand without the quotes that a string has."""
        return re.sub(rf'"({self._word}\d+_)"', r"\1", text) if self._held else text

    def split(self, text: str) -> str | list[dict[str, Any]]:
        """A message's content: the text where no part is in it, else content parts in order, texts among them."""
        if not self._held or self._word not in text:
            return text
        content: list[dict[str, Any]] = []
        for number, piece in enumerate(re.split(rf"{self._word}(\d+)_", text)):
            for part in self._held[int(piece)] if number % 2 else [{"type": "text", "text": piece}]:
                _add(content, part)
        if len(content) == 1 and content[0].keys() == {"type", "text"}:
            return str(content[0]["text"])
        return content


def _add(content: list[dict[str, Any]], part: dict[str, Any]) -> None:
    """Put a part at the end; text joins the text before it, and empty text is left out."""
    if part.keys() == {"type", "text"}:
        if not part["text"]:
            return
        if content and content[-1].keys() == {"type", "text"}:
            content[-1]["text"] += part["text"]
            return
    content.append(dict(part))


P = TypeVar("P", bound="CollectedParts | None")

_collected: ContextVar[CollectedParts | None] = ContextVar("lmstream_sync_parts", default=None)


def parts_being_collected() -> CollectedParts | None:
    """The parts of the prompt that is being written here, or `None` where none is."""
    return _collected.get()


class _Collecting(Generic[P]):
    """A class, as a generator's context would cost several times as much, and one stands round every prompt."""

    __slots__ = ("_parts", "_token")

    def __init__(self, parts: P) -> None:
        self._parts = parts

    def __enter__(self) -> P:
        self._token = _collected.set(self._parts)
        return self._parts

    def __exit__(self, *exc_info: object) -> None:
        _collected.reset(self._token)


def collecting_parts() -> AbstractContextManager[CollectedParts]:
    """Collect the parts of the values that are turned into text within."""
    return _Collecting(CollectedParts())


def not_collecting() -> AbstractContextManager[None]:
    """Within, values are turned into text as if no prompt was being written."""
    return _Collecting(None)
