"""Fragments of tool calls, as a stream has them, told apart: which call each belongs to, and what it adds. Pure.

The format is that of OpenAI's chat completions (`delta.tool_calls`): a fragment names its call by
`index`, and the first of a call has `id` and name. Servers are seen to leave `index` out, to number
all calls 0, to leave `id` empty, and to send arguments as an object.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["CallPiece", "CallSorter", "arguments_text", "has_function"]


class CallPiece(NamedTuple):
    """What a fragment adds to its call.

    Attributes:
        place: which call it is of the reply, from 0 in the order in which they began.
        id: the call's id, where the fragment has one.
        name: what it adds to the name.
        arguments: what it adds to the arguments' text.
    """

    place: int
    id: str | None
    name: str
    arguments: str


class _Begun:
    """What is known of a call that began."""

    __slots__ = ("has_arguments", "id", "name")

    def __init__(self) -> None:
        self.id: str | None = None
        self.name = ""
        self.has_arguments = False

    def is_over_at(self, identity: str | None, name: str) -> bool:
        """Whether a fragment with this id and name begins another call under the same number."""
        if identity and self.id:
            return identity != self.id
        return bool(name and self.name and self.has_arguments)


class CallSorter:
    """Fed the fragments of one choice, says which call each belongs to."""

    __slots__ = ("_begun", "_places")

    def __init__(self) -> None:
        self._begun: list[_Begun] = []
        self._places: dict[int | str, int] = {}  # index or id → the call that has it now

    def feed(self, fragments: Sequence[Any]) -> list[CallPiece]:
        """What the fragments of one chunk add; those that are none are left out."""
        return [
            self._piece(fragment, position if len(fragments) > 1 else len(self._begun) - 1)
            for position, fragment in enumerate(fragments)
            if isinstance(fragment, Mapping) and has_function(fragment)
        ]

    def _piece(self, fragment: Mapping[str, Any], otherwise: int) -> CallPiece:
        """What a fragment adds; one without index and id belongs to the call at `otherwise`."""
        function = fragment.get("function") or {}
        identity, name = _text(fragment.get("id")) or None, _text(function.get("name"))
        arguments = arguments_text(function.get("arguments"))
        key = fragment.get("index")
        if not isinstance(key, (int, str)):
            key = identity
        place = otherwise if key is None else self._places.get(key, -1)
        if not 0 <= place < len(self._begun) or self._begun[place].is_over_at(identity, name):
            place = len(self._begun)
            self._begun.append(_Begun())
        if key is not None:
            self._places[key] = place
        call = self._begun[place]
        if name and (call.has_arguments or name == call.name and identity):
            name = ""  # said again, with each fragment
        call.id = identity or call.id
        call.name += name
        call.has_arguments = call.has_arguments or bool(arguments)
        return CallPiece(place, identity, name, arguments)


def has_function(call: Mapping[str, Any]) -> bool:
    """Whether a call, or a fragment of one, has a `function` that can be read, or none."""
    function = call.get("function")
    return function is None or isinstance(function, Mapping)


def arguments_text(arguments: Any) -> str:
    """Arguments as the format has them, as JSON text; some servers send the object itself."""
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else json.dumps(arguments)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
