"""Reading server-sent events in a test."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

__all__ = ["read_sse"]


def read_sse(body: str | bytes | Iterable[str | bytes]) -> list[Any]:
    """The data of each event, parsed as JSON; comments and `[DONE]` are left out.

    Args:
        body: what a view sent: text, bytes, or the pieces of either.

    Raises:
        ValueError: the data of an event is no JSON.
    """
    pieces = [body] if isinstance(body, (str, bytes)) else list(body)
    text = b"".join(piece.encode() if isinstance(piece, str) else piece for piece in pieces).decode()
    events: list[Any] = []
    for event in text.replace("\r\n", "\n").replace("\r", "\n").split("\n\n"):
        lines = [line[5:].removeprefix(" ") for line in event.split("\n") if line.startswith("data:")]
        data = "\n".join(lines)
        if lines and data != "[DONE]":
            events.append(json.loads(data))
    return events
