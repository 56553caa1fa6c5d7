"""What must have been handed out of a JSON reply, said from what the writer knows of it.

The noise module says where the values stand; nothing is searched for here, and nothing is
shared with the reader.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from tests.adapters.noise import Value

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[^u])", re.DOTALL)


def given(reply: str, values: Sequence[Value], length: int) -> dict[str, tuple[str, bool]]:
    """Each field's text that must be out when so many characters are in, and whether it is closed.

    No more than an unfinished escape or half of a pair may be kept back.
    """
    result: dict[str, tuple[str, bool]] = {}
    for value in values:
        if value.is_string:
            if length > value.begin:
                closed = length >= value.end
                body = reply[value.begin + 1 : value.end - 1 if closed else length]
                if not closed:
                    body = body[: _in_doubt(body)]
                result[value.name] = (json.loads(f'"{body}"', strict=False), closed)
        elif length > value.begin:
            # What follows a number shows its end.
            bracket = reply[value.begin] in "[{"
            closed = length >= value.end if bracket else length > value.end
            result[value.name] = (reply[value.begin : min(length, value.end)], closed)
    return result


def _in_doubt(body: str) -> int:
    """Where that begins in the inside of a string which is not complete."""
    end = 0
    while (escape := _ESCAPE.search(body, end)) is not None:
        if escape[1] and 0xD800 <= int(escape[1], 16) < 0xDC00:
            rest = body[escape.end() :]
            if len(rest) < 6 and re.fullmatch(r"(?:\\(?:u[0-9a-fA-F]{0,3})?)?", rest):
                return escape.start()
        end = escape.end()
    begun = re.search(r"\\(?:u[0-9a-fA-F]{0,3})?$", body[end:])
    return end + begun.start() if begun else len(body)
