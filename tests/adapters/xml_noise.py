"""Replies of elements, and the noises that elements survive."""

from __future__ import annotations

import random
from typing import Any

from lmstream_sync.adapters import Adapter
from lmstream_sync.signatures.values import text_of
from tests.adapters import xml_oracle
from tests.adapters.generators import Shape
from tests.adapters.noise import PROSE, Noises, Written, around, texts_of, with_texts

_ATTRIBUTES = (' type="text"', " a='>' b=\"'/>\"", " x = y", "\n\tid='1'\n", ' lang="de" checked ', " a='' ", ' a="/"')
_BETWEEN = ("\n\n\n", "  ", "Then:\n", "</nothing>", "<i>", "<", "&", "< ", "<{}", "<{} a='", '<{} x="')


def xml(adapter: Adapter, dice: random.Random, of: Shape, values: dict[str, Any]) -> Written:
    """A reply of elements."""
    noisy = Noises(dice)
    names = list(values)
    if noisy("another order", 0.1):
        dice.shuffle(names)
    parts = []
    for name in names:
        part = _content(dice, noisy, name, text_of(values[name]))
        if part is None:
            part = adapter.render(of.signature, {name: values[name]})
        attributes = dice.choice(_ATTRIBUTES) if noisy("attributes", 0.08) else ""
        blank = dice.choice(" \t\n") if noisy("blanks in tags", 0.06) else ""
        part = f"<{name}{attributes}{blank}>{part[len(name) + 2 : -1]}{blank}>"
        if not text_of(values[name]) and noisy("empty tag", 0.5):
            part = dice.choice((f"<{name}/>", f"<{name} />"))
        if noisy("text between", 0.1):
            part = dice.choice(_BETWEEN).format(name) + part
        parts.append(part)
    reply = ("" if noisy("no line ends", 0.08) else "\n\n").join(parts)
    if names and "empty tag" not in noisy.noises and noisy("no last closing tag", 0.12):
        reply = reply[: reply.rindex("</")] + dice.choice(("", "\n", " \n\n"))
    else:
        if noisy("a root", 0.12):
            reply = f"<response>\n{reply}\n</response>"
        reply = around(dice, noisy, reply, of, values)
    if not noisy.noises:
        assert reply == adapter.render(of.signature, values)
    if noisy("prose before", 0.2):
        reply = dice.choice(PROSE) + reply
    texts = texts_of(values)
    if "character references" not in noisy.noises and noisy("CRLF", 0.08):
        reply = reply.replace("\n", "\r\n")
        texts = {name: text_of(value).replace("\n", "\r\n").strip() for name, value in values.items()}
    if "nothing escaped" in noisy.noises:
        return Written(reply, None, None, noisy.noises)
    return Written(reply, texts, with_texts(values, texts), noisy.noises)


def _content(dice: random.Random, noisy: Noises, name: str, content: str) -> str | None:
    """An element as others than the adapter write it; `None` where that shall do it."""
    kind = dice.random()
    if kind < 0.1:
        noisy("all escaped", 1)
        return f"<{name}>{xml_oracle.escaped(content)}</{name}>"
    if kind < 0.15:
        noisy("character references", 1)
        return f"<{name}>{''.join(_reference(dice, char) for char in content)}</{name}>"
    if kind < 0.22:
        noisy("CDATA", 1)
        sections = content.replace("]]>", "]]]]><![CDATA[>")
        return f"<{name}>{dice.choice(('', chr(10)))}<![CDATA[{sections}]]>{dice.choice(('', ' '))}</{name}>"
    if kind < 0.27:
        # What the value holds may end it: only the oracle knows.
        noisy("nothing escaped", 1)
        return f"<{name}>{content}</{name}>"
    return None


def _reference(dice: random.Random, char: str) -> str:
    kind = dice.random()
    if kind < 0.2:
        return f"&#{ord(char)};"
    if kind < 0.4:
        return f"&#x{ord(char):{dice.choice(('x', 'X', '06x'))}};"
    return xml_oracle.escaped(char)
