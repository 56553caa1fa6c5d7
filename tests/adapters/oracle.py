"""What the chat reader must do, said a second time and as plainly as can be.

Looks at the whole text anew each time and shares nothing with the reader. Slow on purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

BLANKS = " \t"


class Span(NamedTuple):
    """Where a field's text stands in the reply; `end` is `None` while it is open."""

    name: str
    begin: int
    end: int | None


def spans(text: str, names: Sequence[str]) -> tuple[list[Span], list[str]]:
    """The fields that begin in a text, and the names whose marker would count next."""
    unseen = list(names)
    found: list[Span] = []
    position = 0
    for line in text.split("\n"):
        body = line.lstrip(BLANKS)
        for name in [*unseen, "completed"]:
            if body.startswith(f"[[ ## {name} ## ]]"):
                if found and found[-1].end is None:
                    found[-1] = found[-1]._replace(end=position)
                if name in unseen:
                    unseen.remove(name)
                    found.append(Span(name, position + len(line) - len(body) + len(f"[[ ## {name} ## ]]"), None))
                break
        position += len(line) + 1
    return found, [*unseen, "completed"]


def fields(text: str, names: Sequence[str]) -> dict[str, str]:
    """The fields of a whole reply."""
    return {span.name: text[span.begin : span.end].strip() for span in spans(text, names)[0]}


def given(pieces: Sequence[str], names: Sequence[str]) -> dict[str, tuple[str, bool]]:
    """Each field's text that must have been handed out when these pieces are in, and whether it is closed.

    Of an open field: all pieces before the one in which that begins which may yet be dropped.
    """
    text = "".join(pieces)
    found, expected = spans(text, names)
    result: dict[str, tuple[str, bool]] = {}
    for span in found:
        if span.end is not None:
            result[span.name] = (text[span.begin : span.end].strip(), True)
            continue
        content = text[span.begin :]
        before, newline, last_line = content.rpartition("\n")
        beginning = last_line.lstrip(BLANKS)
        if newline and any(f"[[ ## {name} ## ]]".startswith(beginning) for name in expected):
            content = before
        sure = span.begin + len(content.rstrip())
        if sure == len(text):
            reach = sure
        else:
            reach = max((cut for cut in accumulate(map(len, pieces), initial=0) if cut <= sure), default=0)
        result[span.name] = (text[span.begin : max(reach, span.begin)].lstrip(), False)
    return result
