"""Random texts: plain, empty, blank, of any script and plane, code, JSON, and the markup of all adapters."""

from __future__ import annotations

import json
import random

_WORDS = [
    "To", " get", " to", "the other", " side.", "yes", "no", "Größe", "naïve ", "x", "42", "-1.5e3",
    "None", "null",
]  # fmt: skip
_BLANKS = ["\n", "\n", "\n\n", " ", "  ", "\t", "\r\n", "\r", " \n ", "\u00a0", "\u3000", "\u2028", "\u2029", "\x85"]
_CONTROLS = [chr(code) for code in [*range(32), 0x7F, *range(0x80, 0xA0)]]
_CHARACTERS = [
    "é", "e\u0301", "a\u0308\u0323\u0301", "\u0301", "한국어", "ᄒ\u1161\u11ab", "שלום", "مرحبا",
    "\u202eabc\u202c", "\u200f", "日本語", "𠮷野", "😀", "👩\u200d👩\u200d👧", "🏳\ufe0f\u200d🌈", "🇩🇪", "𝔘",
    "\U0001d11e", "\U000e0001", "\U0010ffff", "\ufeff", "\u200b", "\ufffd", "\uffff", "\ufffe",
    "\ue000", "\U000f0000", "\x00", "\x1b[0m", "ﷺ", "ẞ", "ŉ",
]  # fmt: skip
_CODE = [
    "def f(x):\n    return x < 2 and x & 1\n",
    "```python\nprint('a')\n```",
    'if (a < b && c > d) { x = "\\n"; }',
    "for (;;) { a[[0]] }",
    "SELECT * FROM t WHERE a <> 'b' -- \\",
    r"\alpha \\ \frac{a}{b} \u00e9 \ud83d \x41",
    '<!DOCTYPE html><p class="a>b">x &amp; y</p><br/>',
    "C:\\new\\table\\u1",
    "matrix [[1, 2],\n [[3]]]",
]
_JSON = [
    '{"answer": "x"}', '{"a": [1, {"b": null}]}', '"', "\\", '\\"', '\\\\"', '",', '"}', "{", "}", "[", "]", "]}",
    "[[", "{{", ": ", ",", "\\u", "\\u00", "\\u00e9", "\\ud83d\\ude00", "\\n", "```json\n", "\n```", "{'a': 'b'}",
    "// x", "null", "true",
]  # fmt: skip
_MARKUP = [
    "[[ ## {} ## ]]", "\n[[ ## {} ## ]]", "\n[[ ## {} ## ]]\n", "\n  [[ ## {} ## ]] x", "[[ ## {}",
    "\n[[ ## {} ##", " ## ]]", "\n[[ ##", "\n[[ ## ", "\n[[", "\n[", "[[## {} ## ]]", "\n[[ ## nothing ## ]]",
    "<{}>", "</{}>", "</{}", "</{} >", "</ {}>", "</{}x>", "<{}/>", "<{} a='b'>", "<", "</", "<<", "</>", ">", "&",
    "&&", "&lt;", "&lt", "&amp;lt;", "&#10;", "&#32;", "&#x41;", "&#", "&#xD83D;", "&#1114112;", "&nbsp;", "&am",
    "<![CDATA[", "]]>", "]]", "<![CDATA[x]]>", "<!-- -->", "</{}\n\t>", '{{"{}": "x"}}', '"{}": ',
    '\n{{"{}": "y", ', "<{}", "{}", "</b></{}></i>",
]  # fmt: skip


def text(dice: random.Random, name: str, names: tuple[str, ...] = ("answer",)) -> str:
    """Any text: plain, empty, blank, code, markup of all adapters with the names of these fields, very long."""
    kind = dice.random()
    if kind < 0.04:
        return ""
    if kind < 0.07:
        return "".join(dice.choices(_BLANKS, k=dice.randint(1, 5)))
    if kind < 0.25:
        return " ".join(dice.choices(_WORDS, k=dice.randint(1, 12)))
    if kind < 0.255:
        return "".join(dice.choices([*_WORDS, *_JSON, *_BLANKS, *_CHARACTERS], k=dice.randint(1000, 4000)))
    if kind < 0.29:
        return json.dumps(json.dumps({name: text(dice, name, names)}), ensure_ascii=dice.random() < 0.5)
    if kind < 0.34:
        return "".join(map(any_character, [dice] * dice.randint(1, 20)))
    return "".join(_fragment(dice, name, names) for _ in range(dice.randint(1, 10)))


def any_character(dice: random.Random) -> str:
    """Any character of any plane; no halves of pairs, which UTF-8 does not carry."""
    code = dice.choice((dice.randrange(0x100), dice.randrange(0x10000), dice.randrange(0x110000)))
    return chr(code) if not 0xD800 <= code < 0xE000 else chr(code - 0x800)


def _fragment(dice: random.Random, name: str, names: tuple[str, ...]) -> str:
    kind = dice.random()
    if kind < 0.35:
        return dice.choice(_MARKUP).format(dice.choice((name, name, dice.choice(names), "completed", "nothing")))
    pool = dice.choices((_WORDS, _BLANKS, _CHARACTERS, _CODE, _JSON, _CONTROLS), (5, 6, 4, 1, 4, 1))[0]
    return dice.choice(pool)
