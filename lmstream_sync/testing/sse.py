"""`read_sse`: the JSON in a body of server-sent events.

Source: the HTML standard, "Server-sent events", section "Interpreting an event stream".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

__all__ = ["read_sse"]

# Not `splitlines`, which also ends a line at U+2028 and others, as browsers do not.
_LINE_END = re.compile(r"\r\n|\n|\r")


def read_sse(body: str | bytes | Iterable[str | bytes]) -> list[dict[str, Any]]:
    """The `data:` of each event, parsed as JSON; `[DONE]`, comments and heartbeats are left out.

    An event ends with an empty line; one that the body breaks off in the middle of is left
    out, as a browser does.

    Args:
        body: the whole body, or its pieces in order, cut anywhere.

    Raises:
        ValueError: the data of an event is no JSON.
    """
    events = []
    data: list[str] = []
    for line in _LINE_END.split(_as_text(body).removeprefix("\ufeff"))[:-1]:
        if line:
            name, _, value = line.partition(":")
            if name == "data":
                data.append(value.removeprefix(" "))
            continue
        text = "\n".join(data)
        if data and text != "[DONE]":
            try:
                events.append(json.loads(text))
            except ValueError as error:
                raise ValueError(f"the data of an event is no JSON ({error}): {text[:200]!r}") from None
        data = []
    return events


def _as_text(body: str | bytes | Iterable[str | bytes]) -> str:
    if isinstance(body, str):
        return body
    if isinstance(body, bytes):
        return body.decode()
    # Joined as bytes first: a piece may end within a character.
    return b"".join(piece.encode(errors="surrogatepass") if isinstance(piece, str) else piece for piece in body).decode(
        errors="surrogatepass"
    )
