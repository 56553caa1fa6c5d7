"""What the source text of a JSON value means: strict JSON, and the more that the scanner lets pass."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Collection
from typing import Any

from lmstream_sync.signatures.repairing import repaired

__all__ = ["decode", "decode_first", "fields_in"]

_DECODER = json.JSONDecoder(strict=False)

_LENIENT = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|,(?=[ \t\r\n]*[}\]])|True|False|None', re.DOTALL)
_STRICT = {"True": "true", "False": "false", "None": "null"}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)


def decode(source: str) -> Any:
    """The value of a JSON text, which may have commas before closing brackets and the like.

    Raises:
        ValueError: it is no JSON, or a number of too many digits.
        RecursionError: its brackets nest too deep.
    """
    try:
        return _DECODER.decode(source)
    except ValueError:
        strict = _LENIENT.sub(_made_strict, source)
        if strict == source:
            raise
    return _DECODER.decode(strict)


def decode_first(text: str, begin: int) -> Any:
    """The value of the JSON that begins there, whatever follows it; where it is not quite JSON, repaired."""
    try:
        return _DECODER.raw_decode(text, begin)[0]
    except (ValueError, RecursionError):
        return repaired(text[begin:])


def _made_strict(match: re.Match[str]) -> str:
    token = match[0]
    if token[0] == '"':
        return _ESCAPE.sub(_valid_escape, token) if "\\" in token else token
    return _STRICT.get(token, "")


def _valid_escape(match: re.Match[str]) -> str:
    escaped = match[1]
    if len(escaped) > 1 or escaped in '"\\/bfnrt':
        return match[0]
    return "'" if escaped == "'" else f"\\\\{escaped}"


def fields_in(value: Any, names: Collection[str]) -> dict[str, Any]:
    """The fields in a decoded reply: those of the outermost object that has any; empty where none has."""
    waiting = deque([value])
    while waiting:
        one = waiting.popleft()
        if isinstance(one, dict):
            if found := {name: one[name] for name in one if name in names}:
                return found
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
    return {}
