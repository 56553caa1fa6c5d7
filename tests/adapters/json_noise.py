"""Replies that are a JSON object, the noises that JSON survives, and some that it does not."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

from lmstream_sync.adapters import Adapter
from lmstream_sync.signatures.plain import jsonable
from tests.adapters.generators import Shape
from tests.adapters.noise import PROSE, Noises, Value, Written, around
from tests.adapters.texts import text


def json_object(adapter: Adapter, dice: random.Random, of: Shape, values: dict[str, Any]) -> Written:
    """A reply that is a JSON object, with nothing worse than commas too many."""
    noisy = Noises(dice)
    if dice.random() < 0.2:
        reply = adapter.render(of.signature, values)
        return Written(reply, _as_rendered(values), dict(values), ["as rendered"])
    names = list(values)
    if noisy("another order", 0.25):
        dice.shuffle(names)
    gaps = dice.choice((("", ""), ("", " "), ("\n", " "), ("\n  ", " "), ("\r\n\t", " "), (" \n ", "\n")))
    blank, after_colon = gaps
    out = ["{"]
    spans: list[Value] = []
    length = 1

    def put(part: str) -> None:
        nonlocal length
        out.append(part)
        length += len(part)

    entries: list[tuple[str, Any]] = [(name, values[name]) for name in names]
    if noisy("other keys", 0.15):
        other = dice.choice(("thoughts", "no name", "", "question"))
        entries.insert(dice.randint(0, len(entries)), (other, {name: text(dice, name) for name in names[:2]}))
    if names and noisy("a key twice", 0.1):
        again = dice.choice(names)
        wrong = dice.choice((text(dice, again), 1, None, {again: ["x"]}, ""))
        entries.insert(dice.randint(0, [key for key, _ in entries].index(again)), (again, wrong))
    odd = dice.random() < 0.5
    for number, (name, value) in enumerate(entries):
        put(
            blank
            + _json_source(dice, name, odd and dice.random() < 0.2)
            + dice.choice(("", "", " "))
            + ":"
            + after_colon
        )
        source = _json_source(dice, jsonable(value), odd, noisy)
        if name in of.fields:
            spans.append(Value(name, length, length + len(source), source[0] == '"'))
        put(source + dice.choice(("", "", "", " ")))
        if number < len(entries) - 1 or noisy("comma before }", 0.12):
            put(",")
    put(blank)
    reply = "".join(out)
    if names and noisy("no last brace", 0.12):
        reply = reply[: length - len(blank)] if dice.random() < 0.5 else reply
    else:
        reply = around(dice, noisy, reply + "}", of, values)
    prose = dice.choice(PROSE) if noisy("prose before", 0.2) else ""
    begin = reply.index("".join(out)) if "no last brace" not in noisy.noises else 0
    spans = [one._replace(begin=one.begin + begin + len(prose), end=one.end + begin + len(prose)) for one in spans]
    return Written(prose + reply, _json_texts(values, spans, prose + reply), dict(values), noisy.noises, spans)


def _as_rendered(values: Mapping[str, Any]) -> dict[str, str]:
    """The text of each field where the adapter itself wrote the object."""
    made = {name: jsonable(value) for name, value in values.items()}
    # Two blanks deeper than alone; strings in JSON hold no line ends.
    return {
        name: one if isinstance(one, str) else json.dumps(one, ensure_ascii=False, indent=2).replace("\n", "\n  ")
        for name, one in made.items()
    }


def _json_texts(values: Mapping[str, Any], spans: Sequence[Value], reply: str) -> dict[str, str]:
    """The text of each field: strings exactly, everything else as it stands."""
    texts = {one.name: reply[one.begin : one.end] for one in spans}
    return {name: made if isinstance(made := jsonable(value), str) else texts[name] for name, value in values.items()}


def _json_source(dice: random.Random, value: Any, odd: bool, noisy: Noises | None = None) -> str:
    """A value as JSON, in one of the ways that there are."""
    if isinstance(value, str):
        if not odd:
            return json.dumps(value, ensure_ascii=False)
        return '"' + "".join(_json_character(dice, char) for char in value) + '"'
    made = json.dumps(
        value,
        ensure_ascii=dice.random() < 0.3,
        indent=dice.choice((None, None, None, 0, 2)),
        separators=dice.choice((None, None, (",", ":"), (" , ", " : "))),
    )
    if noisy is not None and made[-1] in "]}" and made not in ("[]", "{}") and noisy("comma in a value", 0.1):
        made = f"{made[:-1].rstrip()},{made[-1]}"
    return made


def _json_character(dice: random.Random, char: str) -> str:
    kind = dice.random()
    if kind < 0.15 or "\ud800" <= char < "\ue000":
        made = json.dumps(char)[1:-1]
        if len(made) == 1:
            made = f"\\u{ord(char):04x}"
        return made.upper().replace("\\U", "\\u") if made.startswith("\\u") and dice.random() < 0.3 else made
    if char == "/" and kind < 0.5:
        return "\\/"
    if char in "\n\t\r" and kind < 0.5:
        return char
    return json.dumps(char, ensure_ascii=False)[1:-1]


def broken_json(dice: random.Random, written: Written) -> Written:
    """JSON that is none: cut off, quotes forgotten, words between. Only the laws hold, whatever is read."""
    reply = written.reply
    kind = dice.randrange(6)
    at = dice.randrange(len(reply) + 1)
    if kind == 0:
        reply = reply[:at]
    elif kind == 1:
        reply = (
            reply[:at]
            + dice.choice(('"', "\\", "{", "}", "]", ",", "'", "\n", ":", "// x\n", "NaN", "..."))
            + reply[at:]
        )
    elif kind == 2:
        reply = reply[:at] + reply[at + dice.randint(1, 3) :]
    elif kind == 3:
        reply = reply.replace('"', "'")
    elif kind == 4:
        reply = reply.replace(",", "", 1)
    else:
        reply = f'{{"result": {reply}}}'
    return Written(reply, None, None, [*written.noises, f"broken {kind}"])
