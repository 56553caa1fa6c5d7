"""Ways to cut a reply into pieces, as providers and sockets do."""

from __future__ import annotations

import codecs
import random
import re
from collections.abc import Iterable

_TOKEN = re.compile(r"\s?\w{1,6}|\s+|.", re.DOTALL)


def cut(text: str, places: Iterable[int]) -> list[str]:
    """A text cut at these places."""
    ends = sorted({place for place in places if 0 < place < len(text)})
    return [text[begin:end] for begin, end in zip([0, *ends], [*ends, len(text)], strict=True)]


def same_size(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def tokens(text: str) -> list[str]:
    """Much as models give it: words with the blank before them."""
    return _TOKEN.findall(text)


def off_the_wire(packets: Iterable[bytes]) -> list[str]:
    """What a decoder makes of bytes that are cut anywhere, inside characters too."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    pieces = [decoder.decode(packet) for packet in packets]
    return [*pieces, decoder.decode(b"", final=True)]


def at_random(dice: random.Random, text: str) -> tuple[str, list[str]]:
    """A text cut in one of these ways, and what that way is called."""
    # Halves of pairs have no bytes; they come as escapes or from another library.
    on_wire = not any("\ud800" <= char < "\ue000" for char in text)
    kind = dice.choices(("places", "size", "tokens", "characters", "bytes", "packets"), (6, 3, 2, 2, 2, 3))[0]
    if kind == "places" or (kind in ("bytes", "packets") and not on_wire):
        return "places", cut(text, dice.choices(range(len(text) + 1), k=dice.randint(1, 20)))
    if kind == "size":
        return kind, same_size(text, dice.choice((2, 3, 5, 8, 16, 64)))
    if kind == "tokens":
        return kind, tokens(text)
    if kind == "characters" and len(text) < 5000:
        return kind, list(text)
    data = text.encode("utf-8", "surrogatepass")
    if kind == "bytes" and len(data) < 5000:
        return kind, off_the_wire(data[at : at + 1] for at in range(len(data)))
    if not on_wire:
        return "one size", same_size(text, 7)
    ends = sorted(dice.choices(range(len(data) + 1), k=dice.randint(1, 30)))
    return "packets", off_the_wire(data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True))
