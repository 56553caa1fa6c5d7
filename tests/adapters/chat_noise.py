"""Replies with markers, and the noises that markers survive."""

from __future__ import annotations

import random
import re
from typing import Any

from lmstream_sync.adapters import Adapter
from lmstream_sync.signatures.values import text_of
from tests.adapters.generators import Shape
from tests.adapters.noise import PROSE, Noises, Written, around, texts_of, with_texts


def chat(adapter: Adapter, dice: random.Random, of: Shape, values: dict[str, Any]) -> Written:
    """A reply with markers."""
    noisy = Noises(dice)
    completed = "[[ ## completed ## ]]\n"
    names = list(values)
    if noisy("another order", 0.1):
        dice.shuffle(names)
    values = {name: values[name] for name in names}
    parts = []
    for name in names:
        marker = f"[[ ## {name} ## ]]"
        part = adapter.render(of.signature, {name: values[name]}).removesuffix(f"\n\n{completed}")
        content = part.removeprefix(f"{marker}\n")
        before, between, after = "", "\n", ""
        if noisy("text on the marker's line", 0.08):
            between = dice.choice(("", " "))
        if noisy("blank lines", 0.15):
            before, between, after = dice.choice(("\n", " \n", "\n\n\n")), "\n\n \t\n", "\n" * dice.randint(0, 3)
        if noisy("indented marker", 0.06):
            marker = " \t"[: dice.randint(1, 2)] + marker
        parts.append(f"{before}{marker}{between}{content}{after}")
    reply = "\n\n".join(parts)
    if noisy("no last marker", 0.15):
        reply += dice.choice(("", "\n", " \n\n"))
    else:
        reply = f"{reply}\n\n{completed}".lstrip("\n") if names else completed
        reply = around(dice, noisy, reply, of, values)
    if not noisy.noises:
        assert reply == adapter.render(of.signature, {name: values[name] for name in of.fields if name in values})
    if noisy("prose before", 0.2):
        prose = dice.choice(PROSE)
        reply = prose + "\n" * (not prose.endswith("\n")) + reply
    texts = texts_of(values)
    if noisy("CRLF", 0.08):
        reply = reply.replace("\n", "\r\n")
        texts = {name: text_of(value).replace("\n", "\r\n").strip() for name, value in values.items()}
    for number, name in enumerate(names):
        live = "|".join(map(re.escape, [*names[number + 1 :], *(of.fields.keys() - set(names)), "completed"]))
        if re.search(rf"^[ \t]*\[\[ ## ({live}) ## \]\]", text_of(values[name]).replace("\r", " "), re.MULTILINE):
            return Written(reply, None, None, [*noisy.noises, "a live marker in a value"])
    return Written(reply, texts, with_texts(values, texts), noisy.noises)
