"""Replies as models write them: an adapter's own rendering, and what real ones do to it.

`chat_noise`, `xml_noise` and `json_noise` make a reply out of values, each with the noise that
its format survives, and say what must be read in it. Fields are rendered by the adapter, one
at a time, and put together there.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, NamedTuple

from lmstream_sync.signatures.values import text_of
from tests.adapters.generators import Shape
from tests.adapters.texts import text


class Value(NamedTuple):
    """Where a JSON value stands in a reply, and whether it is a string."""

    name: str
    begin: int
    end: int
    is_string: bool


class Written(NamedTuple):
    """A reply and what is in it.

    Attributes:
        reply: what the model wrote.
        texts: the text of each field; `None` where only an oracle can tell.
        values: the value of each field that the reply has; `None` where it may not parse.
        noises: the names of what was done, for people.
        spans: where the values stand, for JSON that is valid but for commas too many.
    """

    reply: str
    texts: dict[str, str] | None
    values: dict[str, Any] | None
    noises: list[str]
    spans: list[Value] | None = None


PROSE = (
    "Sure! Here it is:\n\n", "I think the answer is as follows.\n", "\n\n  \n",
    "Let me think [1, 2], f(x) < 3 && y.\n", "[[ ## nothing ## ]]\nhm\n", "A [[ ## b ## ]] marker.\n",
    "<thinking>\nfirst </b> then [[ ##\n</thinking>\n", "\ufeff",
    "It's {not} the object, {} or {'x': 1} neither.\n", "```\nx = 1\n```\n", "<!-- -->", "<?xml version='1.0'?>\n",
    "]]>&lt;",
)  # fmt: skip
_AFTER = (
    "\n", "\n\nI hope this helps!", "}", "\n```\n", "\n}\n}", " [[ ## ", "\n<", "</", "\n\n\nlong\n" * 3, '{"x": "',
    "&am", "]]>", "\n[[ ## completed ## ]]\n", "</answer></b>", ",", "\u2028", '\n\n{"answer": "again"}',
)  # fmt: skip
_FENCES = (
    ("```\n", "\n```"),
    ("```xml\n", "\n```\n"),
    ("```json\n", "\n```"),
    ("~~~\n", "\n~~~"),
    ("Here:\n\n```\n", "```\n\nDone."),
)


class Noises:
    """Throws dice and keeps the names of the noises that came out."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.noises: list[str] = []

    def __call__(self, noise: str, share: float) -> bool:
        if self.dice.random() >= share:
            return False
        self.noises.append(noise)
        return True


def texts_of(values: Mapping[str, Any]) -> dict[str, str]:
    """What the text of each field is where the edges are dropped."""
    return {name: text_of(value).strip() for name, value in values.items()}


def with_texts(values: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """The values that fields of these texts have."""
    return {name: texts[name] if type(value) is str else value for name, value in values.items()}


def around(dice: random.Random, noisy: Noises, reply: str, of: Shape, values: Mapping[str, Any]) -> str:
    """Text after a reply that has its end, and a fence around."""
    if noisy("text after", 0.2):
        # Where a field is absent, its marker would still count.
        any_text = values.keys() == of.fields.keys() and dice.random() < 0.4
        reply += text(dice, "answer", tuple(of.fields)) if any_text else dice.choice(_AFTER)
    if noisy("fence", 0.12):
        begin, end = dice.choice(_FENCES)
        reply = f"{begin}{reply}{end}"
    return reply


def cut_off(dice: random.Random, written: Written) -> Written:
    """A reply that ends too early, or that lost or gained some characters: an oracle says what is in it."""
    reply = written.reply
    at = dice.randrange(len(reply) + 1)
    if dice.random() < 0.4:
        # In a marker, a tag or an entity.
        sign = reply.rfind(dice.choice(("[[", "<", "</", "&", "##", "]")), 0, at)
        at = min(len(reply), max(0, sign) + dice.randint(1, 10))
    if dice.random() < 0.5:
        return Written(reply[:at] + dice.choice(("", "", " ", "\n ")), None, None, [*written.noises, "cut off"])
    more = dice.choice(("", "\n", "]", "<", "&", "/", ">", "[[ ## ", "x"))
    return Written(reply[:at] + more + reply[at + dice.randint(0, 3) :], None, None, [*written.noises, "spoilt"])
